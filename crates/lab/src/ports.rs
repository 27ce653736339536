//! Free ports on loopback.

use std::collections::BTreeSet;
use std::io;
use std::net::TcpListener;

/// So many different free TCP ports of `127.0.0.1`. All are held while choosing, so no port is given twice; between
/// this call and the use another program may still take one, and the one that then fails says so.
pub fn free(count: usize) -> io::Result<Vec<u16>> {
    let mut held = Vec::with_capacity(count);
    let mut ports = BTreeSet::new();
    while ports.len() < count {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        // The lab also serves DNS over UDP on some of them.
        if std::net::UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            ports.insert(port);
        }
        held.push(listener);
    }
    Ok(ports.into_iter().collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_all_different_and_can_be_bound() {
        let ports = super::free(8).expect("loopback has free ports");
        assert_eq!(ports.len(), 8);
        for port in ports {
            std::net::TcpListener::bind(("127.0.0.1", port)).expect("a free port can be bound");
        }
    }
}
