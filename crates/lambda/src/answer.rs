//! What an invocation says at its end. A schedule and SNS throw it away; it is logged, and whoever invokes by hand reads it.

use pilotlight_core::code;
use pilotlight_core::drill::Drill;
use pilotlight_core::id::{Epoch, Region, RunId, Unit};
use pilotlight_core::time::show_wall;
use pilotlight_engine::RunSummary;
use pilotlight_server::api::view::{DecisionView, DrillView, StatusView};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// There was nothing to do.
    #[default]
    Nothing,
    /// What was to be done is done.
    Done,
    /// It goes on in the next invocation.
    GoesOn,
    /// A person has to act.
    Waits,
    /// The controller has looked and holds still.
    Holds,
    /// Another invocation leads, and does it.
    Elsewhere,
    /// A run did not reach its target.
    Failed,
}

#[derive(Debug, Clone, Serialize, Default)]
pub(crate) struct Answer {
    pub(crate) state: State,
    /// What was found, one line each.
    pub(crate) says: Vec<String>,
    /// Each alarm that was looked into, and what it came to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) alarms: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) units: Vec<UnitLine>,
    /// Runs that were under way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) runs: Vec<RunSummary>,
    /// What the controller answered to a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<Value>,
}

/// A unit in short.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UnitLine {
    unit: Unit,
    epoch: Option<Epoch>,
    writer: Option<Region>,
    run: Option<RunId>,
    verdict: String,
    decision: DecisionView,
    #[serde(skip_serializing_if = "Option::is_none")]
    drill: Option<DrillView>,
}

impl Answer {
    pub(crate) fn of(state: State, says: impl Into<String>) -> Self {
        Self { state, says: vec![says.into()], ..Self::default() }
    }

    pub(crate) fn say(&mut self, line: impl Into<String>) {
        self.says.push(line.into());
    }

    /// Where the units stand.
    pub(crate) fn sees(&mut self, status: &StatusView) {
        let line = |u: &pilotlight_server::api::view::UnitStatus| UnitLine {
            unit: u.unit.clone(),
            epoch: u.epoch,
            writer: u.writer.clone(),
            run: u.run.clone(),
            verdict: u.judgement.as_ref().map_or("not judged".to_owned(), |j| j.verdict.to_string()),
            decision: u.decision.clone(),
            drill: u.drill.clone(),
        };
        self.units = status.units.iter().map(line).collect();
    }

    /// Says of each drill how long it goes on, or why it is not taken back; whether there is one of the latter.
    pub(crate) fn tell_drills(&mut self) -> bool {
        let drills: Vec<DrillView> = self.units.iter().filter_map(|u| u.drill.clone()).collect();
        let not_back =
            |run: &RunId, why: &str| format!("{run} is over and is not taken back: {why} ({})", code::DRILL_NOT_BACK);
        for DrillView { drill, held } in &drills {
            self.say(held.as_ref().map_or_else(|| goes_on(drill), |why| not_back(&drill.run, why)));
        }
        drills.iter().any(|d| d.held.is_some())
    }
}

/// A drill that has led away.
pub(crate) fn goes_on(drill: &Drill) -> String {
    format!("drill {} goes on until {}, then it is taken back to {}", drill.run, show_wall(drill.until), drill.from)
}
