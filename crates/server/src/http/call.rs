//! What every route of the function API shares: who asks, how a call is written, how its outcome is written.

use super::{Address, Web};
use crate::caller::Caller;
use crate::fail::Fail;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::{ErrorCode, Refusal, value};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::net::IpAddr;

/// One function and its arguments, as a client writes it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Call {
    #[serde(default)]
    pub(super) path: String,
    /// An object, or a list of one object as the npm client sends.
    #[serde(default)]
    pub(super) args: Value,
    #[serde(default)]
    pub(super) format: Option<String>,
}

impl Call {
    /// The arguments as one object.
    pub(super) fn take_args(&mut self) -> Result<Value, Refusal> {
        match std::mem::take(&mut self.args) {
            Value::Null => Ok(json!({})),
            Value::Array(list) if list.len() <= 1 => match list.into_iter().next() {
                None => Ok(json!({})),
                Some(args @ Value::Object(_)) => Ok(args),
                Some(_) => Err(Refusal::bad_request("args is one object")),
            },
            args @ Value::Object(_) => Ok(args),
            _ => Err(Refusal::bad_request("args is one object")),
        }
    }
}

/// How values are written in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `convex_encoded_json`
    Encoded,
    /// `json`
    Clean,
}

/// A request to the function API with its whole body.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) address: Option<IpAddr>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl FromRequest<Web> for Asked {
    type Rejection = Response;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Response> {
        let address = request.extensions().get::<Address>().and_then(|address| address.0);
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, web).await.map_err(|rejection| unread(&rejection))?;
        Ok(Self { address, headers, body })
    }
}

impl Asked {
    /// The body as JSON; an empty one is an empty object.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let body: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(body)
            .map_err(|error| Refusal::bad_request(format!("the body is not what this route takes: {error}")))
    }

    /// Who asks, by `Authorization: Bearer TOKEN`, or `Convex TOKEN` as admin keys are sent.
    pub(super) async fn caller(&self, web: &Web) -> Result<Caller, Refusal> {
        let Some(token) = bearer(&self.headers) else { return Ok(Caller::Public) };
        if token.contains(':') {
            return Err(Refusal::new(ErrorCode::Forbidden, "a key cannot act as somebody else here"));
        }
        web.app.caller(token).await.map_err(|error| Fail::from(error).into_refusal("authentication"))
    }

    /// The format to answer in: the one that was asked for, else the one that this client expects.
    pub(super) fn format(&self, asked: Option<&str>) -> Result<Format, Refusal> {
        match asked {
            Some("convex_encoded_json") => Ok(Format::Encoded),
            Some("json") => Ok(Format::Clean),
            Some(other) => Err(Refusal::bad_request(format!("there is no format {other:?}"))
                .hint("formats: json, convex_encoded_json")),
            None => {
                let client = self.headers.get("convex-client").and_then(|value| value.to_str().ok());
                Ok(if client.is_some_and(is_old) { Format::Encoded } else { Format::Clean })
            }
        }
    }
}

/// Why the body could not be had.
fn unread(rejection: &BytesRejection) -> Response {
    match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => transport_error(
            StatusCode::PAYLOAD_TOO_LARGE,
            "PayloadTooLarge",
            &format!("the body may have {} bytes at most", super::MAX_BODY),
        ),
        status => transport_error(status, "BadBody", &rejection.body_text()),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("convex")).then_some(token.trim())
}

/// Clients before npm 1.4.1 and PyPI 0.5.0 name no format and expect the encoded one.
fn is_old(client: &str) -> bool {
    let Some((kind, version)) = client.split_once('-') else { return false };
    let first = match kind {
        "npm" => [1, 4, 1],
        "python" => [0, 5, 0],
        _ => return false,
    };
    let number = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u32>().ok();
    let parts: Option<Vec<u32>> = version.splitn(3, '.').map(number).collect();
    parts.is_some_and(|parts| parts.as_slice() < &first[..])
}

/// The JSON of an outcome. `errorData` is absent when there is none: clients take a null for an error of the application.
pub(super) fn outcome(outcome: Result<Value, Refusal>, format: Format) -> Value {
    let written = outcome.and_then(|result| {
        let written = match format {
            Format::Encoded => value::to_encoded(&result),
            Format::Clean => value::to_clean(&result),
        };
        written.map_err(|error| {
            tracing::error!(%error, "an answer cannot be written for a client");
            Refusal::new(ErrorCode::Internal, "the answer cannot be written")
        })
    });
    match written {
        Ok(value) => json!({"status": "success", "value": value}),
        Err(refusal) => json!({"status": "error", "errorMessage": refusal.message.clone(), "errorData": refusal}),
    }
}

/// The outcome as an answer of its own, with the HTTP status that fits.
pub(super) fn answer(answered: Result<Value, Refusal>, format: Format) -> Response {
    let status = answered.as_ref().map_or_else(|refusal| refusal.code.http_status(), |_| 200);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, axum::Json(outcome(answered, format))).into_response()
}

/// What clients raise as an error of the transport. Python's wants exactly these two fields.
pub(super) fn transport_error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, axum::Json(json!({"code": code, "message": message}))).into_response()
}

/// The transport's error for a refusal that came before any function.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let code = match refusal.code {
        ErrorCode::BadRequest => "BadRequest",
        ErrorCode::Unauthenticated => "Unauthenticated",
        ErrorCode::Forbidden => "Forbidden",
        ErrorCode::Unavailable => "Overloaded",
        _ => "InternalServerError",
    };
    transport_error(status, code, &refusal.message)
}

#[cfg(test)]
mod tests {
    use super::is_old;

    #[test]
    fn only_clients_that_name_no_format_by_nature_get_the_encoded_one() {
        for old in ["npm-0.19.1", "npm-1.0.3", "npm-1.4.0", "python-0.4.9"] {
            assert!(is_old(old), "{old}");
        }
        for new in ["npm-1.4.1", "npm-1.48.0", "npm-2.0.0-alpha.1", "python-0.5.0", "rust-0.1.0", "curl", "npm-x"] {
            assert!(!is_old(new), "{new}");
        }
    }
}
