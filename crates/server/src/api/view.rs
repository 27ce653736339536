//! What operators send and get, as JSON. The command line reads these very types.
//!
//! Border: data only. A field is only ever added; one that is renamed or changes its meaning is a new path.

use pilotlight_core::drill::Drill;
use pilotlight_core::exposed::Exposed;
use pilotlight_core::id::{Application, Component, Epoch, Region, RunId, StepId, Unit};
use pilotlight_core::leader::Term;
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::observation::State;
use pilotlight_core::outcome::Finding;
use pilotlight_core::placement::{Intent, Mode, Verb};
use pilotlight_core::plan::{Difference, Shares};
use pilotlight_core::position::option_ms;
use pilotlight_core::rescue::{Damaged, Listed};
use pilotlight_core::run::Record;
use pilotlight_core::runbook::Runbook;
use pilotlight_core::time::{Wall, as_ms};
use pilotlight_core::verdict::{Hold, Judgement, Reach};
use pilotlight_engine::RunSummary;
use pilotlight_engine::dry_run::DryStep;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The body of every refusal and error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A code of `pilotlight explain`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
    /// What it rests on, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Of a dry run that is refused: what drivers find of the move all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// `GET /v1/controller`: what a controller is among several. Answered whether it leads or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerView {
    /// Its name.
    pub name: String,
    /// It leads now.
    pub leads: bool,
    /// Of the lead it has, or knows of.
    pub term: Term,
    /// Who leads, as far as it has read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<LeaderView>,
    /// Why it cannot read who leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A leader, as another controller knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderView {
    /// Its name.
    pub name: String,
    /// What agents and operators dial.
    pub url: String,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusView {
    /// What is recovered.
    pub application: Application,
    /// Where it belongs.
    pub home: Region,
    /// The promised recovery time.
    #[serde(with = "as_ms")]
    pub rto_ms: Duration,
    /// The promised recovery point.
    #[serde(with = "as_ms")]
    pub rpo_ms: Duration,
    /// The version of the controller.
    pub version: String,
    /// How long the controller runs.
    #[serde(with = "as_ms")]
    pub uptime_ms: Duration,
    /// The controller's clock when this was said.
    pub at: Wall,
    /// Each unit.
    pub units: Vec<UnitStatus>,
    /// Each region, in the plan's order.
    pub regions: Vec<RegionStatus>,
    /// What belongs to no region: names in the DNS.
    pub shared: Vec<ComponentStatus>,
    /// Runs that have not ended.
    pub open_runs: Vec<RunSummary>,
    /// What steps of those have been waiting to see for a while.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waits: BTreeMap<RunId, Vec<String>>,
    /// A person wants that nothing starts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What a person should mend where the controller runs, before it stands in the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Who sees whom.
    #[serde(default)]
    pub reach: Reach,
}

/// One unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitStatus {
    /// The unit.
    pub unit: Unit,
    /// Its epoch; `None` while it is not entered in the store.
    pub epoch: Option<Epoch>,
    /// Its writer as the store has it.
    pub writer: Option<Region>,
    /// The region that may be promoted by itself, because the writer waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Region>,
    /// The run that moves it.
    pub run: Option<RunId>,
    /// The newest judgement with its evidence.
    pub judgement: Option<Judgement>,
    /// What follows from it.
    pub decision: DecisionView,
    /// The writer's lease.
    pub lease: LeaseSight,
    /// The automatic failover that bars the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling_down: Option<CoolingDown>,
    /// A drill that goes on, and is taken back when its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillView>,
    /// What leads users only to regions without the writer, although nothing moves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub led_elsewhere: Vec<Component>,
    /// What leads users by other shares than the plan has at rest, although nothing moves it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// When its writer acknowledged more than the RPO beyond what another region holds, the newest first, and only the last
    /// few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<Exposed>,
}

/// Shares that are not those of the plan at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What leads by them.
    pub component: Component,
    /// As they were seen.
    pub seen: Shares,
}

/// What the controller does about a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "kebab-case")]
pub enum DecisionView {
    /// Nothing; says why.
    Hold {
        /// For people.
        why: String,
        /// The page that says more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// It starts, or wants to start, this; `refused` says what stands in the way.
    Start {
        /// Where to.
        intent: Intent,
        /// A person approves its first step.
        asks: bool,
        /// Why it could not be started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<ErrorBody>,
    },
}

/// A drill that has led away and is not taken back yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillView {
    /// Which.
    #[serde(flatten)]
    pub drill: Drill,
    /// Its time is over, and this stands in the way of the move back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// A failover that bars the next automatic one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoolingDown {
    /// The run.
    pub run: RunId,
    /// For so long more; time in which no controller leads does not count.
    #[serde(default, with = "as_ms")]
    pub left_ms: Duration,
    /// Until when, if one always leads.
    pub until: Wall,
}

/// One region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionStatus {
    /// The region.
    pub region: Region,
    /// How long ago its agent was heard; `None`: never since the controller started.
    #[serde(with = "option_ms")]
    pub heard_ms: Option<Duration>,
    /// Its agent counts as there.
    pub heard: bool,
    /// What it sees.
    pub components: Vec<ComponentStatus>,
    /// What its agent speaks, once it was heard and is older than the controller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub older: Option<OlderAgent>,
    /// Under which plan it runs, once it was heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
}

/// An agent of a version that the controller still understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OlderAgent {
    /// The version of the protocol that it speaks.
    pub speaks: u32,
    /// The controller's.
    pub controller: u32,
}

/// The plan of an agent beside the controller's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStatus {
    /// Digest of what of the controller's plan both must have in common.
    pub controller: String,
    /// The agent's; `None`: it is of a version that does not say it.
    pub agent: Option<String>,
    /// What differs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<Difference>,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// The component.
    pub component: Component,
    /// What was seen.
    pub state: State,
    /// How old the look is.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

/// `GET /v1/runs`, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsView {
    /// The runs.
    pub runs: Vec<RunSummary>,
}

/// `GET /v1/runs/{id}/records`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsView {
    /// Records from the one that was asked for.
    pub records: Vec<Record>,
    /// None will follow.
    pub ended: bool,
    /// Why none can be written now: the run stands still and goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stalled: Option<String>,
    /// What steps have been waiting to see for a while.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
}

/// `POST /v1/moves`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveRequest {
    /// What to do.
    pub verb: Verb,
    /// Which unit; not needed where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Where to; not needed where it is clear (failback: home; two regions: the other one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Region>,
    /// With or without the source; follows from the verb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
    /// The person who lets a returned copy be rewound although what only it holds cannot be kept whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waive_rescue: Option<String>,
    /// Who asks says that every copy of the writer in this region is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writer_is_off: Option<Region>,
    /// It is a drill: Pilotlight takes it back by itself so long after it has ended. Of a switchover only.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "option_ms")]
    pub drill_ms: Option<Duration>,
    /// Who asks.
    pub by: String,
    /// Why, for the journal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl MoveRequest {
    /// A move about which nothing more is said.
    pub fn new(verb: Verb, by: impl Into<String>) -> Self {
        Self {
            verb,
            unit: None,
            target: None,
            mode: None,
            dry_run: false,
            waive_rescue: None,
            writer_is_off: None,
            drill_ms: None,
            by: by.into(),
            why: String::new(),
        }
    }
}

/// `GET /v1/rescue`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RescueView {
    /// The bundles, newest first.
    pub bundles: Vec<FoundBundle>,
    /// Those that cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<Damaged>,
    /// Copies whose agent could not be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<Silent>,
}

/// A bundle and where it lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundBundle {
    /// The region whose agent keeps it.
    pub at: Region,
    /// The bundle.
    #[serde(flatten)]
    pub bundle: Listed,
}

/// `POST /v1/rescue/{bundle}/classify` and `/apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueRequest {
    /// Who asks.
    pub by: String,
}

/// The answer to [`RescueRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescueReply {
    /// The writer it was compared with or applied to.
    pub writer: Region,
    /// The run that applied it, where `pilotlight run show` finds who, when and what; comparing is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// Something was changed there.
    pub changed: bool,
    /// For people.
    pub text: String,
    /// The bundle afterwards.
    pub bundle: Listed,
}

/// A copy that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// The component.
    pub component: Component,
    /// The region.
    pub region: Region,
    /// Why.
    pub why: String,
}

/// The answer to [`MoveRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum MoveReply {
    /// It runs.
    Started {
        /// The run.
        run: RunId,
    },
    /// Nothing was touched.
    DryRun {
        /// What would be run.
        runbook: Box<Runbook>,
        /// Each step with what would become of it now.
        steps: Vec<DryStep>,
        /// What should be known of the move as a whole.
        #[serde(default)]
        findings: Vec<Finding>,
    },
}

/// `POST /v1/runs/{id}/control`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlRequest {
    /// What to do.
    pub action: Action,
    /// Which step, for `skip` and `approve`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// Who asks.
    pub by: String,
    /// Why, for the journal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What a person can do to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Nothing new starts.
    Pause,
    /// Goes on; failed steps are tried again.
    Resume,
    /// Passes over a step.
    Skip,
    /// Ends the run, taking back what can be taken back.
    Abort,
    /// Lets a step start, or be tried again after a look.
    Approve,
}

/// `POST /v1/hold`: keeps everything automatic from starting, or lets it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRequest {
    /// Who wants it.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub why: String,
    /// Hold, or let go.
    pub on: bool,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldReply {
    /// What holds the controller that leads now.
    pub hold: Option<Hold>,
    /// It is for every controller, whichever leads.
    pub shared: bool,
}

/// What an acknowledgement changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgeReply {
    /// There was a failover that nobody had acknowledged.
    pub was_open: bool,
}

/// `POST /v1/units/{unit}/acknowledge`: allows the next automatic failover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcknowledgeRequest {
    /// Who has looked at the last one.
    pub by: String,
    /// Also goes on with a store that is behind what was seen: its epoch is raised.
    #[serde(default)]
    pub raise_epoch: bool,
}
