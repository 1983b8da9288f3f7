//! The page: files made by `scripts/web` and embedded at the build. It is one document for every view; its files have their
//! content's hash in their names and never change. A build without it has no page, and says so.

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

/// What `build.rs` found: path, whether it is gzip, content.
mod page {
    include!(concat!(env!("OUT_DIR"), "/page.rs"));
}

/// Files and connections of this server only; nothing inline, no text run as code, and no text turned into markup by script at all.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// The document that every address of the page answers with; none when this program was built without the page.
pub(crate) fn document() -> Option<Response> {
    let mut response = file("index.html")?;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // A newer server has a newer page: ask each time.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Some(response)
}

/// A file of the page, by its path without the slash at the beginning.
pub(crate) fn asset(path: &str) -> Option<Response> {
    let mut response = file(path).filter(|_| path != "index.html")?;
    let cache = if path.starts_with("assets/") { FOR_EVER } else { "max-age=3600" };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Some(response)
}

fn file(path: &str) -> Option<Response> {
    let (_, is_gzip, content) = page::FILES.iter().find(|(name, ..)| *name == path)?;
    let mut response = Bytes::from_static(content).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    if *is_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Some(response)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_page_are_given_and_only_hashed_names_are_kept_for_ever() {
        for path in ["", "index.html", "../Cargo.toml", "assets/../index.html", "assets/", "stamp", ".gitignore"] {
            assert!(asset(path).is_none(), "{path}");
        }
        for (name, is_gzip, _) in page::FILES.iter().filter(|(name, ..)| *name != "index.html") {
            let response = asset(name).unwrap();
            assert_eq!(response.headers().contains_key(header::CONTENT_ENCODING), *is_gzip, "{name}");
            assert_eq!(response.headers()[header::CACHE_CONTROL] == FOR_EVER, name.starts_with("assets/"), "{name}");
        }
    }
}
