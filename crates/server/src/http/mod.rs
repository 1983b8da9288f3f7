//! HTTP: the function API, the live channel's upgrade, the page, sign-in and approval. One flat list of routes.

mod api;
mod call;
mod docs;
mod guard;
mod pages;
mod password;

use crate::app::App;
use crate::sync::socket;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::Response;
use axum::routing::{get, post};
use std::net::IpAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub use guard::{Guard, parse_origin};

/// A request body may have this many bytes: enough for the longest message with every character escaped.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// A message on a socket may have this many bytes.
const MAX_MESSAGE: usize = 2 * 1024 * 1024;

/// What a route has at hand.
#[derive(Clone, Debug)]
pub struct Web {
    /// The server's state.
    pub app: Arc<App>,
    /// Ends every socket.
    pub shutdown: CancellationToken,
    /// Which hosts and origins are ours.
    pub guard: Arc<Guard>,
}

/// Where a request came from, as far as it can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct Address(pub Option<IpAddr>);

/// Every route.
pub fn router(web: Web) -> Router {
    let routes = Router::new()
        .route("/", get(pages::home).post(password::sign_in_here))
        .route("/start", get(pages::home))
        .route("/inbox", get(pages::home))
        .route("/rooms", get(pages::home))
        .route("/rooms/{id}", get(pages::home))
        .route("/agents/{id}", get(pages::home))
        .route("/machines", get(pages::home))
        .route("/machines/{id}", get(pages::home))
        .route("/settings", get(pages::home))
        .route("/assets/{name}", get(pages::asset))
        .route("/icon.svg", get(pages::icon))
        .route("/style.css", get(pages::style))
        .route("/link/{token}", get(pages::link).post(pages::redeem_link))
        .route("/device", get(pages::device).post(password::sign_in_here))
        .route("/device/decide", post(pages::decide_device))
        .route("/sign-in", post(password::sign_in))
        .route("/sign-out", post(pages::sign_out))
        .route("/password", get(password::state).post(password::change))
        .route("/version", get(|| async { env!("CARGO_PKG_VERSION") }))
        .route("/healthz", get(api::health))
        .route("/instance_name", get(api::instance_name))
        .route("/api/query", post(api::query).get(api::get_query))
        .route("/api/mutation", post(api::mutation))
        .route("/api/action", post(api::action))
        .route("/api/function", post(api::function))
        .route("/api/query_batch", post(api::query_batch))
        .route("/api/query_ts", post(api::query_ts))
        .route("/api/query_at_ts", post(api::query_at_ts))
        .route("/api/debug_event", post(api::debug_event))
        .route("/api/run/{module}/{function}", post(api::run))
        .route("/api/openapi.json", get(docs::document))
        .route("/api/docs", get(docs::page))
        .route("/api/docs/{asset}", get(docs::asset))
        .route("/api/session-token", post(docs::session_token))
        .route("/api/sync", get(upgrade))
        .route("/api/{version}/sync", get(upgrade))
        .fallback(api::nowhere)
        .method_not_allowed_fallback(api::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(web.clone(), guard::check))
        .with_state(web);
    // A layer sees a request after its route was found: what changes the path must stand around the whole router.
    Router::new().fallback_service(routes).layer(map_request(fold_slashes))
}

/// A deployment URL with a slash at its end makes npm clients ask for `//api/...`.
async fn fold_slashes(mut request: Request) -> Request {
    let folded = request.uri().path_and_query().map(|asked| asked.as_str()).and_then(|asked| {
        let (path, query) = asked.split_at(asked.find('?').unwrap_or(asked.len()));
        path.contains("//").then(|| {
            let mut folded = String::with_capacity(asked.len());
            path.chars().for_each(|letter| {
                if letter != '/' || !folded.ends_with('/') {
                    folded.push(letter);
                }
            });
            folded + query
        })
    });
    if let Some(folded) = folded.and_then(|folded| folded.parse().ok()) {
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(folded);
        if let Ok(uri) = axum::http::Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// An untuned WebSocket costs 137 KB of buffers; this one a few: frames are small, and each is flushed at once.
async fn upgrade(
    State(web): State<Web>,
    axum::Extension(Address(address)): axum::Extension<Address>,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_MESSAGE * 8)
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .on_upgrade(move |websocket| socket::serve(web.app, websocket, address, web.shutdown))
}
