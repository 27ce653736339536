//! Free ports on loopback.
//!
//! Of those that the system gives nobody by itself, where there are such: a port that it may give to any client that dials
//! is taken again by the time a server has been made for it, now and then.

use std::collections::BTreeSet;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the system says which ports it gives by itself.
const GIVEN_BY_THE_SYSTEM: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// So many below those are chosen from.
const CHOICE: u16 = 12_000;
/// When so many were looked at, the system gives the rest.
const LOOKS: u32 = 1_000;
/// Processes that choose at the same time begin so far from each other.
const APART: u32 = 613;
/// How many this process has looked at: it never gives the same twice before it has been through all.
static LOOKED_AT: AtomicU32 = AtomicU32::new(0);

/// So many different free TCP ports of `127.0.0.1`. All are held while choosing, so no port is given twice; between
/// this call and the use another program may still take one, and the one that then fails says so.
pub fn free(count: usize) -> io::Result<Vec<u16>> {
    let choice = choice();
    let mut held = Vec::with_capacity(count);
    let mut ports = BTreeSet::new();
    let mut looks = 0;
    while ports.len() < count {
        looks += 1;
        let wanted = choice.as_ref().filter(|_| looks <= LOOKS).map_or(0, next);
        let listener = match TcpListener::bind(("127.0.0.1", wanted)) {
            Err(e) if wanted != 0 && e.kind() == io::ErrorKind::AddrInUse => continue,
            listener => listener?,
        };
        let port = listener.local_addr()?.port();
        // The lab also serves DNS over UDP on some of them.
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            ports.insert(port);
        }
        held.push(listener);
    }
    Ok(ports.into_iter().collect())
}

/// `None` where the system does not say, or leaves no room below.
fn choice() -> Option<Range<u16>> {
    let first = std::fs::read_to_string(GIVEN_BY_THE_SYSTEM).ok()?.split_whitespace().next()?.parse::<u16>().ok()?;
    // What is registered for well-known servers is mostly below.
    (first >= 2 * CHOICE).then(|| first - CHOICE..first)
}

fn next(choice: &Range<u16>) -> u16 {
    let number = std::process::id().wrapping_mul(APART).wrapping_add(LOOKED_AT.fetch_add(1, Ordering::Relaxed));
    choice.start + u16::try_from(number % u32::from(choice.end - choice.start)).expect("less than a port's range")
}

#[cfg(test)]
mod tests {
    use super::{choice, free};

    #[test]
    fn ports_are_all_different_and_can_be_bound() {
        let ports = free(8).expect("loopback has free ports");
        assert_eq!(ports.len(), 8);
        for port in ports {
            std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port can be bound");
        }
    }

    #[test]
    fn nobody_who_dials_is_given_one_of_them() {
        let Some(choice) = choice() else { return };
        let (ports, more) = (free(8).expect("free ports"), free(8).expect("free ports"));
        assert!(ports.iter().chain(&more).all(|port| choice.contains(port)), "{ports:?} {more:?} of {choice:?}");
        assert!(ports.iter().all(|port| !more.contains(port)), "given twice: {ports:?} {more:?}");
    }
}
