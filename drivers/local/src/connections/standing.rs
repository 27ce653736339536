//! Which fence stands around a server's clients, noted beside its gate: it outlives the agent on purpose, and one that a newer
//! plan does not want is renewed by nobody, so it would close for good.

use super::proxy::{Order, write_order};
use super::proxy_gate::ORDERS;
use super::{FenceError, KernelLease};
use pilotlight_driver::file::replace_unflushed;
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
        read => match serde_json::from_slice(&read.map_err(failed)?) {
            Ok(before) => before,
            // Nobody knows what stands: all of it goes but what is wanted.
            Err(e) => {
                tracing::warn!(note = %note.display(), "whatever fence stands here is taken away: its note says nothing ({e})");
                return lift_all(folder, name, wanted, program)
                    .and_then(|()| write(folder, &note, wanted).map_err(failed));
            }
        },
    };
    if before == wanted {
        return Ok(());
    }
    match before {
        Some(Standing::Kernel(port)) => lift(name, port, program)?,
        Some(Standing::Proxy(..)) => end_proxy(folder).map_err(failed)?,
        None => {}
    }
    write(folder, &note, wanted).map_err(failed)
}

/// Takes away what stands around servers that are none of the `kept` ones: their component was renamed or taken out of the plan, and
/// nobody renews. Their folders are those in `state_dir`. What could not be taken away is tried again at the next start.
pub fn settle_others(state_dir: &Path, kept: impl Fn(&str) -> bool, program: &str) -> Vec<(String, StandingError)> {
    let found = fs::read_dir(state_dir).into_iter().flatten().flatten();
    let names =
        found.filter(|entry| entry.path().join(NOTE).exists()).filter_map(|entry| entry.file_name().into_string().ok());
    let others = names.filter(|name| !kept(name));
    others.filter_map(|name| settle(&state_dir.join(&name), &name, None, program).err().map(|e| (name, e))).collect()
}

fn lift(name: &str, port: u16, program: &str) -> Result<(), StandingError> {
    let lifted = KernelLease::new(name, port, []).by(program).lift();
    lifted.map_err(|source| StandingError::Kernel { port, source })
}

fn lift_all(folder: &Path, name: &str, wanted: Option<Standing>, program: &str) -> Result<(), StandingError> {
    end_proxy(folder).map_err(|source| StandingError::Note { folder: folder.display().to_string(), source })?;
    // Without the program, or the right to ask, none could have been set up here.
    let ports = KernelLease::ports(name, program).unwrap_or_default();
    let mut others = ports.into_iter().filter(|port| wanted != Some(Standing::Kernel(*port)));
    others.try_for_each(|port| lift(name, port, program))
}

/// Unflushed: what the kernel kept, and the proxy, go with the power.
fn write(folder: &Path, note: &Path, wanted: Option<Standing>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    replace_unflushed(note, &serde_json::to_vec(&wanted)?)
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

    #[test]
    fn what_stands_around_a_component_that_the_plan_has_no_more_is_ended_and_so_is_one_whose_note_says_nothing() {
        let state = tempfile::tempdir().unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let proxies = ["kept", "renamed", "garbled"].map(|name| {
            let folder = state.path().join(name);
            settle(&folder, name, Some(Standing::Proxy(at(1), at(2))), "no-such-program").unwrap();
            let proxy = UnixDatagram::bind(folder.join(ORDERS)).unwrap();
            proxy.set_nonblocking(true).unwrap();
            proxy
        });
        fs::write(state.path().join("garbled").join(NOTE), "{").unwrap();
        fs::create_dir(state.path().join("without-a-fence")).unwrap();
        let ended = || proxies.each_ref().map(|proxy| proxy.recv(&mut [0; 16]).is_ok());
        for ends in [[false, true, true], [false; 3]] {
            let failed = settle_others(state.path(), |name| name == "kept", "no-such-program");
            assert!(failed.is_empty(), "{failed:?}");
            assert_eq!(ended(), ends);
        }
        assert!(!state.path().join("without-a-fence").join(NOTE).exists());
    }
}
