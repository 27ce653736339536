//! Takes each finished request once: writes it to the log, keeps it in memory, shows how things stand now.
//!
//! One task does all three, so that the requests themselves never wait for a disk or a lock.

use crate::measure::request_log::{ClientLog, LogLine, Memory, RequestOutcome};
use pilotlight_core::id::Region;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{mpsc, oneshot, watch};

/// Lines wait at most so long for the disk, and the live view is at most so old.
const FLUSH: Duration = Duration::from_millis(100);

/// How things stand now, for a person who watches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientLive {
    /// Requests that ended.
    pub ended: u64,
    /// Of those, acknowledged.
    pub acked: u64,
    /// Of those, not acknowledged.
    pub failed: u64,
    /// Acknowledged within the last second.
    pub acked_last_second: u32,
    /// Failed within the last second.
    pub failed_last_second: u32,
    /// The region that acknowledged last.
    pub region: Option<Region>,
    /// Where that was.
    pub address: Option<IpAddr>,
    /// When the newest acknowledged request was sent.
    pub last_acked: Option<Wall>,
    /// What went wrong last.
    pub last_failure: Option<LastFailure>,
    /// Why the request log is not written any more.
    pub file_error: Option<String>,
}

/// A request that was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When it was sent.
    pub sent: Wall,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// What went wrong.
    pub error: String,
}

impl LastFailure {
    /// For people who watch: what the client saw, without how its library or the system calls it. The request log has that.
    pub fn words(&self) -> String {
        let inner = self.error.rsplit(": ").next().unwrap_or_default();
        let inner = inner.split(" (os error").next().unwrap_or_default().to_lowercase();
        match self.outcome {
            RequestOutcome::Timeout => "no answer in time".to_owned(),
            RequestOutcome::Error => format!("no connection: {inner}"),
            RequestOutcome::InDoubt => format!("no answer: {inner}"),
            RequestOutcome::Refused | RequestOutcome::Acked => self.error.clone(),
        }
    }
}

/// A finished request on its way to the tally.
pub(crate) struct Finished {
    pub(crate) number: u64,
    pub(crate) line: LogLine,
}

/// What the tally is told.
pub(crate) enum Note {
    Finished(Finished),
    /// Wants to know what is in memory.
    Asked(oneshot::Sender<ClientLog>),
}

/// The state of the task.
pub(crate) struct Tally {
    pub(crate) client: String,
    pub(crate) memory: Memory,
    pub(crate) file: tokio::fs::File,
    pub(crate) live: watch::Sender<ClientLive>,
    pub(crate) clock: Arc<dyn Clock>,
    waiting: Vec<u8>,
    /// What the file has: bytes and lines.
    bytes: u64,
    lines: u64,
    now: ClientLive,
    recent: VecDeque<(Mono, bool)>,
}

impl Tally {
    pub(crate) fn new(
        client: String,
        room: usize,
        file: tokio::fs::File,
        live: watch::Sender<ClientLive>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            client,
            memory: Memory::new(room),
            file,
            live,
            clock,
            waiting: Vec::new(),
            bytes: 0,
            lines: 0,
            now: ClientLive::default(),
            recent: VecDeque::new(),
        }
    }

    /// Takes notes until nobody can send any more; then returns what it knows.
    pub(crate) async fn run(mut self, mut notes: mpsc::Receiver<Note>) -> ClientLog {
        let clock = self.clock.clone();
        let mut pause = clock.sleep(FLUSH);
        loop {
            tokio::select! {
                note = notes.recv() => match note {
                    Some(Note::Finished(finished)) => self.take(&finished),
                    // Whoever asked may have gone; then nobody misses the answer.
                    Some(Note::Asked(reply)) => drop(reply.send(self.log())),
                    None => break,
                },
                () = &mut pause => {
                    self.flush().await;
                    self.show();
                    pause = clock.sleep(FLUSH);
                }
            }
        }
        self.flush().await;
        if let Err(error) = self.file.sync_all().await {
            self.blame(&error);
        }
        self.show();
        self.log()
    }

    fn take(&mut self, finished: &Finished) {
        let Finished { number, line } = finished;
        self.memory.keep(*number, line);
        serde_json::to_writer(&mut self.waiting, line).expect("a log line has only keys that are text");
        self.waiting.push(b'\n');
        let ok = line.outcome == RequestOutcome::Acked;
        self.recent.push_back((Mono(Duration::from_micros(line.end_us)), ok));
        self.now.ended += 1;
        if ok {
            let moved = self.now.region != line.region;
            self.now.acked += 1;
            self.now.last_acked = self.now.last_acked.max(Some(Wall(line.wall_ms)));
            self.now.region.clone_from(&line.region);
            self.now.address = line.address;
            if moved {
                self.show();
            }
        } else {
            self.now.failed += 1;
            self.now.last_failure = Some(LastFailure {
                sent: Wall(line.wall_ms),
                outcome: line.outcome,
                error: line.error.clone().unwrap_or_default(),
            });
        }
    }

    fn show(&mut self) {
        let now = self.clock.mono();
        while self.recent.front().is_some_and(|(at, _)| now.since(*at) > Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        let count = |ok: bool| u32::try_from(self.recent.iter().filter(|r| r.1 == ok).count()).unwrap_or(u32::MAX);
        self.now.acked_last_second = count(true);
        self.now.failed_last_second = count(false);
        self.live.send_replace(self.now.clone());
    }

    /// After the first error nothing more is written: a log with a hole in it would look like an outage.
    async fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() || self.now.file_error.is_some() {
            return;
        }
        let written = async {
            self.file.write_all(&waiting).await?;
            self.file.flush().await
        };
        let went = match written.await {
            Ok(()) => waiting.as_slice(),
            Err(error) => {
                self.blame(&error);
                self.went_before_the_error(&waiting).await
            }
        };
        self.bytes += u64::try_from(went.len()).unwrap_or(u64::MAX);
        self.lines += u64::try_from(went.iter().filter(|b| **b == b'\n').count()).unwrap_or(u64::MAX);
        if self.now.file_error.is_some()
            && let Err(error) = self.file.set_len(self.bytes).await
        {
            tracing::debug!(%error, "the last line of the request log may be cut");
        }
    }

    /// The whole lines that the disk took before it refused the rest.
    async fn went_before_the_error<'a>(&self, waiting: &'a [u8]) -> &'a [u8] {
        let length = self.file.metadata().await.map_or(0, |m| m.len());
        let went = usize::try_from(length.saturating_sub(self.bytes)).unwrap_or(0).min(waiting.len());
        let whole = waiting[..went].iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        &waiting[..whole]
    }

    fn blame(&mut self, error: &std::io::Error) {
        if self.now.file_error.is_none() {
            tracing::warn!(%error, "the request log is incomplete; measuring goes on in memory");
            self.now.file_error = Some(error.to_string());
        }
    }

    fn log(&self) -> ClientLog {
        ClientLog {
            client: self.client.clone(),
            samples: self.memory.samples(),
            forgotten: self.memory.forgotten(),
            skipped: 0,
            logged: self.lines,
            file_error: self.now.file_error.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_without_the_words_of_libraries() {
        let words = |outcome, error: &str| LastFailure { sent: Wall(0), outcome, error: error.to_owned() }.words();
        let refused = "client error (Connect): tcp connect error: Connection refused (os error 111)";
        assert_eq!(words(RequestOutcome::Error, refused), "no connection: connection refused");
        let broken = "client error (SendRequest): connection closed before message completed";
        assert_eq!(words(RequestOutcome::InDoubt, broken), "no answer: connection closed before message completed");
        assert_eq!(words(RequestOutcome::Timeout, "operation timed out"), "no answer in time");
        // What the service itself says is its own.
        assert_eq!(words(RequestOutcome::Refused, "503: Read-only: wait"), "503: Read-only: wait");
    }
}
