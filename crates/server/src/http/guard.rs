//! Which requests are let in at all: our host names (against DNS rebinding), our origins (against other pages in the same
//! browser), and whose address a request counts for.

use super::call::transport_error;
use super::{Address, Web};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use chatroom_protocol::{ErrorCode, Refusal};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Sent with every answer that brings none of its own. Server-rendered pages have no script, no frame and no outside asset.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What a listed origin may send, told before it sends it.
const PREFLIGHT: [(HeaderName, &str); 4] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, convex-client, convex-request-id"),
    (header::ACCESS_CONTROL_MAX_AGE, "600"),
    (header::VARY, "origin"),
];

/// No request takes this long: its sender is very slow, or gone.
const REQUEST: Duration = Duration::from_secs(60);

/// Which names this server answers to.
#[derive(Clone, Debug)]
pub struct Guard {
    public_host: Option<String>,
    trust_proxy: bool,
    allowed_origins: Vec<String>,
}

/// The origin of a page as browsers write it.
///
/// # Errors
/// When it is no origin: a scheme, a host, perhaps a port, and nothing more.
pub fn parse_origin(text: &str) -> anyhow::Result<String> {
    let url = url::Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.path() == "/"
            && url.username().is_empty()
            && url.query().or(url.fragment()).is_none()
    });
    let url = url.ok_or_else(|| {
        anyhow::anyhow!("{text:?} is not an origin: write scheme, host and port, as in https://app.example.org")
    })?;
    Ok(url.origin().ascii_serialization())
}

impl Guard {
    /// A guard for a server at this public URL. With `trust_proxy`, the last `X-Forwarded-For` address counts.
    /// Pages of the allowed origins (as [`parse_origin`] gives them) may call the API, with a token; never with a cookie.
    #[must_use]
    pub fn new(public_url: &str, trust_proxy: bool, allowed_origins: Vec<String>) -> Self {
        let public_host =
            url::Url::parse(public_url).ok().and_then(|url| url.host_str().map(|host| host.to_ascii_lowercase()));
        Self { public_host, trust_proxy, allowed_origins }
    }

    /// Whether a `Host` (or the host of an `Origin`) is ours: the public one, localhost, or a plain address. A page on
    /// another name that resolves to this server is not.
    #[must_use]
    pub fn is_ours(&self, host: &str) -> bool {
        let Ok(url) = url::Url::parse(&format!("http://{host}")) else { return false };
        match url.host() {
            Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)) => true,
            Some(url::Host::Domain(name)) => {
                let name = name.to_ascii_lowercase();
                name == "localhost" || self.public_host.as_deref() == Some(&name)
            }
            None => false,
        }
    }

    /// Whether a page of this origin may call: only one that this server has served itself, under the name that the
    /// request names.
    #[must_use]
    pub fn is_own_origin(&self, origin: &str, host: &str) -> bool {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host) && self.is_ours(authority))
    }

    /// Whether pages of this origin were listed for the function API and the live channel.
    #[must_use]
    pub fn is_listed(&self, origin: &str, path: &str) -> bool {
        let is_api = path.strip_prefix("/api/").is_some_and(|rest| !rest.starts_with("session-token"));
        is_api && self.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    fn address(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
        if !self.trust_proxy {
            return peer;
        }
        let forwarded = headers.get("x-forwarded-for").and_then(|value| value.to_str().ok());
        forwarded.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse().ok()).or(peer)
    }
}

/// Lets a request in, or says why not.
pub(super) async fn check(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let host = text(header::HOST).or_else(|| request.uri().authority().map(ToString::to_string)).unwrap_or_default();
    if !web.guard.is_ours(&host) {
        return (
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "this server does not answer to the host {host:?}; start it with --public-url to give it that name\n"
            ),
        )
            .into_response();
    }
    let mut listed = None;
    if let Some(origin) = text(header::ORIGIN)
        && !web.guard.is_own_origin(&origin, &host)
    {
        if !web.guard.is_listed(&origin, request.uri().path()) {
            return (
                StatusCode::FORBIDDEN,
                "pages of other origins may not call this server; list theirs with --allow-origin\n",
            )
                .into_response();
        }
        listed = HeaderValue::from_str(&origin).ok();
        // A foreign page speaks for its own user by token, never for whoever is signed in to this server.
        request.headers_mut().remove(header::COOKIE);
    }
    if let Some(origin) = &listed
        && request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        return (StatusCode::NO_CONTENT, [(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())], PREFLIGHT)
            .into_response();
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = web.guard.address(request.headers(), peer);
    request.extensions_mut().insert(Address(address));
    let mut response = match tokio::time::timeout(REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => transport_error(StatusCode::REQUEST_TIMEOUT, "RequestTimeout", "the request took too long"),
    };
    if let Some(origin) = listed {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
    }
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Browsers name the origin of every such request; one without it comes from no page.
pub(super) fn from_own_page(web: &Web, headers: &HeaderMap) -> Result<(), Refusal> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if web.guard.is_own_origin(text(header::ORIGIN), text(header::HOST)) {
        return Ok(());
    }
    Err(Refusal::new(ErrorCode::Forbidden, "only a page of this server may do this"))
}

#[cfg(test)]
mod tests {
    use super::{Guard, parse_origin};

    #[test]
    fn only_our_own_names_are_answered() {
        let guard = Guard::new("https://chat.example.org", false, Vec::new());
        for ours in
            ["127.0.0.1:7420", "[::1]:7420", "localhost:7420", "LOCALHOST", "chat.example.org", "192.168.1.4:80"]
        {
            assert!(guard.is_ours(ours), "{ours}");
        }
        for foreign in ["evil.example", "chat.example.org.evil.example", "localhost.evil.example:7420", "", "a b"] {
            assert!(!guard.is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn listed_origins_reach_the_api_and_nothing_else() {
        let listed = parse_origin("https://App.example.org/").unwrap();
        let guard = Guard::new("http://127.0.0.1:7420", false, vec![listed]);
        for path in ["/api/query", "/api/sync", "/api/run/machines/listMachines"] {
            assert!(guard.is_listed("https://app.example.org", path), "{path}");
            assert!(!guard.is_listed("https://app.example.org:8443", path), "{path}");
        }
        for path in ["/", "/link/x", "/device/decide", "/api/session-token"] {
            assert!(!guard.is_listed("https://app.example.org", path), "{path}");
        }
        for bad in ["*", "app.example.org", "https://app.example.org/path", "ftp://x", "https://u@x", "null"] {
            assert!(parse_origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_pages_of_our_own_may_call() {
        let guard = Guard::new("https://chat.example.org", false, Vec::new());
        assert!(guard.is_own_origin("http://127.0.0.1:7420", "127.0.0.1:7420"));
        assert!(guard.is_own_origin("https://chat.example.org", "chat.example.org"));
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:7421", "http://127.0.0.1:7420.evil.example", "file://"]
        {
            assert!(!guard.is_own_origin(origin, "127.0.0.1:7420"), "{origin}");
        }
    }
}
