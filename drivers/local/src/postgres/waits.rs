//! What the writer waits for before it acknowledges: `synchronous_standby_names`, set so that nothing is acknowledged in
//! between by somebody who does not count any more, and proven to be in force.
//!
//! Three parts of a server read the setting, each in its own time: sessions ask a flag in shared memory that the
//! checkpointer sets; each WAL sender reads its own copy and decides by it whether its standby counts; a sender that is
//! born takes the postmaster's. So a reload proves nothing. To wait for a candidate:
//!
//! 1. *narrow*: only the gate (`strict`: nobody) counts; a session shows it, so the postmaster has read it before;
//! 2. whoever counted before loses its connection: a sender that has not read the new setting would let commits go;
//! 3. a commit of our own that asks for more than the gate ever says (`remote_apply`) is seen to wait: the flag is set;
//! 4. *widen*: the candidate counts too; its sender shows that it has read so;
//! 5. everything that was on disk now is on the candidate's disk. What was acknowledged before is part of that.
//!
//! If one of them fails, the setting of before is put back: nobody has been told of the candidate yet.
//!
//! Invariant: a setting that was proven is what a candidate in the store counts on, until another is asked for. When somebody
//! else has changed it, it is set again before anything is asked of the candidate, and nothing weaker is ever put back.

use super::PostgresDriver;
use super::gate::PostgresGate;
use super::lsn::Lsn;
use super::session::{column, literal};
use super::work::Work;
use pilotlight_core::candidate::{Waiting, Waits};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::time::show_duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// How writes of this server are confirmed.
#[derive(Clone, Default)]
pub struct Confirmed {
    /// The guarantee asks that writes wait at all: this driver owns `synchronous_standby_names` and names its standbys.
    pub waits: bool,
    /// The gate beside the server, under `bounded`.
    pub gate: Option<Arc<PostgresGate>>,
}

/// Names of ours begin so.
pub(super) const OURS: &str = "pl_";

/// Before the setting in the note of a proof: it was proven, is to be proven anew, and is put back meanwhile.
const OWED: &str = "unproven ";

/// Between two looks while a setting takes hold: somebody may be waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Questions to a healthy server.
const ASK: Duration = Duration::from_secs(2);

/// While commits wait for nobody (`strict`), the flag must be seen within this time.
const STALL_LIMIT: Duration = Duration::from_millis(500);

/// A gate that may confirm connects within milliseconds, one whose process is to be started first within half a second. It is
/// waited for no longer at once: whoever asks holds the turns of the unit's copies, and asks again.
const GATE_CONNECTS: Duration = Duration::from_secs(1);

/// A candidate further behind is not waited for yet: it would stall writes, or take long to be proven.
const NEAR: u64 = 16 << 20;

const SENDERS: &str = "SELECT pid, application_name AS name, state, sync_state, sync_priority, flush_lsn, \
    CASE WHEN flush_lsn IS NULL THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn)::bigint END AS behind \
    FROM pg_stat_replication";

/// A WAL sender.
struct Sender {
    pid: i32,
    name: String,
    streams: bool,
    counts: bool,
    priority: bool,
    flushed: Option<Lsn>,
    behind: Option<u64>,
}

impl Sender {
    fn read(row: &SimpleQueryRow) -> Option<Self> {
        Some(Self {
            pid: column(row, "pid")?.parse().ok()?,
            name: column(row, "name").unwrap_or_default().to_owned(),
            streams: column(row, "state") == Some("streaming"),
            counts: matches!(column(row, "sync_state"), Some("quorum" | "sync")),
            priority: column(row, "sync_priority").is_some_and(|p| p != "0"),
            flushed: column(row, "flush_lsn").and_then(|l| l.parse().ok()),
            behind: column(row, "behind").and_then(|b| b.parse::<i64>().ok()).map(|b| b.max(0).unsigned_abs()),
        })
    }
}

impl PostgresDriver {
    /// Makes the writer wait so; see the module.
    pub(super) async fn wait_for(&self, waits: &Waits, work: &Work<'_>) -> Result<Outcome, Failure> {
        if self.ask_running(work).await?.recovering {
            return Err(Failure::rejected("it is a standby and acknowledges nothing"));
        }
        let wanted = self.setting(waits)?;
        let before = self.setting_now().await?;
        if before == wanted && self.is_proven(&wanted) {
            return Ok(Outcome::Skipped { why: format!("it waits for {waits} already") });
        }
        if waits.for_nobody() {
            self.forget_proof()?;
            self.set(&wanted, work).await?;
            return Ok(Outcome::done_with("it waits for nobody"));
        }
        // Once it was proven, the store may have been told: whoever has changed it since, it comes first and stays, however
        // far the candidate is now.
        let owed = self.is_owed(&wanted);
        let before = if owed && before != wanted { self.put_back(&wanted, work).await? } else { before };
        self.forget_proof_but_owe(owed.then_some(&wanted))?;
        self.near(waits, work).await?;
        let began = work.now();
        if let Err(failure) = self.narrow_and_widen(waits, &wanted, work).await {
            // Either nobody counts on it yet, or it was put back above and is what was there before.
            let restored = self.set(&before, work).await;
            let message = match restored {
                Ok(()) => format!("{}; put back", failure.message),
                Err(e) => format!("{}; it could not be put back: {}", failure.message, e.message),
            };
            return Err(Failure { kind: FailureKind::Transient, message, ..failure });
        }
        self.note_proof(&wanted)?;
        Ok(Outcome::done_with(format!("it waits for {waits}, proven in {}", show_duration(work.now().since(began)))))
    }

    /// Somebody has taken away what a candidate in the store is owed.
    async fn put_back(&self, wanted: &str, work: &Work<'_>) -> Result<String, Failure> {
        self.set(wanted, work).await?;
        tracing::warn!(component = %self.component, setting = wanted, "synchronous_standby_names was changed by others: put back");
        Ok(wanted.to_owned())
    }

    /// Before anything is changed: the candidate is close and the gate there, so that the change stalls nothing.
    async fn near(&self, waits: &Waits, work: &Work<'_>) -> Result<(), Failure> {
        let senders = self.senders().await?;
        if let Some(name) = &waits.candidate {
            let near = senders.iter().any(|s| &s.name == name && s.streams && s.behind.is_some_and(|b| b <= NEAR));
            if !near {
                return Err(Failure::transient(format!("{name} does not stream from here, or is far behind")));
            }
            self.is_kin(name).await?;
        }
        if !waits.gate {
            return Ok(());
        }
        let gate = self.gate()?.standby_name().to_owned();
        let until = work.now() + GATE_CONNECTS;
        loop {
            let began = self.clock.mono();
            let senders = self.senders().await?;
            // Where writes stall at the RPO the gate opens only beside a candidate that is known to be fresh: this one.
            self.tell_gate(waits.candidate.as_deref(), &senders, began);
            if senders.iter().any(|s| s.name == gate && s.streams) {
                return Ok(());
            }
            if began >= until {
                let says = self.gate()?.standing().says;
                return Err(Failure::transient(format!("the gate is not connected ({says})")));
            }
            in_time(work, "the gate is connected", &senders)?;
            work.pause(LOOK_AGAIN, "the gate is connected", &|| connected(&senders)).await?;
        }
    }

    async fn narrow_and_widen(&self, waits: &Waits, wanted: &str, work: &Work<'_>) -> Result<(), Failure> {
        let nobody = format!("{OURS}nobody");
        let narrow = if waits.gate { self.gate()?.standby_name().to_owned() } else { nobody };
        self.set(&names_text(&[&narrow]), work).await?;
        let ended: Vec<i32> = {
            let senders = self.senders().await?;
            senders.iter().filter(|s| s.priority && s.name != narrow).map(|s| s.pid).collect()
        };
        for pid in &ended {
            self.rows(&format!("SELECT pg_terminate_backend({pid})")).await?;
        }
        self.until(work, "senders that counted before are gone", |s| !s.iter().any(|s| ended.contains(&s.pid))).await?;
        if waits.gate {
            self.until(work, "the gate counts", |s| s.iter().any(|s| s.name == narrow && s.counts)).await?;
        }
        self.see_a_commit_wait(work).await?;
        self.set(wanted, work).await?;
        let Some(name) = &waits.candidate else { return Ok(()) };
        self.until(work, "the candidate counts", |s| s.iter().any(|s| &s.name == name && s.counts)).await?;
        let end = self.one("SELECT pg_current_wal_flush_lsn() AS it").await?;
        let end: Lsn = end.parse().map_err(|_| Failure::transient("the server does not say where it is"))?;
        let holds = |s: &[Sender]| s.iter().any(|s| &s.name == name && s.counts && s.flushed.is_some_and(|f| f >= end));
        self.until(work, "the candidate holds everything acknowledged before", holds).await
    }

    /// A commit that only the replay of a standby could let go is seen to wait, then called off.
    async fn see_a_commit_wait(&self, work: &Work<'_>) -> Result<(), Failure> {
        let probe = self.write.another();
        let pid = probe.rows("SET synchronous_commit = remote_apply; SELECT pg_backend_pid() AS it", ASK, true).await;
        let pid = pid.map_err(|e| Failure::transient(format!("no session to prove it with: {e}")))?;
        let pid = pid.last().and_then(|r| column(r, "it")).unwrap_or_default().to_owned();
        let commit = "SELECT pg_logical_emit_message(true, 'pilotlight', 'waits')";
        let until = work.now() + STALL_LIMIT.min(work.left() / 2);
        let watch = async {
            let asks = format!("SELECT wait_event AS it FROM pg_stat_activity WHERE pid = {pid}");
            loop {
                if self.one(&asks).await.is_ok_and(|event| event == "SyncRep") {
                    return true;
                }
                if work.now() >= until {
                    return false;
                }
                self.clock.sleep(LOOK_AGAIN).await;
            }
        };
        // A commit that did not wait is tried again: the flag may have been set a moment later.
        let commits = async {
            while work.now() < until {
                if probe.rows(commit, STALL_LIMIT * 2, false).await.is_err() {
                    break;
                }
                self.clock.sleep(LOOK_AGAIN).await;
            }
            std::future::pending::<()>().await;
        };
        let waited = tokio::select! {
            waited = watch => waited,
            () = commits => false,
        };
        self.rows(&format!("SELECT pg_cancel_backend({pid}), pg_terminate_backend({pid})")).await?;
        if waited {
            Ok(())
        } else {
            Err(Failure::transient("commits were not seen to wait: a checkpoint may be under way"))
        }
    }

    /// Sets it and waits until the postmaster has read it.
    async fn set(&self, text: &str, work: &Work<'_>) -> Result<(), Failure> {
        self.rows(&format!("ALTER SYSTEM SET synchronous_standby_names = {}", literal(text))).await?;
        self.rows("SELECT pg_reload_conf()").await?;
        loop {
            let seen = self.setting_now().await?;
            if seen == text {
                return Ok(());
            }
            work.pause(LOOK_AGAIN, "the server has read its settings", &|| seen.clone()).await?;
        }
    }

    /// A session is told to read its settings anew after the postmaster has: what it shows, a sender born now has too.
    async fn setting_now(&self) -> Result<String, Failure> {
        self.one("SELECT current_setting('synchronous_standby_names') AS it").await
    }

    async fn until(&self, work: &Work<'_>, what: &str, holds: impl Fn(&[Sender]) -> bool) -> Result<(), Failure> {
        loop {
            let senders = self.senders().await?;
            if holds(&senders) {
                return Ok(());
            }
            in_time(work, what, &senders)?;
            work.pause(LOOK_AGAIN, what, &|| connected(&senders)).await?;
        }
    }

    async fn senders(&self) -> Result<Vec<Sender>, Failure> {
        Ok(self.rows(SENDERS).await?.iter().filter_map(Sender::read).collect())
    }

    async fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, Failure> {
        self.write.rows(sql, ASK, true).await.map_err(|e| Failure::transient(format!("the server does not do it: {e}")))
    }

    async fn one(&self, sql: &str) -> Result<String, Failure> {
        let rows = self.rows(sql).await?;
        Ok(rows.first().and_then(|r| column(r, "it")).unwrap_or_default().to_owned())
    }

    fn gate(&self) -> Result<&PostgresGate, Failure> {
        let gate = self.confirmed.gate.as_deref();
        gate.ok_or_else(|| Failure::unsupported("there is no gate beside this server"))
    }

    fn setting(&self, waits: &Waits) -> Result<String, Failure> {
        let mut names: Vec<&str> = waits.candidate.iter().map(String::as_str).collect();
        if waits.gate {
            names.push(self.gate()?.standby_name());
        }
        Ok(names_text(&names))
    }

    /// What a writer waits for and who follows it, for a look. Also tells the gate how fresh the candidate is.
    pub(super) async fn waiting(&self) -> Option<Waiting> {
        let began = self.clock.mono();
        let sql = format!(
            "{SENDERS}; SELECT current_setting('synchronous_standby_names') AS setting, \
            pg_current_wal_flush_lsn() AS flushed"
        );
        let rows = self.look.rows(&sql, ASK, true).await.ok()?;
        let (last, senders) = rows.split_last()?;
        let senders: Vec<Sender> = senders.iter().filter_map(Sender::read).collect();
        let gate = self.confirmed.gate.as_ref().map(|g| g.standby_name());
        let mut waiting = read_setting(column(last, "setting").unwrap_or_default(), gate);
        let mut uses: BTreeMap<&str, u32> = BTreeMap::new();
        for sender in senders.iter().filter(|s| s.streams && s.name.starts_with(OURS) && Some(s.name.as_str()) != gate)
        {
            *uses.entry(&sender.name).or_default() += 1;
        }
        let names = |several: bool| {
            uses.iter().filter(move |(_, n)| (**n > 1) == several).map(|(name, _)| (*name).to_owned()).collect()
        };
        (waiting.followers, waiting.doubled) = (names(false), names(true));
        self.tell_gate(waiting.waits.candidate.as_deref(), &senders, began);
        Some(waiting)
    }

    /// The candidate had everything when the look began, if it lags by nothing now.
    fn tell_gate(&self, candidate: Option<&str>, senders: &[Sender], began: pilotlight_core::time::Mono) {
        let Some(gate) = &self.confirmed.gate else { return };
        let Some(name) = candidate else { return };
        let flushed = senders.iter().filter(|s| s.streams && s.name == name).filter_map(|s| s.flushed).min();
        let end = senders.iter().filter_map(|s| Some(Lsn(s.flushed?.0 + s.behind?))).max();
        let mut marks = self.marks.lock().expect("no holder of this lock panics");
        if let Some(at) = marks.held(flushed, end, began) {
            gate.candidate_fresh(at);
        }
    }

    fn proof_path(&self) -> std::path::PathBuf {
        self.state_dir.join(format!("waits-{}", self.component))
    }

    /// The whole order of the change was gone through for this setting, and nothing has changed it since.
    fn is_proven(&self, text: &str) -> bool {
        std::fs::read_to_string(self.proof_path()).is_ok_and(|noted| noted == text)
    }

    /// It was proven once, and nothing else was asked for since: a candidate may count on it.
    fn is_owed(&self, text: &str) -> bool {
        let noted = std::fs::read_to_string(self.proof_path()).unwrap_or_default();
        noted.strip_prefix(OWED).unwrap_or(&noted) == text
    }

    /// Nothing is proven any more; what is owed stays noted, so that it is put back however often it is taken away.
    fn forget_proof_but_owe(&self, owed: Option<&String>) -> Result<(), Failure> {
        match owed {
            Some(text) => self.note_proof(&format!("{OWED}{text}")),
            None => self.forget_proof(),
        }
    }

    fn forget_proof(&self) -> Result<(), Failure> {
        match std::fs::remove_file(self.proof_path()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::transient(format!("cannot remove {}: {e}", self.proof_path().display())))
            }
            _ => Ok(()),
        }
    }

    fn note_proof(&self, text: &str) -> Result<(), Failure> {
        let path = self.proof_path();
        let written =
            std::fs::create_dir_all(&self.state_dir).and_then(|()| super::durable::write(&path, text.as_bytes(), None));
        written.map_err(|e| Failure::transient(format!("cannot write {}: {e}", path.display())))
    }
}

/// When the writer's end was where, so that a standby's end says how old what it holds is.
#[derive(Debug, Default)]
pub(super) struct Marks(std::collections::VecDeque<(pilotlight_core::time::Mono, Lsn)>);

/// Looks that are remembered: some minutes' worth.
const MARKS: usize = 1_024;

impl Marks {
    /// The newest moment whose end lies at or before `flushed`; `end` is where the writer is now.
    fn held(
        &mut self,
        flushed: Option<Lsn>,
        end: Option<Lsn>,
        now: pilotlight_core::time::Mono,
    ) -> Option<pilotlight_core::time::Mono> {
        if let Some(end) = end {
            self.0.push_back((now, end));
            if self.0.len() > MARKS {
                self.0.pop_front();
            }
        }
        let flushed = flushed?;
        self.0.iter().rev().find(|(_, lsn)| *lsn <= flushed).map(|(at, _)| *at)
    }
}

fn connected(senders: &[Sender]) -> String {
    senders.iter().map(|s| s.name.clone()).collect::<Vec<_>>().join(", ")
}

/// What is left of the time is for putting the setting back.
fn in_time(work: &Work<'_>, what: &str, senders: &[Sender]) -> Result<(), Failure> {
    match work.left() < ASK {
        true => Err(Failure::transient(format!("not in time: {what}; connected: {}", connected(senders)))),
        false => Ok(()),
    }
}

/// `ANY 1 ("a", "b")`; nothing for nobody.
fn names_text(names: &[&str]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let quoted: Vec<String> = names.iter().map(|n| format!("\"{}\"", n.replace('"', "\"\""))).collect();
    format!("ANY 1 ({})", quoted.join(", "))
}

/// The other way; whatever is not exactly ours is foreign.
pub(super) fn read_setting(text: &str, gate: Option<&str>) -> Waiting {
    if text.is_empty() {
        return Waiting::default();
    }
    let inner = text.strip_prefix("ANY 1 (").and_then(|t| t.strip_suffix(')')).unwrap_or_default();
    let names: Vec<&str> = inner.split(", ").map(|n| n.trim_matches('"')).collect();
    let mut waiting = Waiting::default();
    for name in &names {
        match *name {
            name if Some(name) == gate => waiting.waits.gate = true,
            name if name.starts_with(OURS) && waiting.waits.candidate.is_none() => {
                waiting.waits.candidate = Some(name.to_owned());
            }
            _ => return Waiting { foreign: Some(text.to_owned()), ..Waiting::default() },
        }
    }
    if names_text(&names) != text {
        return Waiting { foreign: Some(text.to_owned()), ..Waiting::default() };
    }
    waiting
}

/// A name for a standby that nobody has used: the epoch, who it is, and chance. A copied configuration keeps the name of
/// the copy it was made from until its agent starts it.
pub(super) fn new_name(epoch: pilotlight_core::id::Epoch, component: &str, region: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    let chance = RandomState::new().hash_one(region) & 0xffff_ffff;
    format!("{OURS}{epoch}{}{chance:08x}", middle_of(component, region))
}

/// What each name of a region's copy has in its middle.
pub(super) fn middle_of(component: &str, region: &str) -> String {
    let short = |text: &str| text.chars().take(16).collect::<String>();
    format!("_{}_{}_", short(component), short(region))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::time::Mono;

    #[test]
    fn a_setting_is_read_as_it_was_written() {
        for (candidate, gate) in [(Some("pl_3_db_west_0badcafe"), true), (Some("pl_1_d_w_1"), false), (None, true)] {
            let mut names: Vec<&str> = candidate.into_iter().collect();
            if gate {
                names.push("pl_gate_1");
            }
            let read = read_setting(&names_text(&names), Some("pl_gate_1"));
            assert_eq!(read.waits, Waits { candidate: candidate.map(str::to_owned), gate });
            assert_eq!(read.foreign, None);
        }
        assert!(read_setting("", Some("pl_gate_1")).waits.for_nobody());
    }

    #[test]
    fn what_somebody_else_set_is_foreign() {
        for text in [
            "*",
            "ANY 1 (west)",
            "FIRST 1 (\"pl_1_d_w_1\")",
            "ANY 1 (\"pl_a\", \"pl_b\")",
            "ANY 2 (\"pl_a\", \"pl_gate_1\")",
        ] {
            let read = read_setting(text, Some("pl_gate_1"));
            assert_eq!((read.foreign.as_deref(), read.waits.for_nobody()), (Some(text), true), "{text}");
        }
    }

    #[test]
    fn what_a_standby_holds_is_as_old_as_the_writers_end_then() {
        let at = |s| Mono(Duration::from_secs(s));
        let mut marks = Marks::default();
        assert_eq!(marks.held(Some(Lsn(10)), Some(Lsn(10)), at(1)), Some(at(1)));
        assert_eq!(marks.held(Some(Lsn(10)), Some(Lsn(20)), at(2)), Some(at(1)), "it has not moved since");
        assert_eq!(marks.held(None, Some(Lsn(30)), at(3)), None, "it is gone");
        assert_eq!(marks.held(Some(Lsn(25)), Some(Lsn(30)), at(4)), Some(at(2)));
    }

    #[test]
    fn names_are_short_enough_for_the_server_and_never_the_same() {
        let epoch = pilotlight_core::id::Epoch(123_456_789);
        let (a, b) =
            (new_name(epoch, &"c".repeat(63), &"r".repeat(63)), new_name(epoch, &"c".repeat(63), &"r".repeat(63)));
        assert!(a.len() <= 63 && a != b, "{a} {b}");
    }
}
