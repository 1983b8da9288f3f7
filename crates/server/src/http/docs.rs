//! The API's own description: `/api/openapi.json`, the page `/api/docs` to try each function, and `POST /api/session-token`,
//! by which a page of this server gets a token that script may hold in place of the cookie.

use super::Web;
use super::guard::from_own_page;
use super::pages::signed_in;
use crate::caller::Caller;
use crate::functions::auth;
use crate::reference::{Reference, openapi};
use crate::{clock, fail::Fail};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::{ErrorCode, Refusal};
use serde_json::json;
use std::sync::OnceLock;

/// The viewer, made by `scripts/api-viewer`; absent when it was not there at the build. Scripts and styles are gzip.
mod viewer {
    include!(concat!(env!("OUT_DIR"), "/viewer.rs"));
}

/// Nothing inline, no text run as code; the viewer draws its icons from `data:`.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const HOUR: &str = "max-age=3600";

/// Gives the document; the same for everybody, and for the life of the process.
pub(super) async fn document(State(web): State<Web>) -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let text = DOCUMENT.get_or_init(|| openapi::document(&Reference::new(&web.app.registry)).to_string());
    ([(header::CONTENT_TYPE, "application/json")], text.as_str()).into_response()
}

pub(super) async fn page() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, PAGE_POLICY)];
    (headers, include_str!("docs/index.html")).into_response()
}

pub(super) async fn asset(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "docs.js" => ([(header::CONTENT_TYPE, SCRIPT)], include_str!("docs/docs.js")).into_response(),
        "docs.css" => ([(header::CONTENT_TYPE, STYLE)], include_str!("docs/docs.css")).into_response(),
        "viewer.js" => embedded(viewer::SCRIPT, SCRIPT, true),
        "viewer.css" => embedded(viewer::STYLE, STYLE, true),
        "LICENSE.txt" => embedded(viewer::LICENSE, "text/plain; charset=utf-8", false),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A build without the viewer gives an empty file: the page's own script sees that nothing came.
fn embedded(content: Option<&'static [u8]>, content_type: &'static str, is_gzip: bool) -> Response {
    let mut headers = vec![(header::CONTENT_TYPE, content_type)];
    if content.is_some() {
        headers.push((header::CACHE_CONTROL, HOUR));
        if is_gzip {
            headers.push((header::CONTENT_ENCODING, "gzip"));
        }
    }
    let mut response = content.unwrap_or_default().into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, axum::http::HeaderValue::from_static(value));
    }
    response
}

/// Trades the session's cookie for a token of ten minutes. Only for a page that this server has served itself.
pub(super) async fn session_token(State(web): State<Web>, headers: HeaderMap) -> Response {
    if let Err(refusal) = from_own_page(&web, &headers) {
        return refused(&refusal);
    }
    let caller = match signed_in(&web, &headers).await {
        Ok(caller) => caller.map(|(caller, _)| caller),
        Err(refusal) => return refused(&refusal),
    };
    let Some(Caller::User { user_id, credential_id, scope, .. }) = caller else {
        return refused(
            &Refusal::new(ErrorCode::Unauthenticated, "this browser is not signed in")
                .hint("open a link of `chatroom auth link`"),
        );
    };
    let lent = async {
        let mut tx = web.app.store.write().await?;
        let token = auth::lend_session_token(&mut tx, &user_id, &credential_id, scope, clock::now()).await?;
        tx.commit().await?;
        Ok::<_, Fail>(token)
    };
    match lent.await {
        Ok(token) => {
            // By it the page knows its own session among the others.
            let mut lent = json!(token);
            lent["credentialId"] = json!(credential_id);
            axum::Json(lent).into_response()
        }
        Err(fail) => refused(&fail.into_refusal("session token")),
    }
}

/// As the transport refuses: `{code, message}`.
fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(json!(refusal))).into_response()
}
