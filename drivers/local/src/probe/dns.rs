//! Names as probes.

use super::Names;
use crate::dns::query::{self, Asked};
use pilotlight_core::outcome::Failure;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(super) async fn ask(
    names: &dyn Names,
    name: &str,
    server: Option<SocketAddr>,
    expect: &[IpAddr],
    within: Duration,
) -> Result<String, Failure> {
    let found = match server {
        None => names.resolve(name).await?,
        Some(server) => at(server, name, expect, within).await?,
    };
    let list = |all: &[IpAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if found.is_empty() {
        return Err(Failure::transient(format!("{name} has no address")));
    }
    if expect.is_empty() || expect.iter().any(|e| found.contains(e)) {
        return Ok(format!("leads to {}", list(&found)));
    }
    Err(Failure::transient(format!("leads to {}, expected {}", list(&found), list(expect))))
}

/// The kinds of addresses that are expected; both where none are.
async fn at(server: SocketAddr, name: &str, expect: &[IpAddr], within: Duration) -> Result<Vec<IpAddr>, Failure> {
    let mut found = Vec::new();
    for v4 in [true, false] {
        if expect.is_empty() || expect.iter().any(|e| e.is_ipv4() == v4) {
            let answer = query::addresses(server, name, v4, within, Asked::Anybody).await;
            found.extend(answer.map_err(Failure::unreachable)?);
        }
    }
    Ok(found)
}
