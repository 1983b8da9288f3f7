//! The address of a server: checked and normalised once, at the edge.

use std::fmt;
use url::{Host, Url};

/// The base URL of a server, without a trailing slash. Plain `http://` is only for this machine itself, unless the user
/// allowed it, because the token would travel in the open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerUrl(String);

/// Why a text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    /// Not a URL with `http` or `https`, a host and nothing after the path.
    #[error("`{text}` is not the URL of a server: {reason}")]
    Malformed {
        /// As given.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// `http://` to another machine.
    #[error("`{0}` is not encrypted: everybody on the way could read the credential and act with it")]
    Insecure(String),
}

impl ServerUrlError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "write it like https://chatroom.example.org or http://127.0.0.1:7420",
            Self::Insecure(_) => {
                "use https://, or allow plain http with --insecure-http (or CHATROOM_INSECURE_HTTP=1) in a network you trust"
            }
        }
    }
}

impl ServerUrl {
    /// Reads the address of a server. `allow_insecure` accepts `http://` to any host.
    ///
    /// # Errors
    /// [`ServerUrlError`] when the text is not a server's URL or is plain `http://` to another machine.
    pub fn parse(text: &str, allow_insecure: bool) -> Result<Self, ServerUrlError> {
        let malformed = |reason: &str| ServerUrlError::Malformed { text: text.to_owned(), reason: reason.to_owned() };
        let url = Url::parse(text.trim()).map_err(|error| malformed(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed("the scheme must be http or https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            // Not repeated in the message: it may hold a password.
            return Err(ServerUrlError::Malformed {
                text: url.host_str().unwrap_or_default().to_owned(),
                reason: "a user name or password does not belong into it".to_owned(),
            });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(malformed("nothing may follow the path"));
        }
        let server = Self(url.as_str().trim_end_matches('/').to_owned());
        if url.scheme() == "http" && !allow_insecure && !server.is_loopback() {
            return Err(ServerUrlError::Insecure(server.0));
        }
        Ok(server)
    }

    /// The address, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match Url::parse(&self.0).ok().as_ref().and_then(Url::host) {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            None => false,
        }
    }

    /// Whether it is plain `http://`.
    #[must_use]
    pub fn is_plain_http(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Where a function is called. `name` is canonical: `module.function`.
    #[must_use]
    pub fn run_url(&self, name: &str) -> String {
        format!("{}/api/run/{}", self.0, name.replacen('.', "/", 1))
    }

    /// Where the live channel is: `ws://` or `wss://`.
    #[must_use]
    pub fn sync_url(&self) -> String {
        format!("ws{}/api/sync", self.0.trim_start_matches("http"))
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_slash_makes_no_other_server() {
        let server = ServerUrl::parse("https://rooms.example.org/", false).unwrap();
        assert_eq!(server, ServerUrl::parse(" https://Rooms.example.org", false).unwrap());
        assert_eq!(server.run_url("machines.listMachines"), "https://rooms.example.org/api/run/machines/listMachines");
        assert_eq!(server.sync_url(), "wss://rooms.example.org/api/sync");
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_allowed() {
        for text in ["http://127.0.0.1:7420", "http://localhost:1", "http://[::1]:7420", "http://a.localhost"] {
            assert!(ServerUrl::parse(text, false).unwrap().is_loopback(), "{text}");
        }
        for text in
            ["http://192.168.1.5:7420", "http://example.org", "http://localhost.example.org", "http://128.0.0.1"]
        {
            assert!(matches!(ServerUrl::parse(text, false), Err(ServerUrlError::Insecure(_))), "{text}");
            assert!(ServerUrl::parse(text, true).is_ok(), "{text}");
        }
        assert_eq!(
            ServerUrl::parse("http://127.0.0.1:7420/", false).unwrap().sync_url(),
            "ws://127.0.0.1:7420/api/sync"
        );
    }

    #[test]
    fn what_is_not_a_server_is_refused() {
        for text in ["", "example.org", "ftp://example.org", "https://example.org/?a=b", "https://example.org/#x"] {
            assert!(matches!(ServerUrl::parse(text, true), Err(ServerUrlError::Malformed { .. })), "{text}");
        }
        let error = ServerUrl::parse("https://me:hunter2@example.org", true).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }
}
