//! What each verdict means and what follows from it: for `pilotlight check`, and for docs/decisions.md, which is made from
//! here.
//!
//! Nothing in here is a second description of [`decide`]: each line is what `decide` answers to a judgement of that verdict.

use super::{
    Candidate, Decision, History, Hold, Judgement, LastFailover, Quorum, Returned, Scope, Unread, Verdict, decide,
};
use crate::code::{self, Code, Exit};
use crate::health::{Health, Question, ServiceHealth};
use crate::id::{HealthCheck, Region, RunId, Unit};
use crate::plan::{DecisionMode, HealthPlan, Plan, RejoinMode};
use crate::time::{Wall, show_duration};
use std::time::Duration;

/// A moment after every wall time of the histories below.
const NOW: Wall = Wall(1_000);

impl Verdict {
    /// Every verdict, the mildest first.
    pub const ALL: [Verdict; 10] = [
        Verdict::Healthy,
        Verdict::ServiceUnhealthy,
        Verdict::NoDataYet,
        Verdict::Suspect,
        Verdict::AgentLost,
        Verdict::WriterDead,
        Verdict::RegionLost,
        Verdict::Minority,
        Verdict::AllDown,
        Verdict::Unknown,
    ];

    /// What was seen, in a sentence.
    pub fn means(self) -> &'static str {
        match self {
            Verdict::Healthy => "the writer's agent is heard, and its copies are written",
            Verdict::ServiceUnhealthy => {
                "the same, but a quorum of observers finds a service unhealthy in the writer's region, or as a whole"
            }
            Verdict::NoDataYet => "too little was heard since the controller started, or since the unit last changed",
            Verdict::Suspect => {
                "the writer's agent is heard and its writer is down or hangs, or the agent is silent and its lease runs"
            }
            Verdict::WriterDead => "the writer's own agent has given it up and fenced it",
            Verdict::AgentLost => {
                "the writer's agent is silent and its lease is over, but a copy still streams from the writer, or the \
                 controller or another observer still reaches its port"
            }
            Verdict::RegionLost => {
                "the writer's agent is silent, its lease is over, no observer reaches its port, and no copy streams from it"
            }
            Verdict::Minority => {
                "the writer should be replaced, but the controller hears at most half of the observers, itself counted"
            }
            Verdict::AllDown => "no agent of any region is heard, and the writer's port does not answer",
            Verdict::Unknown => "what is seen fits no other word, or a port was not looked at",
        }
    }
}

/// What would start a failover and what would hold it, under this plan.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Foresight {
    /// What starts something.
    pub starts: Vec<String>,
    /// What holds still.
    pub holds: Vec<String>,
}

/// The plan's decisions, in sentences, before any of them is needed.
pub fn foresee(plan: &Plan) -> Foresight {
    let mut foresight = Foresight { starts: Vec::new(), holds: Vec::new() };
    let Some(unit) = plan.units().into_iter().next().cloned() else { return foresight };
    for verdict in Verdict::ALL {
        let says = |decision: String| format!("{verdict} ({}): {decision}", verdict.means());
        let judgement = judgement(plan, &unit, verdict);
        let list = match decide(plan, &unit, &judgement, &History::default(), NOW) {
            Decision::Start(_) | Decision::Ask(_) | Decision::End { .. } => &mut foresight.starts,
            Decision::Hold(_) | Decision::Withdraw { .. } => &mut foresight.holds,
        };
        list.push(says(answer(plan, &unit, &judgement, &History::default())));
    }
    if let Some(borne) = plan.policy.unhealthy_for {
        let lasting = History { same_for: borne, ..History::default() };
        let decision = answer(plan, &unit, &judgement(plan, &unit, Verdict::Suspect), &lasting);
        foresight
            .starts
            .push(format!("suspect for {} while the writer's agent is heard: {decision}", show_duration(borne)));
    }
    let empty = Judgement { no_data: true, ..judgement(plan, &unit, Verdict::Suspect) };
    foresight.holds.push(format!("suspect, {NO_DATA}: {}", answer(plan, &unit, &empty, &History::default())));
    foresight.starts.extend(services(plan, &unit));
    let returned = answer(plan, &unit, &returned(plan, &unit), &History::default());
    let list = match plan.policy.rejoin {
        RejoinMode::Automatic => &mut foresight.starts,
        RejoinMode::Manual => &mut foresight.holds,
    };
    list.push(format!("healthy, and a lost region is back: {returned}"));
    foresight.drain(plan, &unit);
    let lost = judgement(plan, &unit, Verdict::RegionLost);
    for (what, history) in histories(plan) {
        foresight.holds.push(format!("{what}: {}", answer(plan, &unit, &lost, &history)));
    }
    for (what, candidate) in candidates(plan) {
        let held = Judgement { candidates: candidate.into_iter().collect(), ..lost.clone() };
        foresight.holds.push(format!("{what}: {}", answer(plan, &unit, &held, &History::default())));
    }
    foresight
}

impl Foresight {
    /// What follows when a region without the writer is lost that takes users.
    fn drain(&mut self, plan: &Plan, unit: &Unit) {
        if !plan.is_active_active() {
            return;
        }
        let lost = Judgement { lost: vec![away(plan)], ..judgement(plan, unit, Verdict::Healthy) };
        let history = History { led: plan.shares.clone(), ..History::default() };
        let decision = decide(plan, unit, &lost, &history, NOW);
        let list = match decision {
            Decision::Hold(_) => &mut self.holds,
            _ => &mut self.starts,
        };
        list.push(format!("healthy, and {} is lost, which takes users: {}", away(plan), in_words(&decision)));
    }
}

/// What each health check starts that may start something.
fn services(plan: &Plan, unit: &Unit) -> Vec<String> {
    let of = |(name, check): (&HealthCheck, &HealthPlan)| {
        let borne = check.move_after?;
        let question = Question { check: name.clone(), region: Some(plan.home.clone()) };
        let health = ServiceHealth { question, for_ms: borne, ..unhealthy(plan, unit) };
        let lasting = Judgement { health: vec![health], ..judgement(plan, unit, Verdict::ServiceUnhealthy) };
        let decision = answer(plan, unit, &lasting, &History::default());
        Some(format!("{name} is unhealthy for {} where the writer is: {decision}", show_duration(borne)))
    };
    plan.health.iter().filter(|(_, check)| &check.unit == unit).filter_map(of).collect()
}

/// What of a suspect writer has an answer of its own.
const ALONE: &str = "the same, and no region is heard that has a standby";
const NO_DATA: &str = "its agent finds no database in the data directory";

const HEAD: &str = "\
# What is decided, and why not

<!-- Made from what `verdict` and `decide` answer. Do not edit; write it anew with
     PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight-core decisions -->

`pilotlight status` shows the verdict with its evidence, who sees whom, and what follows. `pilotlight check` prints these
lines for your plan, before you need them. `pilotlight policy replay` makes the decisions of a recording again, with your
plan or with a changed one.

A person's own request (`failover`, `switchover`, `failback`, `rejoin`) wins over everything on this page. Only safety rules
refuse it: the command ends with 3, and `pilotlight explain CODE` says why. [Every refusal](#every-refusal) stands at the end.

## Each verdict and what follows from it

With one standby in `west` that is close enough, nothing under way and nothing in the past.

";

const HOLDS: &str = "\
## What holds a failover that the verdict would start

With the verdict \"region lost\" and `mode: automatic`.

";

const MAY_LOSE: &str = "
## How much may be lost

What a failover may lose is counted in time, before it starts: a dry run (`PL-0232`), the refusal (`PL-0223`), the run's cause and its
report tell the same figure, the sum of

- what the candidate lacked when the writer was last heard, by sentinels of the writer's own clock, else by the copy's lag;
- for how long a writer that is not heard may have gone on acknowledging: the lease under `best-effort`, the lease less the time after
  which its server hangs up on a silent gate under `bounded` (a quarter of the lease, from 250 ms to 1 s), with
  `beyond_rpo: stall` no more than the RPO leaves, nothing under `strict`, and nothing where its agent says that it is fenced. A writer that was
  unopposed needs no lease: there it is the time for which it was not heard;
- where its agent is heard and was started anew: the same, for the time between the last word of the agent before it and the first of this
  one, until this one has written a sentinel.

**The RPO is held against the sum where it is at least the lease.** A shorter RPO was accepted in the plan, by `beyond_rpo: expose` or
`best-effort` (`PL-0115`), for what comes after the cut: then it is held against the first alone. So an RPO of just a lease leaves little
for the lag: none under `best-effort`, a quarter under `bounded`.

Not in the sum: the time between two sentinels, and what a machine acknowledges that was paused as a whole.
";

const COOL_DOWN: &str = "
## How a cool-down is counted

`policy.cool_down` begins with an automatic failover and is counted by the controller that leads, on its own steady clock; a wall
clock that is set changes nothing. The leader keeps what it has counted in the store: each 15 seconds (a short cool-down oftener,
each twentieth of it), and when it ends in order. The next leader, or the same controller started again, goes on from there.
**Time in which nobody leads does not count**, nor what a leader that was killed had not kept yet, so a cool-down may last longer and
never shorter. It is over when all of it was counted, when a person says `pilotlight acknowledge`, or with a failover by hand; the record
says which of the first two it was.

The [function of AWS Lambda](lambda.md) leads for some seconds at a time. What it counts adds up so slowly that in effect a
person ends its cool-down: `{\"action\": \"acknowledge\"}`.
";

const REFUSALS: &str = "
## Every refusal

Whatever is refused has one of these codes, whoever asked: a person, the policy, or a process at its start. A command that is
refused ends with exit code 3. Nothing was done, but for a refusal in the middle of a run, which has the code on its step.

";

/// docs/decisions.md.
pub fn decisions(plan: &Plan) -> String {
    format!("{HEAD}{}\n{HOLDS}{}{MAY_LOSE}{COOL_DOWN}{REFUSALS}{}", table(plan), holds(plan), refusals())
}

/// What the catalogue calls a refusal.
fn refusals() -> String {
    let refused = Code::all().filter(|code| code.exit() == Exit::Refused);
    let line = |code: Code| format!("| [{code}](errors/{code}.md) | {} |\n", code.title());
    "| code | what is refused, or why |\n|---|---|\n".to_owned() + &refused.map(line).collect::<String>()
}

/// Each verdict with what follows from it in each mode.
fn table(plan: &Plan) -> String {
    let Some(unit) = plan.units().into_iter().next().cloned() else { return String::new() };
    let mut lines = vec![
        "| verdict | what was seen | `automatic` | `approve-first` | `manual` |".to_owned(),
        "|---|---|---|---|---|".to_owned(),
    ];
    for verdict in Verdict::ALL {
        let cells = [DecisionMode::Automatic, DecisionMode::ApproveFirst, DecisionMode::Manual].map(|mode| {
            let mut plan = plan.clone();
            plan.policy.mode = mode;
            answer(&plan, &unit, &judgement(&plan, &unit, verdict), &History::default())
        });
        let [automatic, approve, manual] = &cells;
        let rest = if cells.iter().all(|c| c == automatic) {
            " the same | the same |".to_owned()
        } else {
            format!(" {approve} | {manual} |")
        };
        lines.push(format!("| {verdict} | {} | {automatic} |{rest}", verdict.means()));
        if verdict == Verdict::WriterDead {
            let alone = Judgement { candidates: Vec::new(), ..judgement(plan, &unit, verdict) };
            let says = answer(plan, &unit, &alone, &History::default());
            lines.push(format!("| {verdict} | {ALONE} | {says} | the same | the same |"));
        }
        if verdict == Verdict::Suspect {
            let empty = Judgement { no_data: true, ..judgement(plan, &unit, verdict) };
            let says = answer(plan, &unit, &empty, &History::default());
            lines.push(format!("| {verdict} | {NO_DATA} | {says} | the same | the same |"));
        }
    }
    lines.join("\n") + "\n"
}

/// What holds a failover that the verdict would start, and the page that says more.
fn holds(plan: &Plan) -> String {
    let Some(unit) = plan.units().into_iter().next().cloned() else { return String::new() };
    let lost = judgement(plan, &unit, Verdict::RegionLost);
    let mut rows: Vec<(String, Decision)> = Vec::new();
    for (what, history) in histories(plan) {
        rows.push((what, decide(plan, &unit, &lost, &history, NOW)));
    }
    for (what, candidate) in candidates(plan) {
        let held = Judgement { candidates: candidate.into_iter().collect(), ..lost.clone() };
        rows.push((what, decide(plan, &unit, &held, &History::default(), NOW)));
    }
    let mut lines = vec!["| when | what it says | page |".to_owned(), "|---|---|---|".to_owned()];
    for (what, decision) in rows {
        let (says, code) = match &decision {
            Decision::Hold(reason) => (reason.to_string(), reason.code()),
            Decision::End { .. } => (in_words(&decision), Some(code::ALREADY_MOVING)),
            Decision::Start(_) | Decision::Ask(_) | Decision::Withdraw { .. } => continue,
        };
        let page = code.map_or_else(|| "-".to_owned(), |c| format!("[{c}](errors/{c}.md)"));
        lines.push(format!("| {what} | {says} | {page} |"));
    }
    lines.join("\n") + "\n"
}

fn answer(plan: &Plan, unit: &Unit, judgement: &Judgement, history: &History) -> String {
    in_words(&decide(plan, unit, judgement, history, NOW))
}

fn in_words(decision: &Decision) -> String {
    match decision {
        Decision::Start(intent) => format!("a {} starts by itself", intent.aim()),
        Decision::Ask(intent) => {
            format!("a {} is prepared; a person approves its first step", intent.aim())
        }
        Decision::End { run, intent } => {
            let (verb, to) = (intent.verb, &intent.target.writer);
            format!("ends {run}, taking back what it did; then a {verb} to {to} starts by itself")
        }
        Decision::Withdraw { run, worked } => {
            format!("withdraws {run}: the writer has worked for {}", show_duration(*worked))
        }
        Decision::Hold(reason) => format!("holds still: {reason}"),
    }
}

/// A judgement of that verdict with one candidate that clears every hurdle.
fn judgement(plan: &Plan, unit: &Unit, verdict: Verdict) -> Judgement {
    let all = plan.observers().len();
    let heard = if verdict == Verdict::Minority { all / 2 } else { all };
    let component = plan.in_unit(unit).find(|(_, c)| c.is_replicated()).map(|(name, _)| name.clone());
    let scope = match (verdict, component) {
        (Verdict::Suspect, Some(component)) => Scope::Component { component, region: plan.home.clone() },
        _ => Scope::Unit { unit: unit.clone() },
    };
    Judgement {
        unit: unit.clone(),
        writer: Some(plan.home.clone()),
        verdict,
        scope,
        evidence: Vec::new(),
        quorum: Quorum { heard, all },
        candidates: vec![candidate(plan)],
        returned: Vec::new(),
        silent: Vec::new(),
        lost: Vec::new(),
        no_data: false,
        health: if verdict == Verdict::ServiceUnhealthy { vec![unhealthy(plan, unit)] } else { Vec::new() },
    }
}

/// A service of the unit that has just become unhealthy; where the plan has none, one that moves nothing.
fn unhealthy(plan: &Plan, unit: &Unit) -> ServiceHealth {
    let named = plan.health.iter().find(|(_, check)| &check.unit == unit).map(|(name, _)| name.clone());
    let check = named.unwrap_or_else(|| HealthCheck::new("front"));
    let question = Question { check, region: Some(plan.home.clone()) };
    ServiceHealth { question, health: Health::Unhealthy, for_ms: Duration::ZERO, quorum: 1, voices: Vec::new() }
}

fn returned(plan: &Plan, unit: &Unit) -> Judgement {
    let back = Returned { region: away(plan), says: String::new() };
    Judgement { returned: vec![back], ..judgement(plan, unit, Verdict::Healthy) }
}

fn away(plan: &Plan) -> Region {
    plan.regions.iter().find(|r| **r != plan.home).unwrap_or(&plan.home).clone()
}

fn candidate(plan: &Plan) -> Candidate {
    Candidate {
        region: away(plan),
        received_bytes: Some(0),
        replay_bytes: Some(0),
        exposure: Some(Duration::ZERO),
        unheard: Duration::ZERO,
        by_sentinel: true,
        admitted: None,
    }
}

/// What a person or the past may have in the way.
fn histories(plan: &Plan) -> Vec<(String, History)> {
    let run = || RunId::new("RUN");
    let last = |failed| LastFailover {
        run: run(),
        at: NOW,
        acknowledged: false,
        failed,
        unread: None,
        counted: Duration::ZERO,
    };
    let file =
        plan.policy.hold_file.as_ref().map_or("`hold` in `controller.state`".to_owned(), |f| f.display().to_string());
    let hold = Hold { file, by: String::new(), since: None, why: String::new() };
    let held = History { hold: Some(hold), ..History::default() };
    let cooling = History { last_failover: Some(last(false)), ..History::default() };
    let failed = History { last_failover: Some(last(true)), ..History::default() };
    let unread = Unread { code: code::JOURNAL_DAMAGED, why: "RUN, record 7".to_owned() };
    let damaged = LastFailover { unread: Some(unread), ..last(false) };
    let damaged = History { last_failover: Some(damaged), ..History::default() };
    let moving = History { running: Some(run()), ..History::default() };
    let early = History { gives_way: true, ..moving.clone() };
    let mut all = vec![("a person holds everything automatic".to_owned(), held)];
    if !plan.policy.cool_down.is_zero() {
        all.push(("an automatic failover a short while ago".to_owned(), cooling));
    }
    all.push(("the last automatic failover did not end well".to_owned(), failed));
    all.push(("how the last automatic failover ended cannot be read".to_owned(), damaged));
    all.push((
        "a run moves the unit, a paused one too, and has touched the writer or is a failover".to_owned(),
        moving,
    ));
    all.push((
        "a run prepares a planned move or a rejoin, a paused one too, and has not touched the writer".to_owned(),
        early,
    ));
    all
}

/// What the best candidate may have in the way.
fn candidates(plan: &Plan) -> Vec<(String, Option<Candidate>)> {
    let good = || candidate(plan);
    let mut all = vec![("no standby is heard".to_owned(), None)];
    if plan.units().into_iter().any(|unit| plan.waits_for_candidate(unit)) {
        let other = Candidate { admitted: Some(false), ..good() };
        all.push(("the writer does not wait for the standby: it is not the candidate".to_owned(), Some(other)));
    }
    if let Some(allowed) = plan.policy.max_lag_bytes {
        let behind = Candidate { received_bytes: Some(allowed + 1), ..good() };
        all.push(("the standby is behind in receiving (`max_lag`)".to_owned(), Some(behind)));
    }
    if let Some(allowed) = plan.policy.max_replay_bytes {
        let behind = Candidate { replay_bytes: Some(allowed + 1), ..good() };
        all.push(("the standby is behind in replaying (`max_replay_lag`)".to_owned(), Some(behind)));
    }
    let past = Candidate { exposure: Some(plan.objectives.rpo + Duration::from_millis(1)), ..good() };
    all.push(("more may be lost than the RPO allows".to_owned(), Some(past)));
    let unknown = Candidate { received_bytes: None, exposure: None, by_sentinel: false, ..good() };
    all.push(("nothing says how far the standby is behind".to_owned(), Some(unknown)));
    all
}

#[cfg(test)]
mod tests;
