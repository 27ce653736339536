//! A PostgreSQL server with its disk, as far as the safety of writes depends on it.
//!
//! The disk is a list of WAL entries; entries of different timelines never have the same number, so two disks have gone
//! different ways where their entries differ. What a server does over time (starting, promoting, streaming) is in
//! `world::effects` and `world::replication`; here is what it is and what a look shows.

use crate::place::Place;
use crate::timeline::Nanos;
use pilotlight_core::candidate::{Waiting, Waits};
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::observation::{Role, Sentinel, State};
use pilotlight_core::position::{Lag, LagQuality, Position};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::{Display, Write};
use std::time::Duration;

/// One WAL record that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Unique in the world.
    pub(crate) number: u32,
    pub(crate) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A client's write.
    Write(u32),
    Sentinel(Sentinel),
}

/// What runs on the data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// Nothing; `clean` after an orderly stop.
    Down {
        clean: bool,
    },
    /// Coming up, or going down: connections are refused.
    Busy,
    Standby,
    Primary,
    /// The postmaster is dead and sessions that were connected go on.
    Orphans,
}

/// How the data directory lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lies {
    AsWriter,
    AsStandby { upstream: Place },
}

/// A standby's end of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Receiver {
    pub(crate) stream: u64,
    pub(crate) last_word: Nanos,
    /// The end of the writer's WAL as it was last told.
    pub(crate) end_told: usize,
}

/// A primary's end of a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    pub(crate) stream: u64,
    /// Something is on its way.
    pub(crate) pumping: bool,
    /// Entries the standby has confirmed to have flushed.
    pub(crate) confirmed: usize,
    /// The name under which the standby came.
    pub(crate) name: Option<u64>,
}

/// The name of a standby.
pub(crate) fn name_text(number: u64) -> String {
    format!("pl_{number}")
}

/// That text is the name of that number; looked at with each confirmation, so no text is made for it.
pub(crate) fn is_named(number: Option<u64>, text: Option<&String>) -> bool {
    match (number, text) {
        (Some(number), Some(text)) => text.strip_prefix("pl_").is_some_and(|digits| digits.parse() == Ok(number)),
        (number, text) => number.is_none() && text.is_none(),
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) wal: Vec<Entry>,
    /// Entries that a loss of power leaves.
    pub(crate) flushed: usize,
    pub(crate) timeline: u32,
    pub(crate) server: Server,
    pub(crate) lies: Lies,
    /// The marker of a fence.
    pub(crate) fenced: bool,
    /// All its processes are stopped, not dead.
    pub(crate) frozen: bool,
    /// No new writes: it is being stopped.
    pub(crate) stopping: bool,
    /// Raised when whatever runs is killed; what was begun before never ends.
    pub(crate) life: u64,
    pub(crate) receiver: Option<Receiver>,
    pub(crate) sender: Option<Sender>,
    /// Writes that reached it while it was frozen.
    pub(crate) held_up: Vec<u32>,
    /// What commits wait for, as it stands in its settings.
    pub(crate) waits: Waits,
    /// For what that was proven, as its agent has noted.
    pub(crate) proven: Option<Waits>,
    /// The life in which it was last being made to wait for somebody, while that is under way.
    pub(crate) made_to_wait: Option<u64>,
    /// A standby: the number in the name under which it follows.
    pub(crate) name: Option<u64>,
    /// Faults that make its recovery take long.
    pub(crate) slow: u32,
    /// Its recovery is over then.
    pub(crate) recovered: Nanos,
    /// Commits that wait: the write, and the entries that somebody must have confirmed.
    pub(crate) waiting: VecDeque<(u32, usize)>,
}

impl Database {
    pub(crate) fn new(place: Place, writer: bool) -> Self {
        let lies = if writer { Lies::AsWriter } else { Lies::AsStandby { upstream: place.other() } };
        Self {
            wal: Vec::with_capacity(256),
            flushed: 0,
            timeline: 1,
            server: if writer { Server::Primary } else { Server::Standby },
            lies,
            fenced: false,
            frozen: false,
            stopping: false,
            life: 1,
            receiver: None,
            sender: None,
            held_up: Vec::new(),
            waits: Waits::default(),
            proven: None,
            made_to_wait: None,
            name: None,
            slow: 0,
            recovered: 0,
            waiting: VecDeque::new(),
        }
    }

    /// A standby that died is started with its promotion.
    pub(crate) fn starts_to_be_promoted(&mut self) {
        let died = matches!(self.server, Server::Down { .. }) && matches!(self.lies, Lies::AsStandby { .. });
        if died && !self.fenced {
            self.server = Server::Standby;
        }
    }

    /// It may acknowledge something now or, being frozen, as soon as it goes on.
    pub(crate) fn could_acknowledge(&self) -> bool {
        matches!(self.server, Server::Primary | Server::Orphans)
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.server == Server::Primary
    }

    /// Ends everything that runs at once.
    pub(crate) fn kill(&mut self) {
        self.server = Server::Down { clean: false };
        self.life += 1;
        (self.receiver, self.sender) = (None, None);
        (self.frozen, self.stopping) = (false, false);
        self.held_up.clear();
        self.waiting.clear();
        // What a dead process had not flushed is not on the disk.
        self.wal.truncate(self.flushed);
    }

    /// How many entries both disks begin with.
    pub(crate) fn common(&self, other: &Database) -> usize {
        self.wal.iter().zip(&other.wal).take_while(|(a, b)| a == b).count()
    }

    /// Clients' writes that this disk holds after the histories part.
    pub(crate) fn writes_beyond(&self, other: &Database) -> Vec<u32> {
        let writes = self.wal[self.common(other)..].iter().filter_map(|entry| match entry.what {
            What::Write(write) => Some(write),
            What::Sentinel(_) => None,
        });
        writes.collect()
    }

    /// This disk holds all of the other's and perhaps more.
    pub(crate) fn continues(&self, other: &Database) -> bool {
        self.common(other) == other.wal.len()
    }

    pub(crate) fn position(&self) -> Position {
        let last = self.wal.last().map_or(0, |e| e.number);
        // Each look has one: texts of a known length are made in one piece.
        let text = |head: &dyn Display, between: char, tail: &dyn Display| {
            let mut text = String::with_capacity(24);
            let _ = write!(text, "{head}{between}{tail}");
            text
        };
        Position {
            lineage: text(&1, '/', &self.timeline),
            value: text(&self.wal.len(), ':', &last),
            unit: "lsn".to_owned(),
        }
    }

    /// Everything up to that position of another copy is here.
    pub(crate) fn has_reached(&self, position: &Position) -> bool {
        let (length, last) = position.value.split_once(':').unwrap_or(("0", "0"));
        let (length, last) = (length.parse().unwrap_or(0_usize), last.parse().unwrap_or(0_u32));
        length == 0 || self.wal.get(length - 1).is_some_and(|e| e.number == last)
    }

    pub(crate) fn holds(&self, write: u32) -> bool {
        self.wal.iter().rev().any(|e| e.what == What::Write(write))
    }

    /// Every client's write on it.
    pub(crate) fn written(&self) -> BTreeSet<u32> {
        self.wal.iter().filter_map(|e| if let What::Write(write) = e.what { Some(write) } else { None }).collect()
    }

    pub(crate) fn newest_sentinel(&self) -> Option<Sentinel> {
        self.wal.iter().rev().find_map(|e| match e.what {
            What::Sentinel(sentinel) => Some(sentinel),
            What::Write(_) => None,
        })
    }

    /// What it waits for and who follows, if it writes.
    fn shows_waiting(&self) -> Option<Waiting> {
        let followers = self.sender.and_then(|s| s.name).map(name_text).into_iter().collect();
        Some(Waiting { waits: self.waits.clone(), followers, ..Waiting::default() })
    }

    /// How far the candidate and the server itself are, if it has one that streams.
    pub(crate) fn ends(&self) -> Option<(usize, usize)> {
        let sender = self.sender.filter(|s| s.name.is_some() && is_named(s.name, self.waits.candidate.as_ref()))?;
        Some((sender.confirmed, self.flushed))
    }

    /// What a look shows.
    pub(crate) fn look(&self) -> State {
        let mut facts = BTreeMap::new();
        let role = match self.server {
            _ if self.frozen => {
                let state = if self.is_primary() { "in production" } else { "in archive recovery" };
                facts.insert("control".to_owned(), state.to_owned());
                Role::Unresponsive
            }
            Server::Busy => Role::Unresponsive,
            Server::Primary => Role::Writer,
            Server::Standby => Role::Standby {
                upstream: match self.lies {
                    Lies::AsStandby { upstream } => Some(upstream.region()),
                    Lies::AsWriter => None,
                },
                streaming: self.receiver.is_some(),
            },
            Server::Orphans => {
                facts.insert("postmaster".to_owned(), "dead".to_owned());
                Role::Unresponsive
            }
            Server::Down { .. } if self.fenced => Role::Fenced { assurance: FenceAssurance::Proven },
            Server::Down { clean } => {
                let was_writer = self.lies == Lies::AsWriter;
                Role::Down { clean: clean || !was_writer, was_writer }
            }
        };
        if matches!(self.server, Server::Down { .. }) {
            facts.insert("timeline".to_owned(), self.timeline.to_string());
        }
        let runs = matches!(self.server, Server::Primary | Server::Standby) && !self.frozen;
        State {
            lag: (runs && self.server == Server::Standby).then(|| self.lag()),
            sentinel: if runs { self.newest_sentinel() } else { None },
            position: runs.then(|| self.position()),
            waiting: if runs && self.is_primary() { self.shows_waiting() } else { None },
            follows_as: self.name.filter(|_| runs && self.server == Server::Standby).map(name_text),
            role: Some(role),
            facts,
            ..State::default()
        }
    }

    fn lag(&self) -> Lag {
        let told = self.receiver.map(|r| r.end_told.saturating_sub(self.wal.len()));
        Lag {
            received_bytes: told.map(|entries| entries as u64),
            replay_bytes: Some(0),
            seconds_ms: Some(Duration::ZERO),
            quality: LagQuality::UpperBound,
            age_ms: Duration::ZERO,
        }
    }
}
