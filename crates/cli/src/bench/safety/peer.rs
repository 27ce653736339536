//! Peers: what other tools do with the same faults, beside the same clients, on places joined alike.
//!
//! A peer keeps PostgreSQL itself, with its own agent in each region; here is only what starts it, how its state is read
//! and which process is its agent. None of its rounds has a target, and nothing of it is part of Pilotlight.

mod patroni;
mod repmgr;
mod stand;
mod strike;

pub(super) use stand::sweep;

use super::blow::Struck;
use super::case::Case;
use super::ground::{self, Chance, Ground, IDS, Servers, Writers};
use super::judge::{Round, Seen, judge};
use super::kept::Kept;
use crate::demo::DemoError;
use crate::wiring;
use async_trait::async_trait;
use clap::ValueEnum;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::net::Place;
use pilotlight_lab::region::Process;
use pilotlight_lab::{database, writer};
use serde::Serialize;
use stand::{PORT, Stand};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A tool in one of its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Peer {
    /// Patroni with the shortest times it admits, on three members of etcd
    Patroni,
    /// The same with `synchronous_mode`
    PatroniSync,
    /// repmgr with a witness, in a setting with short times
    Repmgr,
}

/// What makes a pair out of a peer.
#[async_trait]
trait Product: Send + Sync {
    /// Makes and starts everything; the pair may settle afterwards.
    async fn open(&self, stand: &mut Stand) -> Result<(), DemoError>;

    /// Starts a place again in which every process was killed, as its boot would.
    async fn boot(&self, stand: &mut Stand, place: Place) -> Result<(), DemoError>;

    /// Its own view, with the writer there: all is well, or what is not.
    async fn is_well(&self, stand: &Stand, writer: Place) -> Result<(), String>;

    /// What an operator does of it once the old writer's region is back, where it does not mend itself.
    async fn mend(&self, _stand: &mut Stand, _old: Place) -> Result<(), DemoError> {
        Ok(())
    }

    /// Its own planned move.
    async fn switchover(&self, stand: &Stand, from: Place, to: Place) -> Result<(), DemoError>;

    /// Its agent beside a database.
    fn is_agent(&self, process: &Process) -> bool;

    /// Longer than whatever it waits for: what wants to happen has happened by then.
    fn hold(&self) -> Duration;
}

impl Peer {
    /// As it is typed.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }

    /// Programs it takes, and what brings them.
    fn programs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Peer::Patroni | Peer::PatroniSync => &[("patroni", "patroni"), ("etcd", "etcd-server")],
            Peer::Repmgr => &[("repmgr", "repmgr"), ("repmgrd", "postgresql-15-repmgr")],
        }
    }

    fn product(self) -> Box<dyn Product> {
        match self {
            Peer::Patroni => Box::new(patroni::Patroni { synchronous: false }),
            Peer::PatroniSync => Box::new(patroni::Patroni { synchronous: true }),
            Peer::Repmgr => Box::new(repmgr::Repmgr),
        }
    }

    /// Whether a case makes sense with it.
    pub(super) fn plays(self, case: Case) -> bool {
        // Its switchover needs ssh between the hosts of the databases.
        strike::PLAYED.contains(&case) && !(self == Peer::Repmgr && case == Case::Switchover)
    }

    /// Its version, or why it cannot run here.
    pub(crate) fn version(self) -> Result<String, String> {
        let mut versions = Vec::new();
        for (program, package) in self.programs() {
            let found = find(program).ok_or_else(|| {
                format!("`{program}` is not installed; Debian's package {package} brings it (scripts/ensure-peers.sh)")
            })?;
            let said = Command::new(found).arg("--version").output().map_err(|e| format!("`{program}`: {e}"))?;
            versions.push(String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or_default().trim().to_owned());
        }
        // One package's programs need not all say it.
        versions.retain(|version| !version.is_empty());
        stand::account().map(|_| versions.join(", "))
    }
}

/// A program on the search path or beside PostgreSQL's own.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(wiring::lab::bin_dir().ok());
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A peer's pair on its own places.
pub(super) struct PeerGround {
    product: Box<dyn Product>,
    stand: Stand,
    writer: Place,
    next: i64,
    chance: Chance,
}

impl PeerGround {
    /// Makes its databases, starts everything, waits until all is well.
    pub(super) async fn start(peer: Peer, seed: u64) -> Result<Self, DemoError> {
        let (product, mut stand) = (peer.product(), Stand::make()?);
        product.open(&mut stand).await?;
        let writer = match stand.settled(&*product).await {
            Ok(writer) => writer,
            Err(e) => return Err(DemoError::Ended(format!("{e}\n{}", stand.logs()))),
        };
        let made = database::execute(&stand.database(writer), writer::SCHEMA).await;
        made.map_err(|e| DemoError::Ended(format!("the table of the clients: {e}")))?;
        Ok(Self { product, stand, writer, next: 0, chance: Chance(seed) })
    }

    /// Where the writer is not.
    fn standby(&self) -> Place {
        stand::other(self.writer)
    }
}

#[async_trait]
impl Ground for PeerGround {
    async fn play(&mut self, case: Case, n: u32) -> Result<Round, DemoError> {
        let born = ground::born(&self.stand.database(self.writer)).await?;
        self.next += IDS;
        let writers = Writers::start(&Servers {
            net: &self.stand.net,
            ports: [PORT; 2],
            password: String::new(),
            home: self.writer,
            after: self.next,
            fenced: false,
        })
        .await?;
        // Peers look once a second.
        tokio::time::sleep(Duration::from_millis(self.chance.below(1_000))).await;
        let (load, at) = (ground::load(), SystemClock.mono());
        let struck = strike::strike(self, case, &writers).await;
        let until = SystemClock.mono();
        let old = writers.old;
        let (a, b) = (writers.a.stop().await, writers.b.stop().await);
        self.stand.thaw();
        self.stand.net.heal_all()?;
        let Struck { detail, thawed, paused } = struck?;
        self.product.mend(&mut self.stand, self.writer).await?;
        let before = std::mem::replace(&mut self.writer, self.stand.settled(&*self.product).await?);
        let back = self.writer == before;
        let database = self.stand.database(self.writer);
        let held = ground::rows(&database, self.next).await?;
        let (old_client, kept) = (None, &Kept::default());
        let mut round =
            judge(&Seen { at, until, thawed, paused, old, back, a: &a, b: &b, old_client, held: &held, kept });
        (round.case, round.n, round.detail) = (case.name(), n, detail);
        if back && round.moved {
            round.detail.push_str(" (the old side is the writer in the end)");
        }
        (round.load, round.restarted) = (load, ground::born(&database).await? != born);
        Ok(round)
    }

    async fn told(&mut self) -> String {
        self.stand.logs()
    }
}
