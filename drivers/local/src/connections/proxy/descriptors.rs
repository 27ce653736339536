//! For how many clients the proxy's process may hold descriptors: two for each, and the system counts.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io;

/// What the proxy needs for itself: listener, orders, poll, its log, and room for one more who is turned away.
const OWN: u64 = 24;

/// Raises the limit of this process as far as it may. Returns for how many clients that is enough.
pub fn raise() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(clients(hard))
}

/// For how many clients a proxy that this process starts has enough.
pub fn most_clients() -> io::Result<u64> {
    Ok(clients(getrlimit(Resource::RLIMIT_NOFILE)?.1))
}

fn clients(descriptors: u64) -> u64 {
    descriptors.saturating_sub(OWN) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_takes_two() {
        assert_eq!((clients(1_024), clients(4_096)), (500, 2_036));
        assert_eq!(clients(0), 0);
    }
}
