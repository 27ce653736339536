//! Dialling a port: as a probe, and as the controller's look at the port of a silent region's writer.

use super::names::{Names, SystemNames, addresses};
use pilotlight_core::outcome::Failure;
use pilotlight_core::verdict::PortAnswer;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

pub(super) async fn ask(names: &dyn Names, address: &str) -> Result<String, Failure> {
    let mut last = None;
    for candidate in addresses(names, address).await? {
        match TcpStream::connect(candidate).await {
            Ok(_) => return Ok(format!("{candidate} accepts connections")),
            Err(e) => last = Some((candidate, e)),
        }
    }
    Err(match last {
        Some((at, e)) => Failure::unreachable(format!("{at} does not accept connections: {e}")),
        None => Failure::unreachable("there is no address to connect to"),
    })
}

/// Dials a port and says what came of it. A name that cannot be resolved is as silent as an address that is gone.
pub async fn port(address: &str, timeout: Duration) -> PortAnswer {
    let dial = async {
        let mut refused = false;
        for candidate in addresses(&SystemNames, address).await.unwrap_or_default() {
            match TcpStream::connect(candidate).await {
                Ok(_) => return PortAnswer::Answers,
                Err(e) => refused |= e.kind() == io::ErrorKind::ConnectionRefused,
            }
        }
        if refused { PortAnswer::Refused } else { PortAnswer::Unreachable }
    };
    tokio::time::timeout(timeout, dial).await.unwrap_or(PortAnswer::Unreachable)
}
