//! What an invocation says at its end. A schedule and SNS throw it away; it is logged, and whoever invokes by hand reads it.

use pilotlight_core::id::{Epoch, Region, RunId, Unit};
use pilotlight_engine::RunSummary;
use pilotlight_server::api::view::{DecisionView, StatusView};
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
        };
        self.units = status.units.iter().map(line).collect();
    }
}
