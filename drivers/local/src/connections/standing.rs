//! Which fence stands around a server's clients, noted beside its gate: it outlives the agent on purpose, and one that a newer
//! plan does not want is renewed by nobody, so it would close for good.

use super::proxy::{Order, write_order};
use super::proxy_gate::ORDERS;
use super::{FenceError, KernelLease};
use pilotlight_gate::order::socket_path;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

const NOTE: &str = "connection-fence.json";

/// A fence of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// The kernel's, around this port.
    Kernel(u16),
    /// A proxy: where clients connect, and where the server is.
    Proxy(SocketAddr, SocketAddr),
}

/// Why the fence of an earlier plan still stands.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// The kernel did not take it away.
    #[error("the kernel's fence of an earlier plan cannot be taken away, which cuts clients off at port {port}")]
    Kernel {
        /// Of the server.
        port: u16,
        /// Why.
        #[source]
        source: FenceError,
    },
    /// The proxy cannot be told, or the note cannot be read or written.
    #[error("the fence of an earlier plan cannot be looked for in {folder}")]
    Note {
        /// Of the component.
        folder: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Takes away what stands around the server of that `name`, unless it is what is `wanted`, and notes that. `folder` is the agent's
/// own of the component; `program` sets the kernel's rules.
pub fn settle(folder: &Path, name: &str, wanted: Option<Standing>, program: &str) -> Result<(), StandingError> {
    let failed = |source| StandingError::Note { folder: folder.display().to_string(), source };
    let note = folder.join(NOTE);
    let before: Option<Standing> = match fs::read(&note) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        read => serde_json::from_slice(&read.map_err(failed)?).map_err(|e| failed(e.into()))?,
    };
    if before == wanted {
        return Ok(());
    }
    match before {
        Some(Standing::Kernel(port)) => KernelLease::new(name, port, [])
            .by(program)
            .lift()
            .map_err(|source| StandingError::Kernel { port, source })?,
        Some(Standing::Proxy(..)) => end_proxy(folder).map_err(failed)?,
        None => {}
    }
    let text = serde_json::to_vec(&wanted).map_err(|e| failed(e.into()))?;
    let aside = note.with_extension("tmp");
    let write = || {
        fs::create_dir_all(folder)?;
        fs::write(&aside, &text)?;
        fs::rename(&aside, &note)
    };
    write().map_err(failed)
}

/// One that is gone already needs no word.
fn end_proxy(folder: &Path) -> io::Result<()> {
    let open = File::open(folder)?;
    let told = UnixDatagram::unbound()?.send_to(write_order(Order::End).as_bytes(), socket_path(folder, &open, ORDERS));
    match told {
        Err(e) if !matches!(e.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_of_another_plan_is_ended_and_one_of_this_plan_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let proxy = UnixDatagram::bind(folder.path().join(ORDERS)).unwrap();
        proxy.set_nonblocking(true).unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let settle = |wanted| settle(folder.path(), "db", wanted, "no-such-program").unwrap();
        let mut heard = [0; 16];
        for (wanted, ends) in [
            (Some(Standing::Proxy(at(1), at(2))), false),
            (Some(Standing::Proxy(at(1), at(2))), false),
            (Some(Standing::Proxy(at(1), at(3))), true),
            (None, true),
            (None, false),
        ] {
            settle(wanted);
            let told = proxy.recv(&mut heard).map(|length| heard[..length].to_vec());
            assert_eq!(told.is_ok_and(|word| word == b"end"), ends, "{wanted:?}");
        }
        settle(Some(Standing::Proxy(at(1), at(2))));
        drop(proxy);
        settle(None);
    }
}
