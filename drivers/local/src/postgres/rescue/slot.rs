//! The standing slot of a writer: it keeps what decoding a tail will need, from just behind the standbys on.
//!
//! Looked after by the writer's own agent every second, and moved on every ten, never past what any standby that streams now has
//! on its disk, nor at all while the candidate does not stream: wherever a failover to one of these parts the histories, the slot
//! begins before. A standby that does not stream, and is no candidate, may be passed; the bundle says then what it lacks.
//!
//! Who is a standby: where writers wait, whoever follows under a name of ours; else whoever replays what it is sent. Other
//! consumers of the log (change data capture, an archive) count for nothing: what they have taken no failover can start from.
//!
//! It cannot fill the disk: without a standby, or when it has fallen behind `rescue.max_slot`, it is dropped. A standby has none:
//! there it would hold its log back for ever.

use super::super::PostgresDriver;
use super::super::lsn::Lsn;
use super::super::session::column;
use super::super::waits::{OURS, read_setting};
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_driver::Context;
use std::sync::PoisonError;
use std::time::Duration;
use tokio_postgres::SimpleQueryRow;

/// Its name.
pub(in super::super) const SLOT: &str = "pilotlight_rescue";

/// Making one waits for running transactions to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Moving it on reads what was written to the log since it was made or last noted, so it is not done at every look.
const MOVE_EVERY: Duration = Duration::from_secs(10);

/// A gate appears among the standbys under a name that begins so; it holds nothing.
const GATE: &str = "pl_gate";

/// Whoever streams. What decodes has a logical slot; what only receives, as an archive does, says of no replay.
const FOLLOWERS: &str = "SELECT r.application_name AS name, r.flush_lsn AS flushed, r.replay_lsn IS NOT NULL AS replays, \
    EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical') AS decodes \
    FROM pg_stat_replication r WHERE r.state = 'streaming'";

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Deed {
    Nothing,
    Make,
    MoveTo(Lsn),
    Drop(&'static str),
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sight {
    recovering: bool,
    logical: bool,
    /// Writers wait, so standbys are known by their names.
    waits: bool,
    /// Whom the writer waits for: while the store has a candidate, it is this one.
    candidate: Option<String>,
    followers: Vec<Follower>,
    slot: Option<Slot>,
}

/// Somebody who is sent the log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Follower {
    name: String,
    /// What it says to have on its disk.
    flushed: Option<Lsn>,
    replays: bool,
    decodes: bool,
}

impl Follower {
    fn read(row: &SimpleQueryRow) -> Self {
        let is = |name| column(row, name) == Some("t");
        Follower {
            name: column(row, "name").unwrap_or_default().to_owned(),
            flushed: column(row, "flushed").and_then(|l| l.parse().ok()),
            replays: is("replays"),
            decodes: is("decodes"),
        }
    }

    fn is_standby(&self, waits: bool) -> bool {
        let named = if waits { self.name.starts_with(OURS) } else { self.replays };
        named && !self.decodes && !self.name.starts_with(GATE)
    }
}

impl Sight {
    /// The least that any streaming standby has on its disk; nothing while the candidate is not among them.
    fn standby(&self) -> Option<Lsn> {
        let standbys = || self.followers.iter().filter(|f| f.is_standby(self.waits));
        let is_there = |candidate: &String| standbys().any(|f| &f.name == candidate && f.flushed.is_some());
        if self.candidate.as_ref().is_some_and(|candidate| !is_there(candidate)) {
            return None;
        }
        standbys().filter_map(|f| f.flushed).min()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    confirmed: Lsn,
    lost: bool,
    /// Bytes of the log it keeps.
    keeps: u64,
}

fn decide(sight: &Sight, most: u64) -> Deed {
    match (&sight.slot, sight.standby()) {
        (Some(_), _) if sight.recovering => Deed::Drop("the copy is a standby"),
        (Some(slot), _) if slot.lost => Deed::Drop("the server has given it up"),
        (Some(slot), None) if slot.keeps > most => {
            Deed::Drop("no standby streams, or not the candidate, and it keeps too much of the log")
        }
        (Some(slot), Some(standby)) if standby > slot.confirmed => Deed::MoveTo(standby),
        (Some(slot), Some(_)) if slot.keeps > most => Deed::Drop("the standbys are too far behind"),
        (None, Some(_)) if !sight.recovering && sight.logical => Deed::Make,
        _ => Deed::Nothing,
    }
}

impl PostgresDriver {
    /// Brings the slot to where it should be.
    pub(in super::super) async fn keep_slot(&self, context: &Context) -> Result<Outcome, Failure> {
        if !self.plan.rescue.rows {
            return Ok(Outcome::done());
        }
        let within = context.deadline.min(PATIENCE);
        let sight = format!(
            "{FOLLOWERS}; SELECT pg_is_in_recovery() AS recovering, current_setting('wal_level') AS level, \
             current_setting('synchronous_standby_names') AS setting, s.confirmed_flush_lsn AS confirmed, s.wal_status, \
             (CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_lsn() - s.restart_lsn END)::bigint AS keeps \
             FROM (SELECT 1) one LEFT JOIN pg_replication_slots s ON s.slot_name = '{SLOT}'"
        );
        let rows = self
            .look
            .rows(&sight, within, true)
            .await
            .map_err(|e| e.failure("the slot of the rescue cannot be seen"))?;
        let unseen = || Failure::transient("the slot of the rescue cannot be seen");
        let (row, followers) = rows.split_last().ok_or_else(unseen)?;
        let lsn = |name| column(row, name).and_then(|l| l.parse().ok());
        let slot = column(row, "wal_status").map(|status| Slot {
            confirmed: lsn("confirmed").unwrap_or_default(),
            lost: status == "lost",
            keeps: column(row, "keeps").and_then(|k| k.parse().ok()).unwrap_or_default(),
        });
        let sight = Sight {
            recovering: column(row, "recovering") == Some("t"),
            logical: column(row, "level") == Some("logical"),
            waits: self.confirmed.waits,
            candidate: self.waits_for(column(row, "setting").unwrap_or_default()),
            followers: followers.iter().map(Follower::read).collect(),
            slot,
        };
        let sql = match decide(&sight, self.plan.rescue.max_slot) {
            Deed::Nothing => return Ok(Outcome::done()),
            Deed::Make => format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'test_decoding')"),
            Deed::MoveTo(_) if self.moved_lately() => return Ok(Outcome::done()),
            Deed::MoveTo(at) => format!("SELECT pg_replication_slot_advance('{SLOT}', '{at}')"),
            Deed::Drop(why) => {
                tracing::warn!(component = %self.component, "the slot that keeps lost rows readable is dropped: {why}");
                format!("SELECT pg_drop_replication_slot('{SLOT}')")
            }
        };
        // On a connection of its own: it may wait for long transactions, and looks go on meanwhile.
        let done = self.write.another().rows(&sql, within, false).await;
        *self.memory.moved.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.mono());
        done.map(|_| Outcome::done()).map_err(|e| e.failure("the slot of the rescue"))
    }

    /// Whom the writer waits for, where it waits.
    fn waits_for(&self, setting: &str) -> Option<String> {
        let gate = self.confirmed.gate.as_ref().map(|g| g.standby_name());
        self.confirmed.waits.then(|| read_setting(setting, gate).waits.candidate)?
    }

    fn moved_lately(&self) -> bool {
        let moved = *self.memory.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.is_some_and(|at| self.clock.mono().since(at) < MOVE_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower(name: &str, flushed: u64) -> Follower {
        Follower { name: name.to_owned(), flushed: Some(Lsn(flushed)), replays: true, decodes: false }
    }

    fn sight(standby: Option<u64>, slot: Option<(u64, u64)>) -> Sight {
        let slot = slot.map(|(confirmed, keeps)| Slot { confirmed: Lsn(confirmed), lost: false, keeps });
        let followers = standby.into_iter().map(|at| follower("walreceiver", at)).collect();
        Sight { recovering: false, logical: true, waits: false, candidate: None, followers, slot }
    }

    #[test]
    fn it_stays_behind_every_standby_and_never_fills_the_disk() {
        for (seen, expected) in [
            (sight(None, None), Deed::Nothing),
            (sight(Some(500), None), Deed::Make),
            (Sight { logical: false, ..sight(Some(500), None) }, Deed::Nothing),
            (sight(Some(500), Some((400, 10))), Deed::MoveTo(Lsn(500))),
            (sight(Some(500), Some((500, 10))), Deed::Nothing),
            (sight(None, Some((400, 10))), Deed::Nothing),
        ] {
            assert_eq!(decide(&seen, 1_000), expected, "{seen:?}");
        }
        for dropped in [
            sight(None, Some((400, 1_001))),
            sight(Some(500), Some((500, 1_001))),
            Sight { recovering: true, ..sight(None, Some((400, 10))) },
            Sight { slot: Some(Slot { confirmed: Lsn(1), lost: true, keeps: 0 }), ..sight(Some(500), None) },
        ] {
            assert!(matches!(decide(&dropped, 1_000), Deed::Drop(_)), "{dropped:?}");
        }
    }
    #[test]
    fn only_standbys_count_and_a_candidate_that_is_away_holds_it() {
        let cdc = || Follower { decodes: true, ..follower("debezium", 900) };
        let archive = || Follower { replays: false, ..follower("pg_receivewal", 800) };
        let stalled = || Follower { decodes: true, ..follower("debezium", 100) };
        let (west, south) = (|at| follower("pl_3_db_west_1", at), |at| follower("pl_3_db_south_2", at));
        let candidate = |name: &str| Some(name.to_owned());
        let at = |waits, candidate, followers| {
            Sight { waits, candidate, followers, ..sight(None, Some((400, 10))) }.standby().map(|at| at.0)
        };
        for (what, waits, candidate, followers, expected) in [
            ("others alone, best effort", false, None, vec![cdc(), archive()], None),
            ("others alone", true, candidate("pl_3_db_west_1"), vec![cdc(), archive()], None),
            ("a stalled one beside the standby", true, None, vec![stalled(), west(500)], Some(500)),
            ("the same, best effort", false, None, vec![stalled(), archive(), follower("db_west", 500)], Some(500)),
            ("a gate", true, None, vec![follower("pl_gate_1", 900)], None),
            ("a replica of somebody's", true, None, vec![follower("reports", 300), west(500)], Some(500)),
            ("the slowest standby", true, candidate("pl_3_db_west_1"), vec![west(500), south(450)], Some(450)),
            ("the candidate is away", true, candidate("pl_3_db_west_1"), vec![south(600)], None),
            ("it is the candidate no more", true, None, vec![south(600)], Some(600)),
        ] {
            assert_eq!(at(waits, candidate, followers), expected, "{what}");
        }
        let away = |keeps| Sight {
            waits: true,
            candidate: candidate("pl_3_db_west_1"),
            followers: vec![south(600), cdc()],
            ..sight(None, Some((400, keeps)))
        };
        assert_eq!(decide(&away(10), 1_000), Deed::Nothing);
        assert!(matches!(decide(&away(1_001), 1_000), Deed::Drop(_)), "nor does it fill the disk");
    }
}
