//! The request log: one line of JSON per payment on disk, and the newest in memory.
//!
//! The disk has everything, the memory a bounded number, so that a client may run for ever. When the disk refuses, the
//! client goes on measuring in memory and says so: a full disk must not end the measurement of the outage it causes. The file
//! then ends with its last whole line, and nothing is written after it.

use pilotlight_core::id::Region;
use pilotlight_core::measure::Sample;
use pilotlight_core::time::{Mono, Wall};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// How a payment ended, as the client saw it. Only [`RequestOutcome::Acked`] says anything about what is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestOutcome {
    /// A complete 2xx answer came.
    Acked,
    /// The service answered that it did not work.
    Refused,
    /// No connection came about: it was certainly not sent.
    Error,
    /// No answer came in time.
    Timeout,
    /// It was sent and then the connection broke.
    InDoubt,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// The payment: the client's name, `-`, its number.
    pub id: String,
    /// When it was sent, in microseconds of the machine's monotonic clock.
    pub start_us: u64,
    /// When its end was known, on the same clock.
    pub end_us: u64,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The region that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// Where it was sent, or what the name stood for when it could not be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl LogLine {
    /// What the arithmetic needs of it; `None` when the id is not one of ours.
    pub fn sample(&self) -> Option<Sample> {
        Some(Sample {
            id: number_of(&self.id)?.1,
            start: Mono(Duration::from_micros(self.start_us)),
            end: Mono(Duration::from_micros(self.end_us)),
            wall: Wall(self.wall_ms),
            ok: self.outcome == RequestOutcome::Acked,
            region: self.region.clone(),
        })
    }
}

/// The id of a client's payment.
pub(crate) fn id_of(client: &str, number: u64) -> String {
    format!("{client}-{number}")
}

/// The client's name and the number of an id.
pub(crate) fn number_of(id: &str) -> Option<(&str, u64)> {
    let (client, number) = id.rsplit_once('-')?;
    Some((client, number.parse().ok()?))
}

/// What a client saw, when it has ended or while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientLog {
    /// The client's name: the ids of its payments begin with it.
    pub client: String,
    /// The newest requests, in the order of their ends.
    pub samples: Vec<Sample>,
    /// Requests that are no longer in memory; the file has them.
    pub forgotten: u64,
    /// Requests that were due and not sent because too many were under way.
    pub skipped: u64,
    /// Requests that the file has, each a whole line.
    pub logged: u64,
    /// Why the file does not have everything.
    pub file_error: Option<String>,
}

impl ClientLog {
    /// The requests that were sent from `from` on.
    pub fn since(&self, from: Mono) -> Vec<Sample> {
        self.samples.iter().filter(|s| s.start >= from).cloned().collect()
    }
}

/// The newest requests, each in 40 bytes: names of regions are kept once.
#[derive(Debug)]
pub(crate) struct Memory {
    room: usize,
    kept: VecDeque<Compact>,
    regions: Vec<Region>,
    forgotten: u64,
}

#[derive(Debug, Clone, Copy)]
struct Compact {
    number: u64,
    start_us: u64,
    wall_ms: u64,
    took_us: u32,
    region: u16,
    ok: bool,
}

/// Stands for "no region".
const NO_REGION: u16 = u16::MAX;

impl Memory {
    pub(crate) fn new(room: usize) -> Self {
        Self { room: room.max(1), kept: VecDeque::new(), regions: Vec::new(), forgotten: 0 }
    }

    pub(crate) fn keep(&mut self, number: u64, line: &LogLine) {
        if self.kept.len() == self.room {
            self.kept.pop_front();
            self.forgotten += 1;
        }
        let region = line.region.as_ref().map_or(NO_REGION, |region| self.index(region));
        self.kept.push_back(Compact {
            number,
            start_us: line.start_us,
            wall_ms: line.wall_ms,
            took_us: u32::try_from(line.end_us.saturating_sub(line.start_us)).unwrap_or(u32::MAX),
            region,
            ok: line.outcome == RequestOutcome::Acked,
        });
    }

    /// Regions are few; a service that invents a new one with every answer is not followed for ever.
    fn index(&mut self, region: &Region) -> u16 {
        let known = self.regions.iter().position(|r| r == region);
        let index = known.unwrap_or_else(|| {
            if self.regions.len() < 1_000 {
                self.regions.push(region.clone());
                self.regions.len() - 1
            } else {
                usize::from(NO_REGION)
            }
        });
        u16::try_from(index).unwrap_or(NO_REGION)
    }

    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |c: &Compact| Sample {
            id: c.number,
            start: Mono(Duration::from_micros(c.start_us)),
            end: Mono(Duration::from_micros(c.start_us + u64::from(c.took_us))),
            wall: Wall(c.wall_ms),
            ok: c.ok,
            region: self.regions.get(usize::from(c.region)).cloned(),
        };
        self.kept.iter().map(sample).collect()
    }
}

/// Reads a log. A last line that is not whole (the client was killed while writing) is left out.
pub fn read_log(path: &Path) -> io::Result<Vec<LogLine>> {
    let text = std::fs::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let line = |(index, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, format!("{}:{}: {e}", path.display(), index + 1)))
    };
    whole.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, outcome: RequestOutcome, region: &str) -> LogLine {
        LogLine {
            id: id_of("c1-2", number),
            start_us: 1_000 * number,
            end_us: 1_000 * number + 7,
            wall_ms: number,
            outcome,
            region: Some(region.into()),
            address: None,
            error: None,
        }
    }

    #[test]
    fn memory_keeps_the_newest_and_counts_the_rest() {
        let mut memory = Memory::new(3);
        for number in 0..5 {
            memory.keep(number, &line(number, RequestOutcome::Acked, if number < 3 { "east" } else { "west" }));
        }
        assert_eq!(memory.forgotten(), 2);
        let expected: Vec<_> = [(2, "east"), (3, "west"), (4, "west")]
            .map(|(n, region)| line(n, RequestOutcome::Acked, region).sample().unwrap())
            .into();
        assert_eq!(memory.samples(), expected);
    }

    #[test]
    fn a_log_that_was_cut_off_is_read_up_to_its_last_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("requests.jsonl");
        let lines = [line(1, RequestOutcome::Acked, "east"), line(2, RequestOutcome::Timeout, "east")];
        let text: String = lines.iter().map(|l| serde_json::to_string(l).unwrap() + "\n").collect();
        std::fs::write(&path, format!("{text}{{\"id\":\"c1-2-3\",\"sta")).unwrap();
        assert_eq!(read_log(&path).unwrap(), lines);
        std::fs::write(&path, format!("nonsense\n{text}")).unwrap();
        assert!(read_log(&path).unwrap_err().to_string().contains("requests.jsonl:1:"));
        std::fs::write(&path, "").unwrap();
        assert_eq!(read_log(&path).unwrap(), []);
    }

    #[test]
    fn an_id_says_whose_and_which() {
        assert_eq!(number_of(&id_of("18f-a3", 42)), Some(("18f-a3", 42)));
        assert_eq!(number_of("42"), None);
        assert_eq!(number_of("18f-a3-x"), None);
    }
}
