//! Signing in by name and password, and looking after one's own: for pages that this server has served itself.

use super::call::{Asked, Format, answer};
use super::guard::from_own_page;
use super::pages::{keep_session, signed_in, to_sign_in};
use super::{Address, Web};
use crate::caller::Caller;
use crate::clock;
use crate::functions::passwords;
use axum::Extension;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use chatroom_protocol::api::auth::{ChangePassword, PasswordState, SignIn, SignedIn};
use chatroom_protocol::{ErrorCode, Refusal};
use serde_json::{Value, json};

/// Signs a browser in for the page's script.
pub(super) async fn sign_in(State(web): State<Web>, asked: Asked) -> Response {
    let opened = async {
        from_own_page(&web, &asked.headers)?;
        open(&web, &asked.read()?, asked.address).await
    };
    match opened.await {
        Ok((who, secret)) => keep_session(&web, answer(Ok(json!(who)), Format::Clean), &secret),
        Err(refusal) => answer(Err(refusal), Format::Clean),
    }
}

/// Signs a browser in without script: the form stands where one wanted to go, and leads there.
pub(super) async fn sign_in_here(
    State(web): State<Web>,
    Extension(Address(address)): Extension<Address>,
    here: Uri,
    Form(args): Form<SignIn>,
) -> Response {
    match open(&web, &args, address).await {
        Ok((_, secret)) => {
            let here = here.path_and_query().map_or("/", |here| here.as_str());
            keep_session(&web, Redirect::to(here).into_response(), &secret)
        }
        Err(refusal) => to_sign_in(Some(&refusal)),
    }
}

/// How it stands with the password of whoever is signed in.
pub(super) async fn state(State(web): State<Web>, headers: HeaderMap) -> Response {
    let state = async {
        let caller = caller(&web, &headers).await?;
        told(passwords::state(&web.app, &caller, clock::now()).await)
    };
    answer(state.await, Format::Clean)
}

/// Sets, changes or removes it.
pub(super) async fn change(State(web): State<Web>, asked: Asked) -> Response {
    let changed = async {
        from_own_page(&web, &asked.headers)?;
        let change: ChangePassword = asked.read()?;
        let caller = caller(&web, &asked.headers).await?;
        told(passwords::change(&web.app, &caller, &change, asked.address, clock::now()).await)
    };
    answer(changed.await, Format::Clean)
}

async fn open(web: &Web, args: &SignIn, address: Option<std::net::IpAddr>) -> Result<(SignedIn, String), Refusal> {
    let opened = passwords::sign_in(&web.app, args, address, clock::now()).await;
    opened.map_err(|fail| fail.into_refusal("sign-in"))
}

fn told(state: crate::fail::Result<PasswordState>) -> Result<Value, Refusal> {
    state.map(|state| json!(state)).map_err(|fail| fail.into_refusal("password"))
}

async fn caller(web: &Web, headers: &HeaderMap) -> Result<Caller, Refusal> {
    match signed_in(web, headers).await? {
        Some((caller, _)) => Ok(caller),
        None => Err(Refusal::new(ErrorCode::Unauthenticated, "this browser is not signed in")
            .hint("load the page again and sign in")),
    }
}
