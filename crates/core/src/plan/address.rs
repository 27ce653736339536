//! URLs, host names and ports, as far as a plan must understand them to compare them.
//!
//! Not a URL library: nothing is decoded or normalised but the case of the scheme. Who dials parses again with a real one.

use std::net::{IpAddr, Ipv6Addr};

/// The parts of a URL that the plan looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https`, else `http`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// The port, or the scheme's own.
    pub port: u16,
}

/// Why a text is not a URL for a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotUrl {
    /// It is not `http://` or `https://` and a host.
    Malformed,
    /// It carries a user or a password.
    Credentials,
}

impl Endpoint {
    /// The scheme, host and port of an `http` or `https` URL.
    pub fn of_url(url: &str) -> Option<Endpoint> {
        parse_url(url).ok()
    }

    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

/// Whether a host is this machine's own loopback.
pub(super) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub(super) fn parse_url(url: &str) -> Result<Endpoint, NotUrl> {
    let (scheme, rest) = url.split_once("://").ok_or(NotUrl::Malformed)?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => return Err(NotUrl::Malformed),
    };
    if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(NotUrl::Malformed);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(NotUrl::Credentials);
    }
    let (host, port) = split_host(authority).ok_or(NotUrl::Malformed)?;
    Ok(Endpoint { tls, host: host.to_owned(), port: port.unwrap_or(if tls { 443 } else { 80 }) })
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn split_host(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            let port = if after.is_empty() { None } else { Some(after.strip_prefix(':')?) };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(p) => Some(p.parse::<u16>().ok().filter(|p| *p > 0)?),
        None => None,
    };
    (host.parse::<Ipv6Addr>().is_ok() || is_host(host)).then_some((host, port))
}

/// A name or an address that could be dialled.
pub(super) fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
        || (!text.is_empty()
            && text.len() <= 253
            && text.split('.').all(|label| {
                !label.is_empty()
                    && label.len() <= 63
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            }))
}

/// Whether two hosts can mean the same listener: equal, both loopback by name, or one of them "every address".
pub(super) fn may_be_same_host(a: &str, b: &str) -> bool {
    let plain = |h: &str| if h.eq_ignore_ascii_case("localhost") { "127.0.0.1".to_owned() } else { h.to_lowercase() };
    let every = |h: &str| h.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    plain(a) == plain(b) || (every(a) && (every(b) || is_loopback(b))) || (every(b) && is_loopback(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let ok = |tls, host: &str, port| Ok(Endpoint { tls, host: host.into(), port });
        for (url, wanted) in [
            ("http://127.0.0.1:5380", ok(false, "127.0.0.1", 5380)),
            ("https://a.b/c?d#e", ok(true, "a.b", 443)),
            ("HTTP://[::1]:80/x", ok(false, "::1", 80)),
            ("http://u:p@h/", Err(NotUrl::Credentials)),
            ("http://h/@x", ok(false, "h", 80)),
            ("ftp://h", Err(NotUrl::Malformed)),
            ("http://", Err(NotUrl::Malformed)),
            ("http://h:0", Err(NotUrl::Malformed)),
            ("http://h:99999", Err(NotUrl::Malformed)),
            ("http://a b/", Err(NotUrl::Malformed)),
            ("127.0.0.1:80", Err(NotUrl::Malformed)),
        ] {
            assert_eq!(parse_url(url), wanted, "{url}");
        }
    }

    #[test]
    fn hosts_that_share_a_listener_are_seen() {
        for (a, b, same) in [
            ("localhost", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0", "127.0.0.2", true),
            ("127.0.0.1", "::", true),
            ("0.0.0.0", "db.example.com", false),
            ("DB.example.com", "db.example.com", true),
        ] {
            assert_eq!(may_be_same_host(a, b), same, "{a} {b}");
        }
    }
}
