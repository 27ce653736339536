//! `health`: what is asked of services again and again, from where, and what an answer counts for.

use super::Plan;
use super::fault::{Collector, nearest};
use super::probe;
use super::shape::{Key, Section, Shape, at_least_ms, default, follows, one_of, optional};
use super::value::{Record, Value};
use crate::code;
use crate::effect::Probe;
use crate::health::Question;
use crate::id::{Application, HealthCheck, Region, Unit};
use crate::time::show_duration;
use crate::verdict::Witness;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One of `health`. Either `probe` or `regions` says what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthPlan {
    /// Whose service it is.
    pub unit: Unit,
    /// What is asked of the service as a whole.
    pub probe: Option<Probe>,
    /// What is asked in each region.
    pub regions: BTreeMap<Region, Probe>,
    /// How often each observer asks.
    pub every: Duration,
    /// So many failures in a row make it unhealthy.
    pub failures: u32,
    /// So many good answers in a row make it healthy again.
    pub recoveries: u32,
    /// A good answer that took longer is a failure.
    pub latency: Option<Duration>,
    /// Who asks, as [`Plan::askers`] reads it; everybody when it is empty.
    pub from: Vec<String>,
    /// So many must say unhealthy; more than half when it is absent.
    pub quorum: Option<usize>,
    /// Unhealthy where the writer is for so long, the writer is moved with it.
    pub move_after: Option<Duration>,
    /// ARN of an alarm of CloudWatch about the service in a region: one more voice, that of [`ALARMS`].
    pub alarms: BTreeMap<Region, String>,
}

/// Who speaks for alarms. An observer of that name never asks anything itself, and is not counted among those who hear.
pub const ALARMS: &str = "cloudwatch";

const TIMES: Shape = Shape::Count { least: 1, most: 100 };

static KEYS: [Key; 11] = [
    follows("unit", Shape::Name, "the application's name", "The unit whose service it is."),
    optional("probe", probe::SHAPE, "What is asked of the service as a whole, for example through its name."),
    optional(
        "regions",
        Shape::PerRegion { of: &probe::SHAPE, every: false },
        "Instead of `probe`: what is asked of the service in each region. The region's own agent does not ask.",
    ),
    default("every", at_least_ms(100), "10s", "How often each observer asks."),
    default("failures", TIMES, "3", "An observer says unhealthy after so many failures in a row."),
    default("recoveries", TIMES, "2", "An unhealthy service is healthy again after so many good answers in a row."),
    optional("latency", at_least_ms(1), "A good answer that took longer counts as a failure."),
    follows(
        "from",
        Shape::List { of: &Shape::Name, least: 1 },
        "every observer",
        "Who asks: regions for their agents, `controller`, names of `policy.observers`.",
    ),
    follows(
        "quorum",
        TIMES,
        "more than half of those who ask",
        "The service is unhealthy when so many observers say so, and healthy when so many cannot say so any more.",
    ),
    optional(
        "move_after",
        at_least_ms(1000),
        "A service that is unhealthy where the writer is for so long is moved with its writer, by a switchover that loses \
         nothing, as `policy.mode` says. Without it a person decides: a sick service alone moves no healthy database.",
    ),
    optional(
        "alarms",
        Shape::PerRegion { of: &Shape::Text, every: false },
        "ARN of an alarm of CloudWatch about the service in that region: one more voice beside the observers, asked by the \
         controller. Take one in another region. Without `quorum` it is never enough alone.",
    ),
];

pub(super) static SECTION: Section =
    Section { doc: "A probe that is asked again and again, from several places.", keys: &KEYS };

pub(super) static SHAPE: Shape = Shape::Record(&SECTION);

pub(super) fn build_all(application: &Application, root: &Record) -> Option<BTreeMap<HealthCheck, HealthPlan>> {
    let build = |(name, value): &(String, Value)| Some((HealthCheck::new(name), build(application, value.record()?)?));
    root.map("health").iter().map(build).collect()
}

fn build(application: &Application, record: &Record) -> Option<HealthPlan> {
    Some(HealthPlan {
        unit: record.text("unit").map_or_else(|| Unit::new(application.as_str()), Unit::new),
        probe: match record.value("probe") {
            Some(value) => Some(probe::build(value)?),
            None => None,
        },
        regions: record.by_region("regions", probe::build)?,
        every: record.duration("every")?,
        failures: record.number32("failures")?,
        recoveries: record.number32("recoveries")?,
        latency: record.duration("latency"),
        from: record.list("from").iter().filter_map(Value::text).map(str::to_owned).collect(),
        quorum: record.number("quorum").and_then(|n| n.try_into().ok()),
        move_after: record.duration("move_after"),
        alarms: record.by_region("alarms", |value| value.text().map(str::to_owned))?,
    })
}

/// What no table says: of every check.
pub(super) fn check_all(root: &Record, out: &mut Collector<'_>) {
    let regions = root.list("regions").iter().filter_map(Value::text);
    let further = root.record("policy").map(|p| p.list("observers")).unwrap_or_default();
    let known: Vec<&str> = regions.chain(["controller"]).chain(further.iter().filter_map(Value::text)).collect();
    for (_, value) in root.map("health") {
        if let Some(record) = value.record() {
            check(record, &known, out);
            known_unit(record, root, out);
        }
    }
}

fn check(record: &Record, known: &[&str], out: &mut Collector<'_>) {
    let probes = record.value("probe").into_iter().chain(record.map("regions").iter().map(|(_, value)| value));
    let probes: Vec<&Value> = probes.collect();
    for value in &probes {
        probe::check(value, out);
    }
    if record.given("probe") == record.given("regions") {
        let found = if record.given("probe") { "both" } else { "neither" };
        let at = if record.given("probe") { record.at("regions") } else { &record.at };
        out.add(code::PLAN_CONTRADICTION, at, format!("`{}` says not what is asked", record.at.path))
            .found(found)
            .allowed("`probe`, for the service as a whole, or `regions`, a probe for each")
            .hint("Write two checks to ask both ways.");
    }
    for value in record.list("from") {
        let Some(name) = value.text().filter(|name| !known.contains(name)) else { continue };
        let near = nearest(name, known.iter().copied());
        out.add(code::PLAN_OBSERVER, &value.at, format!("`{name}` is no observer"))
            .found(name)
            .allowed(one_of(known.iter().copied()))
            .hint("Name a region for its agent, `controller`, or a name of `policy.observers`.")
            .nearest = near;
    }
    alarms(record, out);
    let shortest = probes.iter().filter_map(|v| v.one()?.1.record()?.duration("timeout")).min();
    if let (Some(latency), Some(timeout)) = (record.duration("latency"), shortest)
        && latency >= timeout
    {
        out.add(code::PLAN_CONTRADICTION, record.at("latency"), "no answer can be slower than `latency` allows")
            .found(format!("latency {}, timeout of the probe {}", show_duration(latency), show_duration(timeout)))
            .allowed("less than the timeout of each probe");
    }
}

/// Of each check: more voices than there are can never make it unhealthy, of the whole or in the region that fewest ask about.
/// Who asks follows from the plan as a whole, so this is asked of one without other faults.
pub(super) fn quorums(plan: &Plan, root: &Record, out: &mut Collector<'_>) {
    for (name, value) in root.map("health") {
        let name = HealthCheck::new(name);
        let (Some(record), Some(check)) = (value.record(), plan.health.get(&name)) else { continue };
        let questions = check.questions(&name).into_iter().map(|(question, _)| {
            let most = plan.askers(&question).len();
            (check.quorum_of(&question, most), most, question)
        });
        let never = questions.filter(|(needed, most, _)| needed > most);
        let Some((needed, most, question)) = never.min_by_key(|(_, most, _)| *most) else { continue };
        let at = record.at(if record.given("quorum") { "quorum" } else { "from" });
        out.add(code::PLAN_CONTRADICTION, at, format!("the quorum can never be reached for `{question}`"))
            .found(format!("{needed} must say unhealthy, and {most} ask"))
            .allowed("a quorum of at most those who ask")
            .hint(
                "A region's own agent does not ask about it, a region where everything is a provider's has no agent, and an \
                 alarm counts in its own region only. Lower `quorum`, or name more who ask in `from` and `policy.observers`.",
            );
    }
}

/// Each is the ARN of an alarm, and about a region that is asked.
fn alarms(record: &Record, out: &mut Collector<'_>) {
    for (region, value) in record.map("alarms") {
        let text = value.text().unwrap_or_default();
        if !is_alarm(text) {
            out.add(code::PLAN_AWS_ARN, &value.at, format!("`{text}` is not the ARN of an alarm"))
                .found(text)
                .allowed("an ARN such as `arn:aws:cloudwatch:us-west-2:123456789012:alarm:front-errors`");
        }
        if !record.map("regions").iter().any(|(asked, _)| asked == region) {
            out.add(code::PLAN_CONTRADICTION, &value.at, format!("nothing is asked of `{region}` beside this alarm"))
                .found(region)
                .allowed("a region of `regions` of the same check")
                .hint("An alarm is one more voice; it is never the only one.");
        }
    }
}

pub(super) fn is_alarm(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(7, ':').collect();
    matches!(parts.as_slice(), ["arn", _, "cloudwatch", region, account, "alarm", name]
        if !region.is_empty() && account.len() == 12 && !name.is_empty())
}

pub(super) fn known_unit(record: &Record, root: &Record, out: &mut Collector<'_>) {
    let application = root.text("application").unwrap_or_default();
    let of = |(_, value): &'_ (String, Value)| value.record().map(|c| c.text("unit").unwrap_or(application).to_owned());
    let units: BTreeSet<String> = root.map("components").iter().filter_map(of).collect();
    let unit = record.text("unit").unwrap_or(application);
    if !units.is_empty() && !units.contains(unit) {
        out.add(code::PLAN_VALUE, record.at("unit"), format!("no component belongs to the unit `{unit}`"))
            .found(unit)
            .allowed(one_of(units.iter().map(String::as_str)))
            .nearest = nearest(unit, units.iter().map(String::as_str));
    }
}

impl HealthPlan {
    /// What is asked, of the service as a whole or of each region.
    pub fn questions(&self, name: &HealthCheck) -> Vec<(Question, &Probe)> {
        let question = |region: Option<&Region>| Question { check: name.clone(), region: region.cloned() };
        let whole = self.probe.iter().map(|probe| (question(None), probe));
        whole.chain(self.regions.iter().map(|(region, probe)| (question(Some(region)), probe))).collect()
    }
}

impl HealthPlan {
    /// The alarm about what is asked.
    pub fn alarm(&self, question: &Question) -> Option<&str> {
        self.alarms.get(question.region.as_ref()?).map(String::as_str)
    }

    /// So many must say unhealthy of so many who ask; an alarm alone is never enough unless the plan says so.
    pub fn quorum_of(&self, question: &Question, askers: usize) -> usize {
        let least = if self.alarm(question).is_some() { 2 } else { 1 };
        self.quorum.unwrap_or((askers / 2 + 1).max(least))
    }
}

impl Plan {
    /// Those who ask a health check: never the agent of the region that is asked about, and none of a region that has no
    /// agent. Who never speaks would be waited for by the quorum for ever.
    pub fn askers(&self, question: &Question) -> Vec<Witness> {
        let Some(check) = self.health.get(&question.check) else { return Vec::new() };
        let own = question.region.clone().map(Witness::Agent);
        let named = |observer: &Witness| match observer {
            Witness::Agent(region) => check.from.iter().any(|n| n == region.as_str()),
            Witness::Observer(name) => check.from.iter().any(|n| n == name.as_str()),
            Witness::Controller => check.from.iter().any(|n| n == "controller"),
            Witness::Store => false,
        };
        let speaks = |o: &Witness| !matches!(o, Witness::Agent(region) if !self.expects_agent(region));
        let asks = |o: &Witness| Some(o) != own.as_ref() && speaks(o) && (check.from.is_empty() || named(o));
        let observers = self.observers().into_iter().filter(asks);
        observers.chain(check.alarm(question).map(|_| Witness::Observer(ALARMS.into()))).collect()
    }
}
