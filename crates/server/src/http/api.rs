//! The function API. `/api/query`, `/api/mutation`, `/api/action` and `/api/function` answer 200 also for a refused function, as
//! official clients expect; `POST /api/run/{module}/{function}` answers each refusal with its proper status.

use super::Web;
use super::call::{Asked, Call, Format, answer, outcome, refused, transport_error};
use crate::caller::Caller;
use crate::registry::{QueryCx, Request};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::sync::SyncTs;
use chatroom_protocol::{ErrorCode, Kind, Refusal};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Queries that one batch may hold.
const MAX_BATCH: usize = 100;

/// Which functions a route calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Any,
    Only(Kind),
    /// There are none; whoever asks for one learns what the function is instead.
    Action,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueryText {
    path: Option<String>,
    args: Option<String>,
    format: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Batch {
    queries: Vec<Call>,
}

#[derive(Debug, Deserialize)]
struct At {
    ts: SyncTs,
    #[serde(flatten)]
    call: Call,
}

pub(super) async fn query(State(web): State<Web>, asked: Asked) -> Response {
    named(&web, &asked, asked.read(), Wanted::Only(Kind::Query)).await
}

pub(super) async fn get_query(State(web): State<Web>, Query(text): Query<QueryText>, asked: Asked) -> Response {
    let call = match text.args.as_deref().map(serde_json::from_str).transpose() {
        Ok(args) => {
            Ok(Call { path: text.path.unwrap_or_default(), args: args.unwrap_or_default(), format: text.format })
        }
        Err(error) => Err(Refusal::bad_request(format!("args is not JSON: {error}"))),
    };
    named(&web, &asked, call, Wanted::Only(Kind::Query)).await
}

pub(super) async fn mutation(State(web): State<Web>, asked: Asked) -> Response {
    named(&web, &asked, asked.read(), Wanted::Only(Kind::Mutation)).await
}

pub(super) async fn action(State(web): State<Web>, asked: Asked) -> Response {
    named(&web, &asked, asked.read(), Wanted::Action).await
}

pub(super) async fn function(State(web): State<Web>, asked: Asked) -> Response {
    named(&web, &asked, asked.read(), Wanted::Any).await
}

pub(super) async fn run(
    State(web): State<Web>,
    Path((module, function)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    let mut format = Format::Clean;
    let answered = async {
        let mut call: Call = asked.read()?;
        format = asked.format(call.format.as_deref().or(Some("json")))?;
        let (caller, args) = (asked.caller(&web).await?, call.take_args()?);
        let request = Request { caller, address: asked.address, args, replay_key: None };
        web.app.call(&format!("{module}.{function}"), None, &request).await
    }
    .await;
    answer(answered, format)
}

/// Many queries of one snapshot.
pub(super) async fn query_batch(State(web): State<Web>, asked: Asked) -> Response {
    let batch: Batch = match asked.read() {
        Ok(batch) => batch,
        Err(refusal) => return transport_error(StatusCode::BAD_REQUEST, "BadJsonBody", &refusal.message),
    };
    if batch.queries.len() > MAX_BATCH {
        return refused(&Refusal::bad_request(format!("a batch may hold {MAX_BATCH} queries at most")));
    }
    let mut cx = match query_cx(&web, &asked).await {
        Ok(cx) => cx,
        Err(refusal) => return refused(&refusal),
    };
    let mut results = Vec::with_capacity(batch.queries.len());
    for mut call in batch.queries {
        let (format, answer) = one_query(&asked, &mut call, &mut cx).await;
        results.push(outcome(answer, format));
    }
    axum::Json(json!({"results": results})).into_response()
}

/// A time to name in `query_at_ts`.
pub(super) async fn query_ts(State(web): State<Web>) -> Response {
    axum::Json(json!({"ts": web.app.issue_ts()})).into_response()
}

/// A query as of a time that `query_ts` gave, while nothing has been written since: this server keeps no history.
pub(super) async fn query_at_ts(State(web): State<Web>, asked: Asked) -> Response {
    let mut at: At = match asked.read() {
        Ok(at) => at,
        Err(refusal) => return transport_error(StatusCode::BAD_REQUEST, "BadJsonBody", &refusal.message),
    };
    let mut cx = match query_cx(&web, &asked).await {
        Ok(cx) => cx,
        Err(refusal) => return refused(&refusal),
    };
    let (format, answer) = one_query(&asked, &mut at.call, &mut cx).await;
    if !web.app.is_still(at.ts) {
        return transport_error(
            StatusCode::CONFLICT,
            "SnapshotTooOld",
            "something was written since this time; ask /api/query_ts for a new one and read again",
        );
    }
    axum::Json(outcome(answer, format)).into_response()
}

pub(super) async fn instance_name() -> &'static str {
    "chatroom"
}

/// Telemetry that clients may be told to send: not wanted.
pub(super) async fn debug_event(_asked: Asked) -> StatusCode {
    StatusCode::OK
}

/// Whether the database answers.
pub(super) async fn health(State(web): State<Web>) -> Response {
    match web.app.store.read().await {
        Ok(_) => (StatusCode::OK, "ok\n").into_response(),
        Err(error) => {
            tracing::error!(error = %anyhow::Error::from(error), "the database does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

pub(super) async fn nowhere(uri: Uri) -> Response {
    if !uri.path().starts_with("/api/") {
        return super::pages::nowhere();
    }
    transport_error(StatusCode::NOT_FOUND, "NotFound", "there is no such route; /api/openapi.json lists all")
}

pub(super) async fn wrong_method() -> Response {
    transport_error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "this route takes another method")
}

async fn named(web: &Web, asked: &Asked, call: Result<Call, Refusal>, wanted: Wanted) -> Response {
    let mut call = match call {
        Ok(call) if !call.path.is_empty() => call,
        Ok(_) => return transport_error(StatusCode::BAD_REQUEST, "BadRequest", "path is missing"),
        Err(refusal) => return transport_error(StatusCode::BAD_REQUEST, "BadJsonBody", &refusal.message),
    };
    let format = match asked.format(call.format.as_deref()) {
        Ok(format) => format,
        Err(refusal) => return refused(&refusal),
    };
    let caller = match asked.caller(web).await {
        Ok(caller) => caller,
        Err(refusal) => return refused(&refusal),
    };
    match perform(web, asked, caller, &mut call, wanted).await {
        // What stands before every function is the transport's to refuse: clients raise it as such.
        Err(refusal) if refusal.code == ErrorCode::Unauthenticated => refused(&refusal),
        answer => axum::Json(outcome(answer, format)).into_response(),
    }
}

async fn perform(web: &Web, asked: &Asked, caller: Caller, call: &mut Call, wanted: Wanted) -> Result<Value, Refusal> {
    let (name, args) = (canonical_name(&call.path), call.take_args()?);
    let kind = match wanted {
        Wanted::Any => None,
        Wanted::Only(kind) => Some(kind),
        Wanted::Action => return Err(web.app.registry.no_action(&name)),
    };
    let request = Request { caller, address: asked.address, args, replay_key: None };
    web.app.call(&name, kind, &request).await
}

async fn query_cx(web: &Web, asked: &Asked) -> Result<QueryCx, Refusal> {
    let caller = asked.caller(web).await?;
    let tx = web.app.store.read().await.map_err(|error| crate::fail::Fail::from(error).into_refusal("queries"))?;
    Ok(QueryCx { tx, caller, app: Arc::clone(&web.app) })
}

async fn one_query(asked: &Asked, call: &mut Call, cx: &mut QueryCx) -> (Format, Result<Value, Refusal>) {
    let format = match asked.format(call.format.as_deref()) {
        Ok(format) => format,
        Err(refusal) => return (Format::Clean, Err(refusal)),
    };
    let args = match call.take_args() {
        Ok(args) => args,
        Err(refusal) => return (format, Err(refusal)),
    };
    let app = Arc::clone(&cx.app);
    let answer = match app.registry.find(&canonical_name(&call.path)) {
        Ok(entry) => entry.run_query(cx, args).await.map_err(|fail| fail.into_refusal(entry.name)),
        Err(refusal) => Err(refusal),
    };
    (format, answer)
}
