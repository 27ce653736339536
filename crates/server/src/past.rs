//! What became of a unit's earlier runs, as far as it bears on what is decided next.

use crate::desk::Desk;
use crate::drills;
use pilotlight_core::code::{self, Code};
use pilotlight_core::drill::Drill;
use pilotlight_core::id::{Region, RunId, Unit};
use pilotlight_core::placement::Verb;
use pilotlight_core::run::{Condition, RunResult};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_core::verdict::Unread;
use pilotlight_engine::RunSummary;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::UnitRecord;
use std::collections::BTreeMap;
use std::time::Duration;

/// What was read of runs that have ended: it stays as it is.
#[derive(Default)]
pub(crate) struct Read {
    /// The regions a rejoin touched, and when it began.
    rejoins: BTreeMap<RunId, (Vec<Region>, Wall)>,
    /// The newest automatic failover, and how it ended.
    failover: Option<(RunId, RunResult)>,
    ages: Ages,
}

/// How long ago runs began: as the wall clock had it when this controller first met them, which is at once for its own, and by
/// its steady clock from then on. A wall clock that is set changes nothing of what this controller has met.
#[derive(Default)]
struct Ages(BTreeMap<Wall, (Duration, Mono)>);

impl Ages {
    /// When it began, as the wall clock would have it now.
    fn began(&mut self, started: Wall, (wall, now): (Wall, Mono)) -> Wall {
        let (age, met) = *self.0.entry(started).or_insert_with(|| (wall.since(started), now));
        let ago = (age + now.since(met)).as_millis();
        Wall(wall.0.saturating_sub(u64::try_from(ago).unwrap_or(u64::MAX)))
    }
}

/// What became of earlier runs of the unit.
#[derive(Default)]
pub(crate) struct Past {
    pub(crate) read: Read,
    failed_rejoins: BTreeMap<Region, Wall>,
    pub(crate) rejoins_unread: Option<Unread>,
    /// When the last drain began, if it has ended and not well.
    failed_drain: Option<Wall>,
    /// The last automatic failover has ended, and not well.
    pub(crate) failed_over_badly: bool,
    /// The last automatic failover was prepared, and withdrawn before anything of it had begun.
    pub(crate) withdrawn: bool,
    pub(crate) failover_unread: Option<Unread>,
    /// The newest run was a drill that goes on.
    pub(crate) drill: Option<Drill>,
}

impl Past {
    /// Each run whose records cannot be read.
    pub(crate) fn unread(&self) -> Vec<&Unread> {
        self.failover_unread.iter().chain(&self.rejoins_unread).collect()
    }

    /// When the last rejoin of each region began, where it has ended and not well; as the wall clock would have it now.
    pub(crate) fn failed_rejoins(&mut self, clocks: (Wall, Mono)) -> BTreeMap<Region, Wall> {
        let Self { failed_rejoins, read, .. } = self;
        failed_rejoins.iter().map(|(region, at)| (region.clone(), read.ages.began(*at, clocks))).collect()
    }

    /// The same of the last drain.
    pub(crate) fn failed_drain(&mut self, clocks: (Wall, Mono)) -> Option<Wall> {
        self.failed_drain.map(|at| self.read.ages.began(at, clocks))
    }
}

/// What became of the last rejoin of each region, and whether the last automatic failover ended badly.
pub(crate) async fn past(desk: &Desk, record: &UnitRecord, read: Read) -> Past {
    let mut past = Past { read, ..Past::default() };
    // The newest first.
    let rejoins = match desk.engine.readable_runs().await {
        Ok(runs) => {
            past.drill = drills::newest(&runs, &record.unit);
            past.failed_drain = failed_drain(&runs, &record.unit);
            failed_rejoins(desk, runs, &record.unit, &mut past.read).await
        }
        Err(e) => Err(e),
    };
    match rejoins {
        Ok(rejoins) => past.failed_rejoins = rejoins,
        Err(e) => past.rejoins_unread = Some(unread(&e)),
    }
    let Some(last) = record.failed_over.as_ref().filter(|f| f.automatic) else { return past };
    if past.read.failover.as_ref().is_none_or(|(run, _)| *run != last.run) {
        past.read.failover = match desk.engine.condition(&last.run).await {
            Ok(Some(Condition::Ended { result })) => Some((last.run.clone(), result)),
            // The store names it, so it began: its records were lost, and nobody knows how it ended.
            Ok(None) if record.run.as_ref() != Some(&last.run) => {
                let why = format!("the journal has no record of run {}", last.run);
                past.failover_unread = Some(Unread { code: code::JOURNAL_DAMAGED, why });
                None
            }
            Ok(_) => None,
            Err(e) => {
                past.failover_unread = Some(unread(&e));
                None
            }
        };
    }
    let ended = past.read.failover.as_ref().map(|(_, result)| *result);
    past.withdrawn = ended == Some(RunResult::Withdrawn);
    past.failed_over_badly = ended.is_some_and(|r| !r.is_done() && !past.withdrawn);
    past
}

fn unread(error: &StorageError) -> Unread {
    let code = Code::find(error.code()).unwrap_or(code::JOURNAL_DAMAGED);
    Unread { code, why: error.to_string() }
}

/// When the newest drain began, where it has ended and not well.
fn failed_drain(runs: &[RunSummary], unit: &Unit) -> Option<Wall> {
    let newest = runs.iter().find(|r| &r.unit == unit && r.verb == Verb::Drain)?;
    matches!(newest.condition, Condition::Ended { result } if !result.is_done()).then_some(newest.started)
}

/// The newest rejoin of each region, where it did not end well.
async fn failed_rejoins(
    desk: &Desk,
    runs: Vec<RunSummary>,
    unit: &Unit,
    read: &mut Read,
) -> Result<BTreeMap<Region, Wall>, StorageError> {
    let mut newest = BTreeMap::new();
    // The first that is met of a region counts.
    for summary in runs {
        let Condition::Ended { result } = summary.condition else { continue };
        if &summary.unit != unit || summary.verb != Verb::Rejoin {
            continue;
        }
        if !read.rejoins.contains_key(&summary.run) {
            let Some(run) = desk.engine.view(&summary.run).await? else { continue };
            let touched = run.steps.iter().filter_map(|s| s.effect.region()).filter(|r| **r != run.from);
            read.rejoins.insert(summary.run.clone(), (touched.cloned().collect(), run.started));
        }
        let Some((touched, started)) = read.rejoins.get(&summary.run) else { continue };
        for region in touched {
            newest.entry(region.clone()).or_insert((*started, result));
        }
        if newest.len() + 1 >= desk.plan.regions.len() {
            break;
        }
    }
    let badly = newest.into_iter().filter(|(_, (_, result))| !result.is_done());
    Ok(badly.map(|(region, (at, _))| (region, at)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_that_is_set_makes_what_was_met_neither_older_nor_younger() {
        let now = |seconds: u64| Mono(Duration::from_secs(seconds));
        let mut past = Past { failed_drain: Some(Wall(1_000_000)), ..Past::default() };
        past.failed_rejoins.insert("west".into(), Wall(1_030_000));
        assert_eq!(past.failed_drain((Wall(1_060_000), now(5))), Some(Wall(1_000_000)), "sixty seconds ago");
        assert_eq!(past.failed_rejoins((Wall(1_060_000), now(5)))[&"west".into()], Wall(1_030_000));
        for (wall, later, drain, rejoin) in [
            (1_070_000, 15, 70, 40),
            // Set forward by a day, and back by one.
            (87_480_000, 25, 80, 50),
            (1_090_000, 35, 90, 60),
            (500, 45, 100, 70),
        ] {
            let clocks = (Wall(wall), now(later));
            let earlier = |seconds: u64| Wall(wall.saturating_sub(seconds * 1_000));
            assert_eq!(past.failed_drain(clocks), Some(earlier(drain)), "at {later}");
            assert_eq!(past.failed_rejoins(clocks)[&"west".into()], earlier(rejoin), "at {later}");
        }
    }
}
