//! The standing slot of a writer: it keeps what decoding a tail will need, from just behind the standbys on.
//!
//! Looked after by the writer's own agent every second, and moved on every ten, never past what every streaming standby has on its disk:
//! wherever a failover parts the histories, the slot begins before. It cannot fill the disk: without a standby, or when it
//! has fallen behind `rescue.max_slot`, it is dropped. A standby has none: there it would hold its log back for ever.

use super::super::PostgresDriver;
use super::super::lsn::Lsn;
use super::super::session::column;
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_driver::Context;
use std::sync::PoisonError;
use std::time::Duration;

/// Its name.
pub(in super::super) const SLOT: &str = "pilotlight_rescue";

/// Making one waits for running transactions to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Moving it on reads what was written to the log since it was made or last noted, so it is not done at every look.
const MOVE_EVERY: Duration = Duration::from_secs(10);

/// A gate appears among the standbys under a name that begins so; it holds nothing.
const GATE: &str = "pl_gate";

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
    /// The least that any streaming standby has on its disk.
    standby: Option<Lsn>,
    slot: Option<Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    confirmed: Lsn,
    lost: bool,
    /// Bytes of the log it keeps.
    keeps: u64,
}

fn decide(sight: &Sight, most: u64) -> Deed {
    match (&sight.slot, sight.standby) {
        (Some(_), _) if sight.recovering => Deed::Drop("the copy is a standby"),
        (Some(slot), _) if slot.lost => Deed::Drop("the server has given it up"),
        (Some(slot), None) if slot.keeps > most => Deed::Drop("no standby streams and it keeps too much of the log"),
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
            "SELECT pg_is_in_recovery() AS recovering, current_setting('wal_level') AS level, \
             (SELECT min(flush_lsn) FROM pg_stat_replication WHERE state = 'streaming' \
              AND application_name NOT LIKE '{GATE}%') AS standby, s.confirmed_flush_lsn AS confirmed, s.wal_status, \
             (CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_current_wal_lsn() - s.restart_lsn END)::bigint AS keeps \
             FROM (SELECT 1) one LEFT JOIN pg_replication_slots s ON s.slot_name = '{SLOT}'"
        );
        let rows = self
            .look
            .rows(&sight, within, true)
            .await
            .map_err(|e| e.failure("the slot of the rescue cannot be seen"))?;
        let row = rows.first().ok_or_else(|| Failure::transient("the slot of the rescue cannot be seen"))?;
        let lsn = |name| column(row, name).and_then(|l| l.parse().ok());
        let slot = column(row, "wal_status").map(|status| Slot {
            confirmed: lsn("confirmed").unwrap_or_default(),
            lost: status == "lost",
            keeps: column(row, "keeps").and_then(|k| k.parse().ok()).unwrap_or_default(),
        });
        let sight = Sight {
            recovering: column(row, "recovering") == Some("t"),
            logical: column(row, "level") == Some("logical"),
            standby: lsn("standby"),
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

    fn moved_lately(&self) -> bool {
        let moved = *self.memory.moved.lock().unwrap_or_else(PoisonError::into_inner);
        moved.is_some_and(|at| self.clock.mono().since(at) < MOVE_EVERY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(standby: Option<u64>, slot: Option<(u64, u64)>) -> Sight {
        let slot = slot.map(|(confirmed, keeps)| Slot { confirmed: Lsn(confirmed), lost: false, keeps });
        Sight { recovering: false, logical: true, standby: standby.map(Lsn), slot }
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
}
