//! What a controller saw and decided, one line each, and the same decisions made again from it.
//!
//! Border: lines in, lines out; where they are kept is the controller's business. [`replay`] asks the very
//! [`verdict`](crate::verdict::verdict) and [`decide`](crate::verdict::decide) that the controller asks.
//!
//! What a recording cannot show: what the world would have done after another decision, and other leases. It holds the
//! leases as they were granted and the runs as they were.

use crate::id::{Application, Region, Unit};
use crate::observation::Role;
use crate::plan::Plan;
use crate::time::{Mono, Wall};
use crate::verdict::{Decision, Evidence, History, Sight, Verdict, decide, verdict};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Raised when a line changes its meaning.
pub const FORMAT: u32 = 1;

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// The first line of each file.
    Head(Head),
    /// What was known at one moment.
    Scene(Box<Scene>),
}

/// Whose recording it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The application.
    pub application: Application,
    /// The text of the plan that decided.
    pub plan: String,
}

/// What was known of a unit at one moment, and what was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// The controller's wall clock.
    pub at: Wall,
    /// The unit.
    pub unit: Unit,
    /// Its writer as the store had it.
    pub writer: Option<Region>,
    /// Everything a verdict is made from.
    pub sight: Sight,
    /// Everything else a decision is made from.
    pub history: History,
    /// The verdict then.
    pub verdict: Verdict,
    /// The decision then, in words.
    pub decision: String,
}

/// A decision that was made again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Turn {
    /// When.
    pub at: Wall,
    /// Of which unit.
    pub unit: Unit,
    /// The verdict.
    pub verdict: Verdict,
    /// The decision, in words.
    pub decision: String,
    /// It starts something, or asks a person to.
    pub starts: bool,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
}

/// Where two plans decide otherwise, from one moment to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The first moment.
    pub from: Wall,
    /// The last moment.
    pub to: Wall,
    /// Of which unit.
    pub unit: Unit,
    /// Verdict and decision of the first plan, at the first moment.
    pub first: String,
    /// Those of the second.
    pub second: String,
}

/// A decision in words.
pub fn words(decision: &Decision) -> String {
    match decision {
        Decision::End { run, intent } => format!("ends {run} for a {} to {}", intent.verb, intent.target.writer),
        Decision::Withdraw { run, .. } => format!("withdraws {run}"),
        Decision::Hold(reason) => format!("holds still: {reason}"),
        Decision::Start(intent) => format!("starts a {} to {}", intent.verb, intent.target.writer),
        Decision::Ask(intent) => format!("asks for a {} to {}", intent.verb, intent.target.writer),
    }
}

/// The text without its figures, which change all the time: only another kind of text is news.
pub fn kind(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

impl Scene {
    /// What of it is worth a line of its own when it changes: verdict, decision, who is heard, what the copies are.
    pub fn shape(&self, plan: &Plan) -> String {
        let heard = plan.observers().into_iter().map(|o| self.sight.hears_observer(plan, &o));
        let heard: String = heard.map(|h| if h { '+' } else { '-' }).collect();
        let roles: Vec<&Option<Role>> =
            self.sight.agents.values().flat_map(|a| a.seen.values()).map(|(s, _)| &s.role).collect();
        format!("{} {} {heard} {roles:?} {:?}", self.verdict, kind(&self.decision), self.history.hold)
    }
}

/// While a recorded verdict is not "healthy" a controller keeps several lines a second: where none is for so long, some were
/// lost, as with a full disk, or another controller goes on.
const LOST: Duration = Duration::from_secs(5);

/// Since when a verdict has been reached from line to line.
struct Same {
    verdict: Verdict,
    since: Mono,
    /// The line before: when, and what was reached then.
    before: (Mono, Verdict),
}

impl Same {
    /// Nothing is known of what was between the line before and this one.
    fn is_parted_from(&self, scene: &Scene) -> bool {
        let ((before, verdict), now, lasted) = (self.before, scene.sight.now, scene.history.same_for);
        // The controller itself saw it begin anew since. Where it says nothing of that, it is an old recording.
        let anew = verdict == scene.verdict && !lasted.is_zero() && now.since(before) > lasted;
        let lost = verdict != Verdict::Healthy && now.since(before) > LOST;
        // Before: another controller's clock.
        before > now || anew || lost
    }
}

/// Makes every decision again under that plan.
pub fn replay<'a>(plan: &Plan, scenes: impl IntoIterator<Item = &'a Scene>) -> Vec<Turn> {
    let mut same: BTreeMap<Unit, Same> = BTreeMap::new();
    let turn = |scene: &Scene| {
        let judgement = verdict(plan, &scene.unit, scene.writer.as_ref(), &scene.sight);
        let (now, reached) = (scene.sight.now, judgement.verdict);
        let begun = || Same { verdict: reached, since: now, before: (now, scene.verdict) };
        let since = same.entry(scene.unit.clone()).or_insert_with(begun);
        if since.verdict != reached || since.is_parted_from(scene) {
            *since = begun();
        }
        since.before = (now, scene.verdict);
        // What the recording began in the middle of lasted longer than it shows.
        let recorded = if scene.verdict == judgement.verdict { scene.history.same_for } else { Duration::ZERO };
        let history = History { same_for: now.since(since.since).max(recorded), ..scene.history.clone() };
        let decision = decide(plan, &scene.unit, &judgement, &history, scene.at);
        Turn {
            at: scene.at,
            unit: scene.unit.clone(),
            verdict: judgement.verdict,
            decision: words(&decision),
            starts: !matches!(decision, Decision::Hold(_)),
            evidence: judgement.evidence,
        }
    };
    scenes.into_iter().map(turn).collect()
}

/// Only the turns at which something changed in kind.
pub fn changes(turns: &[Turn]) -> Vec<&Turn> {
    let mut last: BTreeMap<&Unit, (Verdict, String)> = BTreeMap::new();
    let mut found = Vec::new();
    for turn in turns {
        let now = (turn.verdict, kind(&turn.decision));
        if last.insert(&turn.unit, now.clone()) != Some(now) {
            found.push(turn);
        }
    }
    found
}

/// Where two replays of one recording differ, neighbours of the same kind taken together.
pub fn differences(first: &[Turn], second: &[Turn]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    let mut open: BTreeMap<&Unit, (usize, String)> = BTreeMap::new();
    let says = |t: &Turn| format!("{}, {}", t.verdict, t.decision);
    for (a, b) in first.iter().zip(second) {
        let key = format!("{} | {}", kind(&says(a)), kind(&says(b)));
        if kind(&says(a)) == kind(&says(b)) {
            open.remove(&a.unit);
            continue;
        }
        match open.get(&a.unit) {
            Some((at, k)) if *k == key => found[*at].to = a.at,
            _ => {
                open.insert(&a.unit, (found.len(), key));
                let unit = a.unit.clone();
                found.push(Difference { from: a.at, to: a.at, unit, first: says(a), second: says(b) });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
