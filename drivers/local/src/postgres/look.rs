//! One look at the server: what it is, how far it has come, how far it is behind. Changes nothing but the note which system
//! was seen.
//!
//! What is true now comes first: a marker of a fence counts only while nothing runs.

use super::PostgresDriver;
use super::control::Control;
use super::directory::Directory;
use super::lag::{Figures, Newest, lag};
use super::lsn::{Lsn, Place};
use super::processes::{self, Proc};
use super::session::{Session, SqlError, column};
use super::upstream::value_of;
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, Sentinel, State};
use pilotlight_core::outcome::Failure;
use pilotlight_core::time::{Wall, show_duration};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// An answer that takes longer is none: the whole look must stay under one and a half seconds.
pub(super) const LOOK_TIMEOUT: Duration = Duration::from_millis(1_200);

/// Idle backends notice the death of their postmaster within milliseconds; those that go on longer are worth a report.
/// Kept short: whoever waits for this look waits to act on a dead writer.
const ORPHAN_GRACE: Duration = Duration::from_millis(10);

/// What a server that is not seen may take to answer at its address; whoever acts on the look asks again, and longer.
const UNSEEN_TIMEOUT: Duration = Duration::from_millis(500);

/// What a running server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// It is a standby.
    pub(super) recovering: bool,
    /// What it holds: its own end for a writer, received or replayed for a standby, whichever is more.
    pub(super) end: Place,
    /// What it shows.
    pub(super) replayed: Lsn,
    /// Its connection to the upstream.
    pub(super) receiver: Option<Receiver>,
    /// `primary_conninfo`.
    pub(super) conninfo: String,
    /// Age of the newest replayed commit.
    pub(super) commit_age: Option<Duration>,
    /// There is a table of sentinels, and it is ours.
    pub(super) has_sentinels: bool,
}

/// A WAL receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receiver {
    /// `streaming` when changes arrive.
    pub(super) status: String,
    /// The server it is connected to.
    pub(super) host: String,
    /// Its port.
    pub(super) port: String,
    /// The upstream's end, as it last said.
    pub(super) end: Option<Lsn>,
    /// How long ago it said so.
    pub(super) age: Duration,
}

const LOOK: &str = "SELECT r.recovering, s.system_identifier AS system, \
    CASE WHEN r.recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn, \
    CASE WHEN r.recovering THEN pg_last_wal_receive_lsn() END AS received, \
    CASE WHEN r.recovering THEN coalesce(w.received_tli, greatest(k.timeline_id, m.min_recovery_end_timeline)) END AS tli, \
    CASE WHEN NOT r.recovering THEN pg_walfile_name(pg_current_wal_lsn()) END AS segment, \
    w.status, w.sender_host, w.sender_port, w.latest_end_lsn, \
    (extract(epoch FROM clock_timestamp() - w.latest_end_time) * 1000)::bigint AS end_age, \
    current_setting('primary_conninfo') AS conninfo, \
    (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint AS commit_age, \
    (SELECT t.oid FROM pg_class t JOIN pg_roles o ON o.oid = t.relowner WHERE t.oid = to_regclass('pilotlight.sentinel') \
    AND t.relkind = 'r' AND (o.rolsuper OR o.rolname = current_user)) AS sentinels \
    FROM (SELECT pg_is_in_recovery() AS recovering) r, pg_control_system() s, pg_control_checkpoint() k, \
    pg_control_recovery() m LEFT JOIN pg_stat_wal_receiver w ON true";

impl Answer {
    /// Asks a server.
    pub(super) async fn ask(session: &Session, within: Duration) -> Result<Answer, SqlError> {
        let rows = session.rows(LOOK, within, true).await?;
        let odd = || SqlError::NoAnswer("the answer is not understood".to_owned());
        rows.first().and_then(Answer::read).ok_or_else(odd)
    }

    fn read(row: &SimpleQueryRow) -> Option<Answer> {
        let lsn = |name: &str| column(row, name).and_then(|l| l.parse::<Lsn>().ok());
        let millis = |name: &str| {
            column(row, name)
                .and_then(|m| m.parse::<i64>().ok())
                .map(|m| Duration::from_millis(m.max(0).unsigned_abs()))
        };
        let recovering = column(row, "recovering")? == "t";
        let timeline = match column(row, "segment") {
            Some(segment) => u32::from_str_radix(segment.get(..8)?, 16).ok()?,
            None => column(row, "tli")?.parse().ok()?,
        };
        let replayed = lsn("lsn").unwrap_or_default();
        let holds = lsn("received").map_or(replayed, |received| received.max(replayed));
        let receiver = column(row, "status").map(|status| Receiver {
            status: status.to_owned(),
            host: column(row, "sender_host").unwrap_or_default().to_owned(),
            port: column(row, "sender_port").unwrap_or_default().to_owned(),
            end: lsn("latest_end_lsn"),
            age: millis("end_age").unwrap_or_default(),
        });
        Some(Answer {
            recovering,
            end: Place { system: column(row, "system")?.to_owned(), timeline, lsn: holds },
            replayed,
            receiver,
            conninfo: column(row, "conninfo").unwrap_or_default().to_owned(),
            commit_age: millis("commit_age"),
            has_sentinels: column(row, "sentinels").is_some(),
        })
    }

    /// The name under which it follows, if a writer could wait for it.
    pub(super) fn follows_as(&self) -> Option<String> {
        value_of(&self.conninfo, "application_name").filter(|name| name.starts_with("pl_"))
    }

    /// Changes arrive now.
    pub(super) fn streaming(&self) -> bool {
        self.receiver.as_ref().is_some_and(|r| r.status == "streaming")
    }
}

impl PostgresDriver {
    /// The whole look.
    pub(super) async fn look_at_it(&self) -> State {
        let directory = self.directory();
        match processes::postmaster(&directory) {
            Some((postmaster, _)) => self.look_at_running(postmaster).await,
            None => self.look_at_silent(&directory).await,
        }
    }

    async fn look_at_running(&self, postmaster: Proc) -> State {
        let mut facts = BTreeMap::from([("pid".to_owned(), postmaster.pid.to_string())]);
        if postmaster.stopped {
            // Sessions that exist may go on; nobody new gets in.
            facts.insert("postmaster".to_owned(), "stopped".to_owned());
            return self.unresponsive(facts).await;
        }
        match Answer::ask(&self.look, LOOK_TIMEOUT).await {
            Ok(answer) => self.state_of(&answer, facts).await,
            Err(error) => {
                facts.insert("says".to_owned(), error.to_string());
                match error.code() {
                    // Refuses us, not everybody: wrong password, no such database, no such account.
                    Some(code) if code.starts_with("28") || code.starts_with("3D") => {
                        State { role: Some(Role::Unknown), facts, ..State::default() }
                    }
                    _ => self.unresponsive(facts).await,
                }
            }
        }
    }

    /// It hangs, or starts. Whether it took writes before is in its control file, which needs no answer of the server.
    async fn unresponsive(&self, mut facts: BTreeMap<String, String>) -> State {
        if let Ok(control) = Control::of(&self.directory(), &self.programs).await {
            facts.insert("control".to_owned(), control.state);
        }
        State { role: Some(Role::Unresponsive), facts, ..State::default() }
    }

    async fn state_of(&self, answer: &Answer, mut facts: BTreeMap<String, String>) -> State {
        self.note_held(&answer.end.system).await;
        let sentinel = if answer.has_sentinels { self.newest_sentinel().await } else { None };
        facts.insert("timeline".to_owned(), answer.end.timeline.to_string());
        let mut state = State { position: Some(answer.end.position()), sentinel, facts, ..State::default() };
        if !answer.recovering {
            state.role = Some(Role::Writer);
            if self.confirmed.waits {
                state.waiting = self.waiting().await;
                self.tell_of_gate(&mut state.facts);
            }
            return state;
        }
        state.role = Some(Role::Standby { upstream: self.upstream_of(answer), streaming: answer.streaming() });
        state.follows_as = answer.follows_as();
        state.lag = Some(lag(&self.figures(answer, sentinel)));
        state.facts.insert("replayed".to_owned(), answer.replayed.to_string());
        let receiver = match &answer.receiver {
            Some(r) => format!("{} from {}:{}, last word {} ago", r.status, r.host, r.port, show_duration(r.age)),
            None => "none".to_owned(),
        };
        state.facts.insert("receiver".to_owned(), receiver);
        state
    }

    fn tell_of_gate(&self, facts: &mut BTreeMap<String, String>) {
        let Some(gate) = &self.confirmed.gate else { return };
        let says = match gate.word() {
            Some(word) if word.linked => "confirms".to_owned(),
            Some(word) => word.trouble.unwrap_or_else(|| "closed".to_owned()),
            None => "does not answer".to_owned(),
        };
        facts.insert("gate".to_owned(), says);
    }

    fn figures(&self, answer: &Answer, sentinel: Option<Sentinel>) -> Figures {
        let now = self.clock.mono();
        let mut newest = self.newest.lock().expect("no holder of this lock panics");
        if let Some(Receiver { end: Some(end), age, .. }) = &answer.receiver {
            let at = pilotlight_core::time::Mono(now.0.saturating_sub(*age));
            *newest = Some(Newest { end: *end, at });
        }
        Figures {
            received: answer.end.lsn,
            replayed: answer.replayed,
            newest: *newest,
            streaming: answer.streaming(),
            replayed_commit_age: answer.commit_age,
            sentinel,
            now,
            wall: self.clock.wall(),
        }
    }

    /// The region that a standby follows or is told to follow.
    pub(super) fn upstream_of(&self, answer: &Answer) -> Option<Region> {
        let connected = answer.receiver.as_ref().and_then(|r| self.region_of(&r.host, &r.port));
        connected.or_else(|| self.region_in(&answer.conninfo))
    }

    /// The region that a `primary_conninfo` names.
    pub(super) fn region_in(&self, conninfo: &str) -> Option<Region> {
        let host = value_of(conninfo, "host")?;
        self.region_of(&host, value_of(conninfo, "port").as_deref().unwrap_or("5432"))
    }

    async fn newest_sentinel(&self) -> Option<Sentinel> {
        let component = super::session::literal(self.component.as_str());
        let sql = format!("SELECT number, written FROM pilotlight.sentinel WHERE component = {component}");
        let rows = self.look.rows(&sql, LOOK_TIMEOUT / 4, true).await.ok()?;
        let row = rows.first()?;
        Some(Sentinel {
            number: column(row, "number")?.parse().ok()?,
            written: Wall(column(row, "written")?.parse().ok()?),
        })
    }

    /// No postmaster: dead for good, or backends of it are left.
    async fn look_at_silent(&self, directory: &Directory) -> State {
        let since = self.clock.mono();
        let mut table = processes::of(directory);
        while !table.left.is_empty() && self.clock.mono().since(since) < ORPHAN_GRACE {
            self.clock.sleep(Duration::from_millis(2)).await;
            table = processes::of(directory);
        }
        let mut facts = BTreeMap::from([("postmaster".to_owned(), "dead".to_owned())]);
        if !table.left.is_empty() {
            facts.insert("processes".to_owned(), format!("{} left without a postmaster", table.left.len()));
            return State { role: Some(Role::Unresponsive), facts, ..State::default() };
        }
        if let Some(failure) = self.unseen_server(directory, UNSEEN_TIMEOUT).await {
            facts.insert("postmaster".to_owned(), "not seen".to_owned());
            return unknown(facts, &failure);
        }
        if let Some(marker) = self.marker() {
            facts.insert("fenced".to_owned(), format!("by {:?} of epoch {}", marker.by, marker.epoch));
            if self.is_gone(directory) {
                facts.insert("data".to_owned(), "gone".to_owned());
            }
            let role = Some(Role::Fenced { assurance: marker.assurance });
            return State { role, position: marker.position, facts, ..State::default() };
        }
        if self.is_gone(directory) {
            facts.insert("data".to_owned(), "gone".to_owned());
        }
        match self.database_in(directory) {
            Ok(true) => {}
            Ok(false) => {
                facts.insert("data".to_owned(), "none".to_owned());
                facts.insert("says".to_owned(), format!("there is no database in {}", directory.path().display()));
                return State { role: Some(Role::Down { clean: true, was_writer: false }), facts, ..State::default() };
            }
            Err(failure) => return unknown(facts, &failure),
        }
        match Control::of(directory, &self.programs).await {
            Ok(control) => {
                self.note_held(&control.system).await;
                let was_writer = was_writer(directory, &control);
                let clean = !was_writer || control.is_shut_down_writer();
                facts.insert("says".to_owned(), control.state.clone());
                let position = control.is_shut_down_writer().then(|| control.hand_over().position());
                State { role: Some(Role::Down { clean, was_writer }), position, facts, ..State::default() }
            }
            Err(failure) => unknown(facts, &failure),
        }
    }
}

/// It could not be seen, and why.
fn unknown(mut facts: BTreeMap<String, String>, failure: &Failure) -> State {
    facts.insert("says".to_owned(), failure.with_hint());
    State { role: Some(Role::Unknown), facts, ..State::default() }
}

/// The directory lies as a writer left it. A writer that somebody started without Pilotlight came up as a standby of
/// nobody, since promotion and start take the upstream away, and is still the writer's data.
pub(super) fn was_writer(directory: &Directory, control: &Control) -> bool {
    if directory.is_fresh_copy() {
        return false;
    }
    let upstream = directory.setting("primary_conninfo");
    if control.was_writer() {
        // A standby that was never started since it was made still carries the state of its source.
        return !(directory.armed() && upstream.is_some_and(|u| !u.is_empty()));
    }
    upstream.is_some_and(|u| u.is_empty())
}
