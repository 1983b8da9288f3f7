//! The API client: one HTTP call per function, typed by the protocol.
//!
//! A call ends in one of four ways that callers decide on: an answer, a refusal of the server, no server, or an answer that is
//! not ours. The token goes only into the `Authorization` header; redirects are not followed, so it goes nowhere else.

use crate::{Secret, ServerUrl, VERSION};
use chatroom_protocol::{ErrorCode, Function, Refusal, function::canonical_name, value::normalise};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use std::error::Error;
use std::time::Duration;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a whole call may take.
const TOTAL: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// A client of one server with one credential. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    server: ServerUrl,
    http: reqwest::Client,
    token: Option<Secret>,
    /// The token as a header that is never shown.
    authorization: Option<HeaderValue>,
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The server understood and will not.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No server answered, or something before it is out of order. The call may still have taken effect.
    #[error("cannot reach the server {server}")]
    Unreachable {
        /// Which server.
        server: ServerUrl,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something answered that does not speak our protocol.
    #[error("{0}")]
    Protocol(String),
}

impl CallError {
    /// Whether the same call may succeed later without anybody doing anything. A mutation that is called again must be
    /// idempotent, by nature or by its key.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refusal) => {
                matches!(refusal.code, ErrorCode::Unavailable | ErrorCode::RateLimited | ErrorCode::Internal)
            }
            Self::Protocol(_) => false,
        }
    }

    /// The refusal's code, if the server refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Unreachable { .. } | Self::Protocol(_) => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused(refusal) => refusal.hint.clone(),
            Self::Unreachable { server, .. } if server.is_loopback() => {
                Some("start it with `chatroom up` or `chatroom server`".to_owned())
            }
            Self::Unreachable { .. } => Some("check the network and the server's address".to_owned()),
            Self::Protocol(_) => Some("check that the address is a chatroom server of a fitting version".to_owned()),
        }
    }
}

impl Client {
    /// A client for `server` that calls with `token`, or as nobody.
    ///
    /// # Errors
    /// [`CallError::Protocol`] when the token cannot stand in a header; [`CallError::Unreachable`] when TLS cannot be set up
    /// (no certificates of authorities on this machine).
    pub fn new(server: &ServerUrl, token: Option<Secret>) -> Result<Self, CallError> {
        let authorization = token.as_ref().map(authorization).transpose()?;
        let mut builder = reqwest::Client::builder()
            .user_agent(format!("chatroom/{VERSION}"))
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
            .redirect(reqwest::redirect::Policy::none());
        if server.is_loopback() {
            builder = builder.no_proxy();
        }
        if server.is_plain_http() {
            // No authority is ever asked: do not read the machine's certificates at every start of the CLI.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| unreachable(server, error))?;
        Ok(Self { server: server.clone(), http, token, authorization })
    }

    /// A client of the same server with another credential; it shares this one's connections.
    ///
    /// # Errors
    /// [`CallError::Protocol`] when the token cannot stand in a header.
    pub fn with_token(&self, token: Secret) -> Result<Self, CallError> {
        let authorization = Some(authorization(&token)?);
        Ok(Self { server: self.server.clone(), http: self.http.clone(), token: Some(token), authorization })
    }

    /// The server that is called.
    #[must_use]
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// The credential that calls are made with.
    #[must_use]
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Calls a function.
    ///
    /// # Errors
    /// [`CallError`]: refused, no server, or not our protocol.
    pub async fn call<F: Function>(&self, args: &F::Args) -> Result<F::Output, CallError> {
        self.call_with::<F>(to_object(args)?).await
    }

    /// Calls a mutation under an idempotency key: called again with the same key and arguments it takes effect once.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_idempotent<F: Function>(&self, args: &F::Args, key: &str) -> Result<F::Output, CallError> {
        let mut args = to_object(args)?;
        args["idempotencyKey"] = Value::from(key);
        self.call_with::<F>(args).await
    }

    /// Calls a function by name (any spelling) with arguments that are not checked here; gives the plain value.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_untyped(&self, name: &str, args: Value) -> Result<Value, CallError> {
        let name = canonical_name(name);
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_')) {
            let message = format!("`{name}` is not the name of a function");
            return Err(Refusal::bad_request(message).hint("write it like machines.listMachines").into());
        }
        let mut request = self.http.post(self.server.run_url(&name)).json(&json!({"args": args, "format": "json"}));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| unreachable(&self.server, error))?;
        let status = response.status().as_u16();
        let body = self.read(response).await?;
        interpret(&self.server, status, &body)
    }

    async fn call_with<F: Function>(&self, args: Value) -> Result<F::Output, CallError> {
        let value = self.call_untyped(F::NAME, args).await?;
        serde_json::from_value(value).map_err(|error| {
            // Only the position and the kind of the fault: the answer may hold a secret.
            let fault = if F::SECRET { "it has another form".to_owned() } else { error.to_string() };
            CallError::Protocol(format!(
                "the server {} answered {} in a way that this version does not understand: {fault}",
                self.server,
                F::NAME
            ))
        })
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Vec<u8>, CallError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreachable(&self.server, error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(CallError::Protocol(format!(
                    "the answer of {} is larger than {MAX_ANSWER} bytes",
                    self.server
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// The body of an answer, ours or of the transport before it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    status: Option<String>,
    #[serde(default)]
    value: Value,
    error_message: Option<String>,
    error_data: Option<Value>,
    /// Of a transport failure: `{code, message}`.
    message: Option<String>,
}

/// Makes of an HTTP answer what the caller decides on.
fn interpret(server: &ServerUrl, status: u16, body: &[u8]) -> Result<Value, CallError> {
    let answer = serde_json::from_slice::<Answer>(body).ok();
    match answer {
        Some(Answer { status: Some(word), value, .. }) if word == "success" => Ok(normalise(value)),
        Some(Answer { status: Some(word), error_message, error_data, .. }) if word == "error" => {
            Err(refusal(error_data.as_ref(), error_message.as_deref(), Some(status)).into())
        }
        // Not our server: a proxy whose server is away.
        _ if matches!(status, 502..=504) => Err(unreachable(server, format!("it answered with HTTP status {status}"))),
        Some(Answer { message: Some(message), .. }) if status >= 400 => {
            Err(refusal(None, Some(&message), Some(status)).into())
        }
        _ => Err(CallError::Protocol(format!(
            "{server} answered with HTTP status {status}, but not as a chatroom server does"
        ))),
    }
}

/// Reads `errorData`. A code that this version does not know (a newer server) becomes the one of the HTTP status.
pub(crate) fn refusal(data: Option<&Value>, message: Option<&str>, status: Option<u16>) -> Refusal {
    if let Some(refusal) = data.and_then(|data| Refusal::deserialize(data).ok()) {
        return refusal;
    }
    let text = |name: &str| data.and_then(|data| data.get(name)).and_then(Value::as_str).map(str::to_owned);
    let code =
        ErrorCode::ALL.iter().copied().find(|code| Some(code.http_status()) == status).unwrap_or(ErrorCode::Internal);
    let message =
        text("message").or(message.map(str::to_owned)).unwrap_or_else(|| "the server gave no reason".to_owned());
    Refusal { code, message, hint: text("hint") }
}

fn authorization(token: &Secret) -> Result<HeaderValue, CallError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
        .map_err(|_| CallError::Protocol("the stored token is damaged; sign in again".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn to_object(args: &impl serde::Serialize) -> Result<Value, CallError> {
    match serde_json::to_value(args) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(CallError::Protocol("the arguments of a function are an object".to_owned())),
    }
}

fn unreachable(server: &ServerUrl, source: impl Into<Box<dyn Error + Send + Sync>>) -> CallError {
    CallError::Unreachable { server: server.clone(), source: source.into() }
}

#[cfg(test)]
mod tests;
