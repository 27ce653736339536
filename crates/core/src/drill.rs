//! Drills: a planned move that is taken back when its time is over, by whichever controller leads then.
//!
//! Border: that a run was a drill stands in its first record ([`crate::run::Cause::drill_ms`]); who reads the journal and
//! starts the move back is elsewhere.
//!
//! Invariant: a drill is taken back by a planned move only, which asks everything that any planned move asks. A real
//! incident or a person's hold postpones it; any later move of the unit ends the drill, and then people decide.

use crate::id::{Region, RunId};
use crate::placement::Verb;
use crate::run::RunResult;
use crate::time::Wall;
use crate::verdict::{Hold, Verdict};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A drill that is over as a run and has not been taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    /// The run that led away.
    pub run: RunId,
    /// Where the writer belongs again.
    pub from: Region,
    /// Where it is meanwhile.
    pub to: Region,
    /// Until when.
    pub until: Wall,
}

/// What is to be done with it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Its time is not over.
    Wait,
    /// The move back, by this word.
    Back(Verb),
    /// Its time is over, and something stands in the way; says what.
    Hold(String),
}

impl Drill {
    /// The newest run of a unit as a drill that goes on; `None` when it was none, or did not lead where it should.
    pub fn of(
        run: &RunId,
        from: &Region,
        to: &Region,
        ended: Wall,
        result: RunResult,
        lasts: Duration,
    ) -> Option<Self> {
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let until = Wall(ended.0.saturating_add(lasts));
        result.is_done().then(|| Self { run: run.clone(), from: from.clone(), to: to.clone(), until })
    }

    /// What is to be done at a moment, by what is judged of the unit and where its writer is.
    pub fn next(
        &self,
        now: Wall,
        home: &Region,
        writer: Option<&Region>,
        verdict: Verdict,
        hold: Option<&Hold>,
    ) -> Next {
        if now < self.until {
            return Next::Wait;
        }
        if let Some(hold) = hold {
            return Next::Hold(format!("nothing starts by itself: {hold}"));
        }
        if writer != Some(&self.to) {
            return Next::Hold(format!("the writer is not in {} any more", self.to));
        }
        match verdict {
            // A service that is unhealthy where the drill led is one more reason to go.
            v if v.works() && self.from == *home => Next::Back(Verb::Failback),
            v if v.works() => Next::Back(Verb::Switchover),
            other => Next::Hold(format!("the unit is not well: {other}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drill(from: &str) -> Drill {
        let (from, to) = (Region::from(from), Region::from("west"));
        Drill::of(&RunId::from("r"), &from, &to, Wall(1_000), RunResult::Done, Duration::from_secs(3_600)).unwrap()
    }

    #[test]
    fn it_goes_back_when_its_hour_is_over_and_all_is_well() {
        let (home, west, now) = (Region::from("east"), Region::from("west"), Wall(3_601_000));
        let well = Verdict::Healthy;
        let next = |drill: &Drill, at, writer, verdict| drill.next(at, &home, writer, verdict, None);
        assert_eq!(next(&drill("east"), Wall(3_600_999), Some(&west), well), Next::Wait);
        assert_eq!(next(&drill("east"), now, Some(&west), well), Next::Back(Verb::Failback));
        assert_eq!(next(&drill("north"), now, Some(&west), well), Next::Back(Verb::Switchover), "not home");
        let unhealthy = Verdict::ServiceUnhealthy;
        assert_eq!(next(&drill("east"), now, Some(&west), unhealthy), Next::Back(Verb::Failback), "not well there");
        assert_eq!(next(&drill("north"), now, Some(&west), unhealthy), Next::Back(Verb::Switchover), "not well there");
        for (writer, verdict) in
            [(Some(&west), Verdict::RegionLost), (Some(&west), Verdict::NoDataYet), (Some(&home), well), (None, well)]
        {
            assert!(matches!(next(&drill("east"), now, writer, verdict), Next::Hold(_)), "{writer:?} {verdict:?}");
        }
        let hold = Hold { file: "hold".to_owned(), by: "ada".to_owned(), since: None, why: String::new() };
        let held = drill("east").next(now, &home, Some(&west), well, Some(&hold));
        assert!(matches!(held, Next::Hold(why) if why.contains("ada")));
    }

    #[test]
    fn a_move_that_did_not_get_there_is_nothing_to_take_back() {
        let (from, to) = (Region::from("east"), Region::from("west"));
        for result in [RunResult::Failed, RunResult::Undone, RunResult::Aborted] {
            let drill = Drill::of(&RunId::from("r"), &from, &to, Wall(0), result, Duration::ZERO);
            assert_eq!(drill, None, "{result}");
        }
    }
}
