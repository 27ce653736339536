//! The outside client: pays at a steady rate through the name that users use, and writes down what became of it.

use crate::measure::connections::{Answer, Connections};
use crate::measure::pace::Pace;
use crate::measure::request_log::{ClientLog, LogLine, id_of};
use crate::measure::resolve::{NameResolver, ResolveError};
use crate::measure::tally::{ClientLive, Finished, Note, Tally};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::Clock;
use reqwest::Url;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Requests kept in memory unless told otherwise: an hour at 200 a second, about 30 MiB.
pub const KEEP: usize = 720_000;

/// Finished requests that may wait for the tally; it is far faster than any rate a client is run at.
const NOTES: usize = 4_096;

/// Fewest requests that may be under way at once.
const LEAST_SLOTS: u64 = 64;

/// The outside client.
pub struct Client;

/// What it is started with.
#[derive(Clone)]
pub struct ClientParts {
    /// Where payments are posted, `http://` and the name that users ask for.
    pub url: String,
    /// The DNS server that is asked for the name, and no other.
    pub dns_server: SocketAddr,
    /// Requests a second.
    pub rate: u32,
    /// A request that takes longer has failed.
    pub timeout: Duration,
    /// The request log; made anew.
    pub log_path: PathBuf,
    /// Requests kept in memory, for example [`KEEP`].
    pub keep: usize,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// It could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL cannot be used.
    #[error("the outside client cannot use {url}: {why}")]
    Url { url: String, why: String },
    /// The resolver cannot be set up.
    #[error(transparent)]
    Resolver(#[from] ResolveError),
    /// The HTTP client cannot be set up.
    #[error("cannot set up the outside client")]
    Http(#[source] reqwest::Error),
    /// The log cannot be made.
    #[error("cannot make the request log {path}")]
    Log { path: PathBuf, source: io::Error },
}

/// A running client. Sends no more once this is dropped.
pub struct ClientHandle {
    client: String,
    live: watch::Receiver<ClientLive>,
    notes: mpsc::Sender<Note>,
    skipped: Arc<AtomicU64>,
    stop: DropGuard,
    sending: JoinHandle<()>,
    tally: JoinHandle<ClientLog>,
}

/// What the sending task needs.
struct Sending {
    connections: Arc<Connections>,
    client: String,
    notes: mpsc::Sender<Note>,
    skipped: Arc<AtomicU64>,
    slots: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
}

impl Client {
    /// Starts it; the first payment is sent at once.
    pub async fn start(parts: ClientParts) -> Result<ClientHandle, ClientError> {
        let unusable = |why: String| ClientError::Url { url: parts.url.clone(), why };
        let url = Url::parse(&parts.url).map_err(|e| unusable(e.to_string()))?;
        if url.scheme() != "http" || url.host_str().is_none() {
            return Err(unusable("it must be http:// and a name".to_owned()));
        }
        let resolver = NameResolver::new(parts.dns_server, parts.clock.clone())?;
        let connections = Connections::new(url, parts.timeout, resolver).map_err(ClientError::Http)?;
        let made = tokio::fs::File::create(&parts.log_path).await;
        let file = made.map_err(|source| ClientError::Log { path: parts.log_path.clone(), source })?;

        let client = name_of_client(parts.clock.as_ref());
        let (live_sender, live) = watch::channel(ClientLive::default());
        let (notes, received) = mpsc::channel(NOTES);
        let tally = Tally::new(client.clone(), parts.keep, file, live_sender, parts.clock.clone());
        let skipped = Arc::new(AtomicU64::new(0));
        let stop = CancellationToken::new();
        let sending = Sending {
            connections: Arc::new(connections),
            client: client.clone(),
            notes: notes.clone(),
            skipped: skipped.clone(),
            slots: Arc::new(Semaphore::new(slots(parts.rate, parts.timeout))),
            clock: parts.clock,
            stop: stop.clone(),
        };
        let tally = tokio::spawn(tally.run(received));
        let sending = tokio::spawn(sending.run(parts.rate));
        Ok(ClientHandle { client, live, notes, skipped, stop: stop.drop_guard(), sending, tally })
    }
}

impl ClientHandle {
    /// How things stand, at most a tenth of a second old.
    pub fn live(&self) -> ClientLive {
        self.live.borrow().clone()
    }

    /// Tells of every change of [`ClientHandle::live`].
    pub fn watch(&self) -> watch::Receiver<ClientLive> {
        self.live.clone()
    }

    /// The name that the ids of its payments begin with.
    pub fn name(&self) -> &str {
        &self.client
    }

    /// What is in memory now; the client goes on.
    pub async fn snapshot(&self) -> ClientLog {
        let (reply, answer) = oneshot::channel();
        // The tally lives as long as this handle; should it have panicked, `stop` says so.
        let log = match self.notes.send(Note::Asked(reply)).await {
            Ok(()) => answer.await.unwrap_or_default(),
            Err(_) => ClientLog::default(),
        };
        self.complete(log)
    }

    /// Sends no more, waits for the requests under way and for the disk, and returns what is in memory.
    pub async fn stop(self) -> ClientLog {
        let ClientHandle { client, notes, skipped, stop, sending, tally, .. } = self;
        drop((stop, notes));
        if let Err(error) = sending.await {
            tracing::error!(%error, "the outside client ended early");
        }
        let log = tally.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the request log ended early");
            ClientLog { client, file_error: Some(error.to_string()), ..ClientLog::default() }
        });
        ClientLog { skipped: skipped.load(Ordering::Relaxed), ..log }
    }

    fn complete(&self, log: ClientLog) -> ClientLog {
        ClientLog { client: self.client.clone(), skipped: self.skipped.load(Ordering::Relaxed), ..log }
    }
}

impl Sending {
    async fn run(self, rate: u32) {
        let under_way = TaskTracker::new();
        let mut pace = Pace::new(rate, self.clock.mono());
        for number in 1_u64.. {
            let wait = pace.next(self.clock.mono());
            let wait = async {
                if !wait.is_zero() {
                    self.clock.sleep(wait).await;
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = wait => {}
            }
            let Ok(slot) = self.slots.clone().try_acquire_owned() else {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let (connections, notes, clock) = (self.connections.clone(), self.notes.clone(), self.clock.clone());
            let id = id_of(&self.client, number);
            under_way.spawn(async move {
                let _slot = slot;
                let (start, wall) = (clock.mono(), clock.wall());
                let answer = connections.pay(&id).await;
                let line = line(id, start, clock.mono(), wall.0, answer);
                // Fails only when the tally is gone, and then there is nobody to tell.
                let _ = notes.send(Note::Finished(Finished { number, line })).await;
            });
        }
        under_way.close();
        under_way.wait().await;
    }
}

fn line(id: String, start: Mono, end: Mono, wall_ms: u64, answer: Answer) -> LogLine {
    let us = |at: Mono| u64::try_from(at.0.as_micros()).unwrap_or(u64::MAX);
    let Answer { outcome, region, address, error } = answer;
    LogLine { id, start_us: us(start), end_us: us(end), wall_ms, outcome, region, address, error }
}

/// As many as can be under way when every request hangs until its timeout, and a quarter more. With fewer, the first good
/// request after an outage would have to wait for a slot, and the outage would be measured longer than it was.
fn slots(rate: u32, timeout: Duration) -> usize {
    let hanging = u128::from(rate) * timeout.as_millis() / 1_000;
    let wanted = u64::try_from(hanging * 5 / 4).unwrap_or(u64::MAX).max(LEAST_SLOTS);
    usize::try_from(wanted).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// No two clients have the same: the time and a number that is random per process and call.
fn name_of_client(clock: &dyn Clock) -> String {
    let random = RandomState::new().hash_one(std::process::id()) & 0xFFFF_FFFF;
    format!("{:x}{random:08x}", clock.wall().0)
}
