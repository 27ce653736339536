//! What agents and controllers say to each other, as JSON over HTTPS. Agents dial; controllers answer.
//!
//! - `POST /v1/agent/heartbeat` [`Heartbeat`] -> [`HeartbeatReply`]: presence, observations and the lease, every
//!   `renew` interval and at once when something changed.
//! - `POST /v1/agent/work` [`WorkRequest`] -> [`WorkReply`]: waits up to `wait_ms` for tasks.
//! - `POST /v1/observe` [`ObserverReport`] -> 204: what a process sees that only looks.
//! - `POST /v1/agent/result` [`TaskResult`] -> 204: what became of a task; may be sent twice.
//!
//! Every request carries `authorization: Bearer TOKEN`, and the version in which it is written. One outside of [`OLDEST`] to
//! [`VERSION`] is refused with code `PL-0401`. Agents write in the oldest, as long as no message has changed its meaning, and
//! say with each heartbeat up to which they understand: so either side may be updated first.

pub mod dns;

use crate::candidate::{Admitted, Wish};
use crate::effect::Effect;
use crate::health::{Health, Question};
use crate::id::{Component, EffectKey, Epoch, Observer, Region, Unit};
use crate::leader::Term;
use crate::observation::{Newest, Sentinel, State, Target};
use crate::outcome::{Failure, Finding, Outcome};
use crate::plan::Accord;
use crate::position::{Order, Position};
use crate::rescue;
use crate::runbook::Basis;
use crate::shared::Shared;
use crate::time::as_ms;
use crate::verdict::PortAnswer;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The header of every answer of one of several controllers: the term it leads. Agents obey no older one than they have
/// heard.
pub const TERM_HEADER: &str = "pilotlight-term";

/// The newest version that is understood. Raised when something is added that the other side should know of.
///
/// - 3: an agent says its accord, and answers a task that it does not know.
pub const VERSION: u32 = 3;

/// The oldest that is understood, in which messages are written. Raised when a message changes its meaning.
pub const OLDEST: u32 = 2;

/// Bytes of a result that a controller takes.
pub const RESULT_MOST: usize = 8 << 20;

/// An agent says it is there and what it sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// In which it is written.
    pub version: u32,
    /// [`VERSION`] of the sender.
    #[serde(default = "oldest")]
    pub speaks: u32,
    /// Its region.
    pub region: Region,
    /// Random per process: a restarted agent is another instance.
    pub instance: String,
    /// Where it runs: two agents of one region at different places could both hold its lease. Empty where it is not said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// Counts this instance's heartbeats, so that a late one cannot undo a newer.
    pub sequence: u64,
    /// What it sees of its own region now.
    pub sees: Vec<Seen>,
    /// Newest sentinel that it wrote to each component as the writer's agent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sentinels: BTreeMap<Component, Newest>,
    /// The same for and from another side of an older version, which names no component: of the only one that has sentinels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<Sentinel>,
    /// Its [`Newest::steady_from`].
    #[serde(default)]
    pub steady_from: u64,
    /// What it sees of the other places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortSeen>,
    /// What it thinks of services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthSeen>,
    /// What it asks of the store as the writer's agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wishes: Vec<Wish>,
    /// The newest that it heard of each unit: a store that says less, or another candidate, is not the one that it was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: BTreeMap<Unit, Basis>,
    /// The newest term that it heard: it obeys no older one.
    #[serde(default)]
    pub term: Term,
    /// What of its plan it must have in common with the controller; an agent of an older version does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accord: Option<Shared<Accord>>,
}

/// An observer says that it is there and what it sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObserverReport {
    /// In which it is written.
    pub version: u32,
    /// Its name in `policy.observers`.
    pub observer: Observer,
    /// Random per process.
    pub instance: String,
    /// Counts this instance's reports.
    pub sequence: u64,
    /// What it sees.
    pub ports: Vec<PortSeen>,
    /// What it thinks of services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<HealthSeen>,
}

/// What an observer thinks of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSeen {
    /// Which service, where.
    pub question: Question,
    /// What it thinks.
    pub health: Health,
    /// For how long.
    #[serde(with = "as_ms")]
    pub for_ms: Duration,
    /// What the last answer was.
    pub says: String,
    /// How long that took.
    #[serde(with = "as_ms")]
    pub took_ms: Duration,
    /// How old it is.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

/// A port that was dialled from another place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSeen {
    /// The copy whose port it is.
    pub target: Target,
    /// What came of it.
    pub answer: PortAnswer,
    /// How old the look is.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

/// One look, from inside the region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// What was looked at.
    pub target: Target,
    /// What was seen.
    pub state: Shared<State>,
    /// How old the look is.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

/// The controller's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeartbeatReply {
    /// Each unit as the store has it, and whether the sender holds its lease.
    pub units: Vec<UnitView>,
}

/// One unit as the store has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitView {
    /// The unit.
    pub unit: Unit,
    /// Its epoch.
    pub epoch: Epoch,
    /// The region that may write; `None` while a run moves it.
    pub writer: Option<Region>,
    /// The sender may let its copies be written for so long, counted from before it sent the heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::position::option_ms")]
    pub lease_ms: Option<Duration>,
    /// Who may be promoted by itself, as the store has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Admitted>,
    /// Raised with each change of `candidate`.
    #[serde(default)]
    pub candidacy: u64,
    /// For the writer's agent: the regions that could be admitted, in the order of the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<Admitted>,
}

impl UnitView {
    /// What was heard with it.
    pub fn basis(&self) -> Basis {
        Basis::of(self.epoch, self.candidacy, self.candidate.as_ref())
    }
}

/// An agent asks for work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkRequest {
    /// In which it is written.
    pub version: u32,
    /// Its region.
    pub region: Region,
    /// Its instance.
    pub instance: String,
    /// Where it runs, as in its heartbeats.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// How long the controller may hold the request.
    #[serde(with = "as_ms")]
    pub wait_ms: Duration,
}

/// Tasks to be done, oldest first. A task is sent again until its result has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkReply {
    /// The tasks.
    pub tasks: Vec<Task>,
}

/// One thing an agent is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Unique; the result names it.
    pub id: String,
    /// What to do.
    #[serde(deserialize_with = "job")]
    pub job: Job,
}

/// Each task is read by itself: one of a later version stops no other.
fn job<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Job, D::Error> {
    let job = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(job).unwrap_or_else(|e| Job::Unread { why: e.to_string() }))
}

/// What an agent speaks that does not say it.
fn oldest() -> u32 {
    OLDEST
}

/// The calls of the driver contract, as data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "kebab-case")]
pub enum Job {
    /// Look.
    Observe { target: Target },
    /// Say what would stand in the way; change nothing.
    Preflight { effect: Effect },
    /// Do it.
    Apply { effect: Effect, context: JobContext },
    /// Look after work accepted earlier.
    Resume { handle: String, context: JobContext },
    /// Say what rescue bundles there are, or what is in one; change nothing.
    Rescue { target: Target, question: rescue::Question },
    /// How does `first` stand to `second`?
    Compare { target: Target, first: Position, second: Position },
    /// A task that the reader does not know. It is never sent.
    #[serde(skip)]
    Unread { why: String },
}

impl Job {
    /// The version that an agent must speak to be asked this: a new task, or an effect that older ones do not know, has its
    /// line here.
    pub fn since(&self) -> u32 {
        match self {
            Job::Observe { .. }
            | Job::Preflight { .. }
            | Job::Apply { .. }
            | Job::Resume { .. }
            | Job::Rescue { .. }
            | Job::Compare { .. } => OLDEST,
            Job::Unread { .. } => VERSION,
        }
    }
}

/// The context of an effect on its way to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobContext {
    /// The unit it belongs to.
    pub unit: Unit,
    /// The epoch it carries.
    pub epoch: Epoch,
    /// Done at most once per key.
    pub key: EffectKey,
    /// Time left.
    #[serde(with = "as_ms")]
    pub deadline_ms: Duration,
}

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// The sender's region.
    pub region: Region,
    /// Its instance; an older agent does not say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Where it runs, as in its heartbeats.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The task.
    pub id: String,
    /// What came of it.
    pub answer: Answer,
}

/// The answers of the driver contract, as data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Job::Observe`].
    Observed { state: Box<State> },
    /// To [`Job::Preflight`].
    Findings { findings: Vec<Finding> },
    /// To [`Job::Apply`] and [`Job::Resume`].
    Returned { outcome: Outcome },
    /// To [`Job::Rescue`].
    Told { rescue: Box<rescue::Answer> },
    /// To [`Job::Compare`].
    Compared { order: Order },
    /// To any of them.
    Failed { failure: Failure },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_of_a_later_version_stops_no_other() {
        let target = Target { component: "database".into(), region: Some("east".into()) };
        let known = Task { id: "2".to_owned(), job: Job::Observe { target } };
        let unknown_effect = serde_json::json!({ "job": "preflight", "effect": { "effect": "levitate" } });
        let reply = serde_json::json!({ "tasks": [
            { "id": "1", "job": { "job": "levitate", "height": 3 } },
            known,
            { "id": "3", "job": unknown_effect },
        ] });
        let WorkReply { tasks } = serde_json::from_str(&reply.to_string()).unwrap();
        assert!(matches!(&tasks[0].job, Job::Unread { why } if why.contains("levitate")), "{tasks:?}");
        assert_eq!(tasks[1], known);
        assert!(matches!(&tasks[2].job, Job::Unread { .. }), "{tasks:?}");
    }

    #[test]
    fn an_agent_that_does_not_say_what_it_speaks_speaks_the_oldest() {
        let old = serde_json::json!({ "version": 2, "region": "east", "instance": "a", "sequence": 1, "sees": [] });
        let heartbeat: Heartbeat = serde_json::from_value(old).unwrap();
        assert_eq!((heartbeat.speaks, heartbeat.accord), (OLDEST, None));
        assert_eq!(heartbeat.term, Term(0));
        assert!(heartbeat.heard.is_empty() && heartbeat.sentinels.is_empty(), "nor what it heard of the store");
    }
}
