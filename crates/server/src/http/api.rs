//! The function API: `POST /api/query`, `/api/mutation` (200 also for a refused function, as official clients expect) and
//! `POST /api/run/{module}/{function}` (the proper status for each refusal).

use super::{Address, Web};
use crate::caller::Caller;
use crate::registry::Request;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::function::canonical_name;
use chatroom_protocol::{ErrorCode, Kind, Refusal, value};
use serde::Deserialize;
use serde_json::{Value, json};

/// The body of a call.
#[derive(Deserialize)]
struct Call {
    #[serde(default)]
    path: String,
    /// An object, or a list of one object as the npm client sends.
    #[serde(default)]
    args: Value,
    #[serde(default)]
    format: Option<String>,
}

pub(super) async fn query(web: State<Web>, address: Extension<Address>, headers: HeaderMap, body: Bytes) -> Response {
    named(web, address, &headers, &body, Kind::Query).await
}

pub(super) async fn mutation(
    web: State<Web>,
    address: Extension<Address>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    named(web, address, &headers, &body, Kind::Mutation).await
}

pub(super) async fn run(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
    Path((module, function)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = match read(&body) {
        Ok(call) => call,
        Err(refusal) => return answer(Err(refusal), false, Status::Proper),
    };
    let encoded = call.format.as_deref() == Some("convex_encoded_json");
    let outcome = perform(&web, address, &headers, &format!("{module}.{function}"), call.args, None).await;
    answer(outcome, encoded, Status::Proper)
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

async fn named(
    State(web): State<Web>,
    Extension(address): Extension<Address>,
    headers: &HeaderMap,
    body: &[u8],
    kind: Kind,
) -> Response {
    let call = match read(body) {
        Ok(call) if !call.path.is_empty() => call,
        Ok(_) => return transport_error(StatusCode::BAD_REQUEST, "BadRequest", "path is missing"),
        Err(refusal) => return transport_error(StatusCode::BAD_REQUEST, "BadJsonBody", &refusal.message),
    };
    let encoded = call.format.as_deref() == Some("convex_encoded_json");
    let outcome = perform(&web, address, headers, &canonical_name(&call.path), call.args, Some(kind)).await;
    match outcome {
        // What stands before every function is the transport's to refuse: clients raise it as such.
        Err(refusal) if refusal.code == ErrorCode::Unauthenticated => {
            transport_error(StatusCode::UNAUTHORIZED, "Unauthenticated", &refusal.message)
        }
        outcome => answer(outcome, encoded, Status::Always200),
    }
}

async fn perform(
    web: &Web,
    Address(address): Address,
    headers: &HeaderMap,
    name: &str,
    args: Value,
    kind: Option<Kind>,
) -> Result<Value, Refusal> {
    let caller = match bearer(headers) {
        None => Caller::Public,
        Some(token) => {
            web.app.caller(token).await.map_err(|error| crate::fail::Fail::from(error).into_refusal(name))?
        }
    };
    let args = match args {
        Value::Array(list) if list.len() <= 1 => list.into_iter().next().unwrap_or_else(|| json!({})),
        Value::Null => json!({}),
        args @ Value::Object(_) => args,
        _ => return Err(Refusal::bad_request("args is one object")),
    };
    let request = Request { caller, address, args, replay_key: None };
    web.app.call(name, kind, &request).await
}

fn read(body: &[u8]) -> Result<Call, Refusal> {
    if body.is_empty() {
        return Ok(Call { path: String::new(), args: Value::Null, format: None });
    }
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("the body is not a call: {error}")))
}

/// The token of `Authorization: Bearer TOKEN` (or `Convex TOKEN`, as `npx convex run` sends).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("convex")).then_some(token.trim())
}

enum Status {
    Proper,
    Always200,
}

fn answer(outcome: Result<Value, Refusal>, encoded: bool, status: Status) -> Response {
    let (code, body) = match outcome {
        Ok(result) => {
            let result = if encoded { value::encode(result) } else { result };
            (200, json!({"status": "success", "value": result}))
        }
        Err(refusal) => {
            let code = refusal.code.http_status();
            (code, json!({"status": "error", "errorMessage": refusal.message.clone(), "errorData": refusal}))
        }
    };
    let code = match status {
        Status::Proper => StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Status::Always200 => StatusCode::OK,
    };
    (code, axum::Json(body)).into_response()
}

fn transport_error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({"code": code, "message": message}))).into_response()
}
