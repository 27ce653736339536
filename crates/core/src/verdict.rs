//! What is wrong, how far it reaches and who says so; and what follows from it.
//!
//! [`verdict`] turns observations into one of a closed set of words with its evidence; [`decide`] turns the word, the
//! policy and the history into an intent or into a reason to hold still. Neither acts.
//!
//! Invariants:
//! - Silence alone moves nothing: it takes a silent agent, a lapsed lease, a port that does not answer and no copy that
//!   still follows the writer. Only the writer's own agent can say at once that its writer is dead, and it says so only
//!   with a proven fence.
//! - Whatever is not understood is [`Verdict::Unknown`] and holds still, so does everything being down at once: then it
//!   is the controller that is cut off, more likely than not.
//! - Every judgement carries evidence; every hold has a text.

mod candidate;
mod decide;
mod foresee;
mod lost;
mod own;
mod reach;
mod sight;
mod words;

pub(crate) use candidate::astray;
pub use candidate::{Candidate, Hurdle, Returned};
pub use decide::{Decision, History, Hold, LastFailover, REJOIN_PAUSE, Reason, Unread, decide};
pub use reach::{Cell, Contact, Quorum, Reach, Row};
pub use sight::{AgentSight, Outlook, PortAnswer, PortSight, Sight, fresh_within};
pub use words::{Foresight, decisions, foresee};

use crate::health::{self, Health, Question, ServiceHealth};
use crate::id::{Component, Observer, Region, Unit};
use crate::lease::LeaseSight;
use crate::observation::{Role, State, Target};
use crate::plan::{ComponentPlan, Plan};
use crate::time::{as_ms, show_duration};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The words for the state of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The writer's agent is heard and its copies are written.
    Healthy,
    /// Its copies are written, but a health check of a service there says that it does not work.
    ServiceUnhealthy,
    /// Too little was heard since the controller started.
    NoDataYet,
    /// Something is wrong with the writer, but it is not given up: its agent repairs it or its lease still runs.
    Suspect,
    /// The writer's own agent gave it up and fenced it.
    WriterDead,
    /// The agent is silent, but the writer answers or copies still follow it: only the watching is lost.
    AgentLost,
    /// Agent, writer and stream are all gone and the lease is over.
    RegionLost,
    /// The writer should be replaced, but the controller hears too few observers: it may be the one that is cut off.
    Minority,
    /// Nobody is heard at all.
    AllDown,
    /// What is seen fits no other word.
    Unknown,
}

impl Verdict {
    /// It says that another region should have the writer.
    pub fn replaces(self) -> bool {
        matches!(self, Verdict::WriterDead | Verdict::RegionLost)
    }

    /// The writer is heard and takes writes.
    pub fn works(self) -> bool {
        matches!(self, Verdict::Healthy | Verdict::ServiceUnhealthy)
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Verdict::Healthy => "healthy",
            Verdict::ServiceUnhealthy => "service unhealthy",
            Verdict::NoDataYet => "no data yet",
            Verdict::Suspect => "suspect",
            Verdict::WriterDead => "writer dead",
            Verdict::AgentLost => "agent lost",
            Verdict::RegionLost => "region lost",
            Verdict::Minority => "in the minority",
            Verdict::AllDown => "all down",
            Verdict::Unknown => "unknown",
        })
    }
}

/// How far it reaches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case")]
pub enum Scope {
    /// One component's copy.
    Component { component: Component, region: Region },
    /// A service, in one region or as a whole.
    Service { question: Question },
    /// A whole region.
    Region { region: Region },
    /// The unit as a whole.
    Unit { unit: Unit },
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Component { component, region } => write!(f, "{component} in {region}"),
            Scope::Service { question } => write!(f, "service {question}"),
            Scope::Region { region } => write!(f, "region {region}"),
            Scope::Unit { unit } => write!(f, "unit {unit}"),
        }
    }
}

/// Who says it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witness {
    /// The agent of a region.
    Agent(Region),
    /// The controller, by what it sees itself.
    Controller,
    /// A process that only looks, from a place of its own.
    Observer(Observer),
    /// The store.
    Store,
}

impl std::fmt::Display for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Witness::Agent(region) => write!(f, "agent of {region}"),
            Witness::Controller => f.pad("controller"),
            Witness::Observer(name) => write!(f, "observer {name}"),
            Witness::Store => f.pad("store"),
        }
    }
}

/// Who says what, and how old it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who.
    pub by: Witness,
    /// What, one line for people.
    pub says: String,
    /// How old; zero for what holds now.
    #[serde(with = "as_ms")]
    pub age_ms: Duration,
}

impl std::fmt::Display for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.by, self.says)?;
        match self.age_ms {
            Duration::ZERO => Ok(()),
            age => write!(f, " ({} ago)", show_duration(age)),
        }
    }
}

/// A word with its scope, its evidence and who could take over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The unit that was judged.
    pub unit: Unit,
    /// Its writer as the store has it.
    pub writer: Option<Region>,
    /// The word.
    pub verdict: Verdict,
    /// How far it reaches.
    pub scope: Scope,
    /// Why; never empty.
    pub evidence: Vec<Evidence>,
    /// How many observers are heard.
    #[serde(default)]
    pub quorum: Quorum,
    /// Standbys that could become the writer, best first.
    pub candidates: Vec<Candidate>,
    /// Regions that are back but follow nobody, or not the writer.
    pub returned: Vec<Returned>,
    /// What is said of the unit's services, in every region.
    #[serde(default)]
    pub health: Vec<ServiceHealth>,
    /// Regions without the writer that take users at rest and are not heard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent: Vec<Region>,
    /// Those of them that are lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Region>,
    /// What makes it suspect is that there is no database where the writer's is to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_data: bool,
}

impl Judgement {
    /// What is said of the services that users of the writer meet: in its region, and as a whole.
    pub fn health_at_writer(&self) -> impl Iterator<Item = &ServiceHealth> {
        self.health.iter().filter(|h| h.question.region.is_none() || h.question.region == self.writer)
    }

    /// Who takes over: the first that clears its hurdles, else the best, which a person may promote all the same.
    pub fn successor(&self, plan: &Plan) -> Option<&Candidate> {
        let clear = self.candidates.iter().find(|c| c.hurdle(plan) == Hurdle::None);
        clear.or_else(|| self.candidates.first())
    }

    /// The writer's region, where its own agent gave it up and fenced it, and no other region has a standby.
    pub fn given_up(&self) -> Option<&Region> {
        let alone = self.verdict == Verdict::WriterDead && self.candidates.is_empty();
        self.writer.as_ref().filter(|_| alone)
    }

    /// By sentinels: how much of the newest acknowledged time the copy in that region may lack, with what the old side may have
    /// acknowledged since it was last heard.
    pub fn exposure_of(&self, region: &Region) -> Option<Duration> {
        let candidate = self.candidates.iter().find(|c| &c.region == region && c.by_sentinel)?;
        candidate.may_lose()
    }
}

/// Judges a unit whose writer the store has as `writer`.
pub fn verdict(plan: &Plan, unit: &Unit, writer: Option<&Region>, sight: &Sight) -> Judgement {
    let bench = Bench { plan, unit, sight };
    let finding = match writer {
        None => bench.without_writer(),
        Some(writer) => bench.with_writer(writer),
    };
    let quorum = sight.quorum(plan);
    let (verdict, scope, evidence) = bench.by_a_majority(finding, quorum);
    assert!(!evidence.is_empty(), "a judgement without evidence: {verdict:?}");
    let of_unit = |h: &ServiceHealth| plan.health.get(&h.question.check).is_some_and(|check| &check.unit == unit);
    let health: Vec<ServiceHealth> = health::judge(plan, sight).into_iter().filter(of_unit).collect();
    let elsewhere = lost::elsewhere(&bench, writer, &health);
    let evidence = [evidence, elsewhere.evidence].concat();
    let mut judgement = Judgement {
        unit: unit.clone(),
        writer: writer.cloned(),
        verdict,
        no_data: verdict == Verdict::Suspect && own::is_without_data(plan, &scope, sight),
        scope,
        evidence,
        quorum,
        candidates: candidate::candidates(plan, unit, writer, sight),
        returned: candidate::returned(plan, unit, writer, sight),
        health,
        silent: elsewhere.silent,
        lost: elsewhere.lost,
    };
    weigh_services(&mut judgement);
    judgement
}

/// Services are part of every verdict's evidence, but only a writer that is well has its verdict from them: of one that is
/// not, they say nothing new.
fn weigh_services(judgement: &mut Judgement) {
    let evidence: Vec<Evidence> = judgement.health_at_writer().map(ServiceHealth::evidence).collect();
    let unhealthy = judgement.health_at_writer().filter(|h| h.health == Health::Unhealthy);
    let worst = unhealthy.max_by_key(|h| h.for_ms).map(|h| h.question.clone());
    judgement.evidence.extend(evidence);
    if let (Verdict::Healthy, Some(question)) = (judgement.verdict, worst) {
        judgement.verdict = Verdict::ServiceUnhealthy;
        judgement.scope = Scope::Service { question };
    }
}

/// What speaks against a person who says that the writer in that region is off: whoever hears, sees or follows it, and a port
/// that nobody has looked at since its agent fell silent. Empty when nothing does.
pub fn signs_of_life(plan: &Plan, unit: &Unit, writer: &Region, sight: &Sight) -> Vec<Evidence> {
    let bench = Bench { plan, unit, sight };
    let mut signs = Vec::new();
    if sight.hears(plan, writer) {
        signs.push(bench.controller(format!("the agent of {writer} is heard")));
    }
    let ports = bench.ports_of(writer);
    signs.extend(ports.into_iter().filter(|(a, _)| a.is_none_or(|a| a == PortAnswer::Answers)).map(|(_, e)| e));
    let elsewhere = bench.ports_from_elsewhere(writer).into_iter();
    signs.extend(elsewhere.filter(|(a, _)| *a == PortAnswer::Answers).map(|(_, e)| e));
    signs.extend(bench.followers_of(writer));
    signs
}

type Finding = (Verdict, Scope, Vec<Evidence>);

struct Bench<'a> {
    plan: &'a Plan,
    unit: &'a Unit,
    sight: &'a Sight,
}

impl Bench<'_> {
    fn unit_scope(&self) -> Scope {
        Scope::Unit { unit: self.unit.clone() }
    }

    fn without_writer(&self) -> Finding {
        let says = "no region is named as the writer".to_owned();
        let evidence = Evidence { by: Witness::Store, says, age_ms: Duration::ZERO };
        (Verdict::Unknown, self.unit_scope(), vec![evidence])
    }

    /// What would replace a writer counts only from a controller that hears more than half of the observers.
    fn by_a_majority(&self, finding: Finding, quorum: Quorum) -> Finding {
        let (verdict, _, mut evidence) = match finding {
            finding if finding.0.replaces() && !quorum.is_majority() => finding,
            finding => return finding,
        };
        let Quorum { heard, all } = quorum;
        evidence.push(self.controller(format!("hears {heard} of {all} observers, itself counted; else: {verdict}")));
        (Verdict::Minority, self.unit_scope(), evidence)
    }

    fn with_writer(&self, writer: &Region) -> Finding {
        if self.sight.agents.values().all(|a| a.last_heard.is_none()) {
            let says = "no agent was heard since the controller started".to_owned();
            return (Verdict::NoDataYet, self.unit_scope(), vec![self.controller(says)]);
        }
        if self.sight.hears(self.plan, writer) {
            return self.as_its_agent_says(writer);
        }
        let mut evidence = vec![self.silence_of(writer), self.controller(self.sight.lease.to_string())];
        let scope = Scope::Region { region: writer.clone() };
        match self.sight.lease {
            LeaseSight::Held { .. } => return (Verdict::Suspect, scope, evidence),
            LeaseSight::WaitingOutStart { .. } => return (Verdict::NoDataYet, scope, evidence),
            LeaseSight::Lapsed => {}
        }
        let ports = self.ports_of(writer);
        evidence.extend(ports.iter().map(|(_, e)| e.clone()));
        let answers = |a: PortAnswer| ports.iter().any(|(answer, _)| *answer == Some(a));
        if !self.plan.regions.iter().any(|r| self.sight.hears(self.plan, r)) {
            evidence.push(self.controller("no agent of any region is heard".to_owned()));
            let word = if answers(PortAnswer::Answers) { Verdict::Unknown } else { Verdict::AllDown };
            return (word, self.unit_scope(), evidence);
        }
        let followers = self.followers_of(writer);
        let followed = !followers.is_empty();
        evidence.extend(followers);
        let elsewhere = self.ports_from_elsewhere(writer);
        let reached = elsewhere.iter().any(|(answer, _)| *answer == PortAnswer::Answers);
        evidence.extend(elsewhere.into_iter().map(|(_, e)| e));
        if answers(PortAnswer::Answers) || followed || reached {
            return (Verdict::AgentLost, scope, evidence);
        }
        if ports.iter().any(|(answer, _)| answer.is_none()) {
            return (Verdict::Unknown, scope, evidence);
        }
        evidence.extend(self.no_followers(writer));
        (Verdict::RegionLost, scope, evidence)
    }

    /// The agent is heard: what it says of each of the writer's copies counts, the worst first.
    fn as_its_agent_says(&self, writer: &Region) -> Finding {
        let mut worst: Option<(u8, Finding)> = None;
        for component in self.sight.replicated(self.plan, self.unit) {
            let target = Target { component: component.clone(), region: Some(writer.clone()) };
            let (verdict, evidence) = self.copy(writer, &target);
            let rank = own::rank(verdict);
            if worst.as_ref().is_none_or(|(r, _)| rank > *r) {
                let scope = Scope::Component { component, region: writer.clone() };
                worst = Some((rank, (verdict, scope, vec![evidence])));
            }
        }
        match worst {
            Some((_, finding)) => finding,
            // A unit without replicated data is written wherever its agent is.
            None => {
                let says = "is heard; the unit holds no replicated data".to_owned();
                (Verdict::Healthy, self.unit_scope(), vec![self.agent(writer, says, Duration::ZERO)])
            }
        }
    }

    fn copy(&self, writer: &Region, target: &Target) -> (Verdict, Evidence) {
        let component = &target.component;
        let Some((state, at)) = self.sight.agents.get(writer).and_then(|a| a.seen.get(target)) else {
            let says = format!("has not said yet how {component} is");
            return (Verdict::NoDataYet, self.agent(writer, says, Duration::ZERO));
        };
        let age = self.sight.now.since(*at);
        if age > sight::stale_after(self.plan) {
            let says = format!("its last look at {component} is too old to count");
            // An agent that cannot look at its own copy is a sign of trouble; an API that refuses says nothing of the copy.
            let managed = self.plan.components.get(component).is_some_and(ComponentPlan::is_managed);
            return match managed {
                true => (Verdict::Unknown, self.agent(writer, state.because(says), age)),
                false => (Verdict::Suspect, self.agent(writer, says, age)),
            };
        }
        if matches!(state.role, Some(Role::Fenced { .. })) && !self.sight.is_after_change(*at) {
            let says = format!("its last look at {component} is from before the last change of the unit");
            return (Verdict::NoDataYet, self.agent(writer, says, age));
        }
        let (verdict, says) = own::read_role(component, state);
        (verdict, self.agent(writer, says, age))
    }

    fn silence_of(&self, region: &Region) -> Evidence {
        let says = match self.sight.last_heard(region) {
            Some(at) => format!("agent of {region} silent for {}", show_duration(self.sight.now.since(at))),
            None => format!("agent of {region} was never heard since the controller started"),
        };
        self.controller(says)
    }

    /// What the controller saw at the writer's ports after its agent fell silent; `None` where it has not looked.
    fn ports_of(&self, writer: &Region) -> Vec<(Option<PortAnswer>, Evidence)> {
        let of = |component: Component| {
            let target = Target { component, region: Some(writer.clone()) };
            let component = &target.component;
            match self.sight.port(self.plan, &target) {
                Some(port) => {
                    let says = format!("port of {component} in {writer} {}", port.answer);
                    let evidence = Evidence { by: Witness::Controller, says, age_ms: self.sight.now.since(port.at) };
                    (Some(port.answer), evidence)
                }
                None => (None, self.controller(format!("port of {component} in {writer} was not looked at lately"))),
            }
        };
        self.sight.replicated(self.plan, self.unit).into_iter().map(of).collect()
    }

    /// What the other observers saw at the writer's ports after its agent fell silent.
    fn ports_from_elsewhere(&self, writer: &Region) -> Vec<(PortAnswer, Evidence)> {
        let of = |component: Component| Target { component, region: Some(writer.clone()) };
        let targets: Vec<Target> = self.sight.replicated(self.plan, self.unit).into_iter().map(of).collect();
        let look = |observer: &Witness, target: &Target| {
            let port = self.sight.port_from(self.plan, observer, target)?;
            let says = format!("port of {} in {writer} {}", target.component, port.answer);
            let age_ms = self.sight.now.since(port.at);
            Some((port.answer, Evidence { by: observer.clone(), says, age_ms }))
        };
        self.plan.observers().iter().flat_map(|o| targets.iter().filter_map(move |t| look(o, t))).collect()
    }

    /// Heard regions whose copies say that changes of the writer still arrive.
    fn followers_of(&self, writer: &Region) -> Vec<Evidence> {
        self.copies_elsewhere(writer)
            .filter(|(_, _, state, _)| match &state.role {
                Some(Role::Standby { upstream, streaming: true }) => upstream.as_ref().is_none_or(|u| u == writer),
                _ => false,
            })
            .map(|(region, component, _, age)| {
                self.agent(region, format!("{component} still streams from {writer}"), age)
            })
            .collect()
    }

    fn no_followers(&self, writer: &Region) -> Vec<Evidence> {
        self.copies_elsewhere(writer)
            .map(|(region, component, _, age)| {
                self.agent(region, format!("{component} no longer streams from {writer}"), age)
            })
            .collect()
    }

    fn copies_elsewhere<'b>(
        &'b self,
        writer: &'b Region,
    ) -> impl Iterator<Item = (&'b Region, &'b Component, &'b State, Duration)> {
        let heard = self.sight.agents.iter().filter(move |(r, _)| *r != writer && self.sight.hears(self.plan, r));
        heard.flat_map(move |(region, agent)| {
            agent
                .seen
                .iter()
                .filter(move |(t, _)| self.plan.is_copy(self.unit, &t.component))
                .map(move |(target, (state, at))| (region, &target.component, &**state, self.sight.now.since(*at)))
        })
    }

    fn agent(&self, region: &Region, says: String, age_ms: Duration) -> Evidence {
        Evidence { by: Witness::Agent(region.clone()), says, age_ms }
    }

    fn controller(&self, says: String) -> Evidence {
        Evidence { by: Witness::Controller, says, age_ms: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests;
