//! Which requests are let in at all: our host names (against DNS rebinding), our origins (against other pages in the same
//! browser), and whose address a request counts for.

use super::{Address, Web};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use std::net::{IpAddr, SocketAddr};

/// Sent with every answer. Pages have no script, no frame and no outside asset.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Which names this server answers to.
#[derive(Clone, Debug)]
pub struct Guard {
    public_host: Option<String>,
    trust_proxy: bool,
}

impl Guard {
    /// A guard for a server at this public URL. With `trust_proxy`, the last `X-Forwarded-For` address counts.
    #[must_use]
    pub fn new(public_url: &str, trust_proxy: bool) -> Self {
        let public_host =
            url::Url::parse(public_url).ok().and_then(|url| url.host_str().map(|host| host.to_ascii_lowercase()));
        Self { public_host, trust_proxy }
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
    if let Some(origin) = text(header::ORIGIN)
        && !web.guard.is_own_origin(&origin, &host)
    {
        return (StatusCode::FORBIDDEN, "pages of other origins may not call this server\n").into_response();
    }
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let address = web.guard.address(headers, peer);
    request.extensions_mut().insert(Address(address));
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::Guard;

    #[test]
    fn only_our_own_names_are_answered() {
        let guard = Guard::new("https://chat.example.org", false);
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
    fn only_pages_of_our_own_may_call() {
        let guard = Guard::new("https://chat.example.org", false);
        assert!(guard.is_own_origin("http://127.0.0.1:7420", "127.0.0.1:7420"));
        assert!(guard.is_own_origin("https://chat.example.org", "chat.example.org"));
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:7421", "http://127.0.0.1:7420.evil.example", "file://"]
        {
            assert!(!guard.is_own_origin(origin, "127.0.0.1:7420"), "{origin}");
        }
    }
}
