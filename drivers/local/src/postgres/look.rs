//! One look at the server: what it is, how far it has come, how far it is behind. Changes nothing but the notes which system
//! was seen and how it was started.
//!
//! What is true now comes first: a marker of a fence counts only while nothing runs.

use super::PostgresDriver;
use super::control::Control;
use super::directory::Directory;
use super::gate::Standing;
use super::lag::{Afar, Figures, Heard, Newest, lag};
use super::lsn::{Lsn, Place};
use super::processes::{self, Proc};
use super::session::{Session, SqlError, column};
use super::upstream::value_of;
use pilotlight_core::id::Region;
use pilotlight_core::observation::{GATE_APART, Role, Sentinel, State};
use pilotlight_core::outcome::Failure;
use pilotlight_core::time::{Mono, Wall, show_duration};
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
    /// When the newest replayed commit was made, on the writer's clock.
    pub(super) commit: Option<Wall>,
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
    /// When it said so, on its own clock.
    pub(super) said: Option<Wall>,
    /// What its clock showed when its newest word left.
    pub(super) sent: Option<Wall>,
    /// How long ago that came; nothing where our own clock was set back since.
    pub(super) heard: Option<Duration>,
}

const LOOK: &str = "SELECT r.recovering, s.system_identifier AS system, \
    CASE WHEN r.recovering THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS lsn, \
    CASE WHEN r.recovering THEN pg_last_wal_receive_lsn() END AS received, \
    CASE WHEN r.recovering THEN coalesce(w.received_tli, greatest(k.timeline_id, m.min_recovery_end_timeline)) END AS tli, \
    CASE WHEN NOT r.recovering THEN pg_walfile_name(pg_current_wal_lsn()) END AS segment, \
    w.status, w.sender_host, w.sender_port, w.latest_end_lsn, \
    (extract(epoch FROM w.latest_end_time) * 1000)::bigint AS said, \
    (extract(epoch FROM w.last_msg_send_time) * 1000)::bigint AS sent, \
    (extract(epoch FROM clock_timestamp() - w.last_msg_receipt_time) * 1000)::bigint AS heard, \
    current_setting('primary_conninfo') AS conninfo, \
    (extract(epoch FROM pg_last_xact_replay_timestamp()) * 1000)::bigint AS committed, \
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
        let millis = |name: &str| column(row, name).and_then(|m| m.parse::<u64>().ok());
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
            said: millis("said").map(Wall),
            sent: millis("sent").map(Wall),
            heard: millis("heard").map(Duration::from_millis),
        });
        Some(Answer {
            recovering,
            end: Place { system: column(row, "system")?.to_owned(), timeline, lsn: holds, begun: None },
            replayed,
            receiver,
            conninfo: column(row, "conninfo").unwrap_or_default().to_owned(),
            commit: millis("committed").map(Wall),
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

/// Clocks of two regions may differ by so much without a word: what is measured includes the way between them.
pub(super) const CLOCKS_APART: Duration = Duration::from_secs(2);

impl Receiver {
    /// What its newest word says of the upstream and of its clock.
    fn tell(&self, heard: &mut Heard, now: Mono) {
        if let (Some(shown), Some(ago)) = (self.sent, self.heard) {
            heard.afar = Some(Afar { shown, at: Mono(now.0.saturating_sub(ago)) });
        }
        if let Some(end) = self.end {
            heard.newest = Some(Newest { end, said: self.said });
        }
    }

    fn says(&self) -> String {
        let ago = self.heard.map_or_else(|| "none yet".to_owned(), |ago| format!("{} ago", show_duration(ago)));
        format!("{} from {}:{}, last word {ago}", self.status, self.host, self.port)
    }

    /// For people: our clock against the upstream's, where they differ by much.
    fn clock_apart(&self, wall: Wall) -> Option<String> {
        let (sent, came) = (self.sent?, Wall(wall.0.saturating_sub(u64::try_from(self.heard?.as_millis()).ok()?)));
        let (behind, ahead) = (sent.since(came), came.since(sent));
        match behind.max(ahead) {
            apart if apart <= CLOCKS_APART => None,
            apart => Some(format!(
                "{} {} the upstream's",
                show_duration(apart),
                if behind > ahead { "behind" } else { "ahead of" }
            )),
        }
    }
}

impl PostgresDriver {
    /// The whole look.
    pub(super) async fn look_at_it(&self) -> State {
        match self.directory_and_server().await {
            (directory, Some(postmaster)) => self.look_at_running(&directory, postmaster).await,
            (directory, None) => self.look_at_silent(&directory).await,
        }
    }

    async fn look_at_running(&self, directory: &Directory, postmaster: Proc) -> State {
        let mut facts = BTreeMap::from([("pid".to_owned(), postmaster.pid.to_string())]);
        if postmaster.stopped {
            // Sessions that exist may go on; nobody new gets in.
            facts.insert("postmaster".to_owned(), "stopped".to_owned());
            return self.unresponsive(directory, facts).await;
        }
        match Answer::ask(&self.look, LOOK_TIMEOUT).await {
            Ok(answer) => self.state_of(directory, postmaster, &answer, facts).await,
            Err(error) => {
                facts.insert("says".to_owned(), error.to_string());
                match error.code() {
                    // Refuses us, not everybody: wrong password, no such database, no such account.
                    Some(code) if code.starts_with("28") || code.starts_with("3D") => {
                        State { role: Some(Role::Unknown), facts, ..State::default() }
                    }
                    _ => self.unresponsive(directory, facts).await,
                }
            }
        }
    }

    /// It hangs, or starts. Whether it took writes before is in its control file, which needs no answer of the server.
    async fn unresponsive(&self, directory: &Directory, mut facts: BTreeMap<String, String>) -> State {
        if self.disk_answers().await.is_ok()
            && let Ok(control) = Control::of(directory, &self.programs).await
        {
            facts.insert("control".to_owned(), control.state);
        }
        State { role: Some(Role::Unresponsive), facts, ..State::default() }
    }

    async fn state_of(
        &self,
        directory: &Directory,
        postmaster: Proc,
        answer: &Answer,
        mut facts: BTreeMap<String, String>,
    ) -> State {
        self.note_held(&answer.end.system).await;
        self.note_options(directory, postmaster).await;
        let sentinel = if answer.has_sentinels { self.newest_sentinel().await } else { None };
        facts.insert("timeline".to_owned(), answer.end.timeline.to_string());
        let begun = self.begun(directory, postmaster, answer.end.timeline).await;
        let position = Some(Place { begun, ..answer.end.clone() }.position());
        let mut state = State { position, sentinel, facts, ..State::default() };
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
        let receiver = answer.receiver.as_ref().map_or_else(|| "none".to_owned(), Receiver::says);
        if let Some(apart) = answer.receiver.as_ref().and_then(|r| r.clock_apart(self.clock.wall())) {
            state.facts.insert("clock".to_owned(), apart);
        }
        state.facts.insert("receiver".to_owned(), receiver);
        state
    }

    fn tell_of_gate(&self, facts: &mut BTreeMap<String, String>) {
        let Some(gate) = &self.confirmed.gate else { return };
        let Standing { says, apart } = gate.standing();
        facts.insert("gate".to_owned(), says);
        facts.extend(apart.map(|apart| (GATE_APART.to_owned(), apart)));
    }

    fn figures(&self, answer: &Answer, sentinel: Option<Sentinel>) -> Figures {
        let now = self.clock.mono();
        let mut heard = self.heard.lock().expect("no holder of this lock panics");
        if let Some(receiver) = &answer.receiver {
            receiver.tell(&mut heard, now);
        }
        Figures {
            received: answer.end.lsn,
            replayed: answer.replayed,
            heard: *heard,
            streaming: answer.streaming(),
            replayed_commit: answer.commit,
            sentinel,
            now,
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
        let of = directory.clone();
        if let Some(timeline) = self.reads.read(move || of.newest_timeline()).await {
            facts.insert("timeline".to_owned(), timeline.to_string());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(sent: u64, heard_ms: u64) -> Receiver {
        Receiver {
            status: "streaming".to_owned(),
            host: "east".to_owned(),
            port: "5432".to_owned(),
            end: None,
            said: None,
            sent: Some(Wall(sent)),
            heard: Some(Duration::from_millis(heard_ms)),
        }
    }

    #[test]
    fn clocks_that_differ_by_much_are_named() {
        let wall = Wall(100_000);
        for (sent, says) in [
            (99_500, None),
            (101_500, None),
            (109_500, Some("10.0 s behind the upstream's")),
            (89_500, Some("10.0 s ahead of the upstream's")),
        ] {
            assert_eq!(receiver(sent, 500).clock_apart(wall).as_deref(), says, "{sent}");
        }
    }

    /// Ours is ten seconds slow, and what the copy holds is twelve seconds old.
    #[test]
    fn a_slow_clock_makes_nothing_younger() {
        let (ours, writers) = (Wall(100_000), 110_000);
        let mut heard = Heard::default();
        receiver(writers, 0).tell(&mut heard, Mono(Duration::from_secs(7)));
        let seen = Figures {
            received: Lsn(10),
            replayed: Lsn(10),
            heard,
            streaming: true,
            replayed_commit: Some(Wall(writers - 12_000)),
            sentinel: None,
            now: Mono(Duration::from_secs(7)),
        };
        assert!(ours.since(Wall(writers - 12_000)) < Duration::from_secs(3), "what our clock would have said");
        assert_eq!(lag(&seen).seconds_ms, Some(Duration::from_secs(12)));
    }
}
