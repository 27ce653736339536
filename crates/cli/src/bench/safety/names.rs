//! Asks for the application's name all the time: once it was published it must never be empty.
//!
//! A server that is not heard in time is no empty name: on a busy machine that is now and then. One that stays silent is.

use pilotlight_driver::clock::SystemClock;
use pilotlight_engine::measure::{NameResolver, ResolveError};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Between two questions; the resolver honours the time to live.
const PAUSE: Duration = Duration::from_millis(200);
/// Questions without an answer, one after the other, from which on each counts.
const SILENT: u32 = 10;

/// A watch over one name. Ends with this.
pub(super) struct Watch {
    empty: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Asks the authority at `server` for `name` until it is dropped. While it is `away` no answer is none; its first one
    /// ends that.
    pub(super) fn start(server: SocketAddr, name: &'static str, away: Arc<AtomicBool>) -> std::io::Result<Self> {
        let resolver = NameResolver::new(server, Arc::new(SystemClock)).map_err(std::io::Error::other)?;
        let empty = Arc::new(AtomicU64::new(0));
        let count = empty.clone();
        let task = tokio::spawn(async move {
            let mut unheard = 0;
            loop {
                let asks = resolver.known(name).is_none();
                let found = resolver.addresses(name).await;
                unheard = if matches!(found, Err(ResolveError::NoAnswer { .. })) { unheard + 1 } else { 0 };
                if found.is_ok_and(|addresses| !addresses.is_empty()) {
                    if asks {
                        away.store(false, Ordering::Relaxed);
                    }
                } else if !away.load(Ordering::Relaxed) && (unheard == 0 || unheard >= SILENT) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Ok(Self { empty, task })
    }

    /// How often there was no address.
    pub(super) fn empty(&self) -> u64 {
        self.empty.load(Ordering::Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}
