//! The document as a whole: its keys, and the way from text to [`Plan`].

use super::document::{self, Data, Node};
use super::fault::{At, Collector, Faults, Spot};
use super::reader::Reader;
use super::shape::{Section, Shape, follows, optional, required};
use super::value::Record;
use super::{
    Plan, alarms, components, contradiction, controller, failback, health, measure, objectives, policy, proof, scalar,
    shares,
};
use crate::code;
use crate::id::{Application, Region};

pub(super) static SECTION: Section = Section {
    doc: "One application and how it is recovered.",
    keys: &[
        required("application", Shape::Name, "The application's name."),
        required("objectives", Shape::Record(&objectives::SECTION), "What is promised."),
        required(
            "regions",
            Shape::List { of: &Shape::Name, least: 2 },
            "The places that can be lost as one, at least two. Every other key names regions by these names.",
        ),
        follows("home", Shape::Region, "the first region", "The region the service belongs to when nothing is wrong."),
        optional(
            "shares",
            Shape::PerRegion { of: &shares::SHARE, every: true },
            "Per cent of the traffic that each region takes at rest, together 100. Without it all of it goes where the writer \
             is. A region that is lost or left is drained: the others take its share; `pilotlight failback` gives it back. \
             Each region that takes some runs `active` instances, so each must be able to serve alone.",
        ),
        required("controller", Shape::Record(&controller::SECTION), "The process that decides."),
        required("policy", Shape::Record(&policy::SECTION), "Who decides, on what, how fast."),
        required(
            "components",
            Shape::PerName(&Shape::Kinds(&components::KINDS)),
            "The parts of the application, by name.",
        ),
        optional("aws", Shape::Record(&components::aws::SECTION), "How AWS is reached, when it runs a part."),
        optional(
            "health",
            Shape::PerName(&health::SHAPE),
            "Health checks of services, by name. `status` shows them, and they are part of every verdict's evidence.",
        ),
        optional(
            "alarms",
            Shape::PerName(&alarms::SHAPE),
            "Alarms of CloudWatch that `pilotlight-lambda` is told of, by name, and what each stands for.",
        ),
        optional("failback", Shape::Record(&failback::SECTION), "How the service is taken home."),
        optional(
            "verify",
            Shape::List { of: &proof::SHAPE, least: 0 },
            "What must work at the end of a move, in order. Asked from outside of the regions.",
        ),
        optional("measure", Shape::Record(&measure::SECTION), "A client that measures from outside."),
    ],
};

static ROOT: Shape = Shape::Record(&SECTION);

const START: Spot = Spot { line: 1, column: 1, width: 1 };

/// The plan, or all its faults.
pub(super) fn read(text: &str, file: &str) -> Result<Plan, Faults> {
    let mut out = Collector::new(file);
    let plan = checked(text, &mut out);
    match out.finish() {
        Some(faults) => Err(faults),
        None => Ok(plan.expect("what passed every table is built; tests read each kind and choice")),
    }
}

/// The faults of bytes that are not text; `good` is the part before the first bad byte.
pub(super) fn not_text(good: &[u8], file: &str) -> Faults {
    let good = String::from_utf8_lossy(good);
    let line = good.matches('\n').count() + 1;
    let column = good.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let mut out = Collector::new(file);
    let at = At { path: String::new(), spot: Spot { line, column, width: 1 } };
    out.add(code::PLAN_UNREADABLE, &at, "the file is not text: this byte is not UTF-8")
        .found("a byte that is not UTF-8")
        .allowed("text in UTF-8")
        .hint("Look whether the path names the plan and not some other file.");
    out.finish().expect("one fault was added")
}

fn checked(text: &str, out: &mut Collector<'_>) -> Option<Plan> {
    let node = document::read(text, out)?;
    let at = At { path: String::new(), spot: START };
    let Data::Map(_) = node.data else {
        let found = match node.data {
            Data::Nothing => "nothing",
            Data::List(_) => "a list",
            _ => "text",
        };
        out.add(code::PLAN_NOT_ONE_MAP, &At { spot: node.spot, ..at }, format!("a plan is a map of keys, not {found}"))
            .found(found)
            .allowed(Shape::Record(&SECTION).allowed())
            .hint("`pilotlight init` writes a plan with comments to start from.");
        return None;
    };
    let regions = regions(&node);
    let value = Reader { regions, out }.read(&ROOT, &node, &at)?;
    let root = value.record()?;
    check(root, out);
    let plan = build(root)?;
    if out.is_empty() {
        health::quorums(&plan, root, out);
    }
    Some(plan)
}

/// The names in `regions`, to check every other key against. None when that list itself is at fault: then one fault
/// there is clearer than one at every use.
fn regions(node: &Node) -> Vec<String> {
    let Data::Map(entries) = &node.data else { return Vec::new() };
    let Some((_, Node { data: Data::List(items), .. })) = entries.iter().find(|(k, _)| k.text == "regions") else {
        return Vec::new();
    };
    let mut names = Vec::new();
    for item in items {
        match &item.data {
            Data::Scalar(text) if names.contains(text) => {}
            Data::Scalar(text) if scalar::is_name(text) => names.push(text.clone()),
            _ => return Vec::new(),
        }
    }
    if names.len() < 2 { Vec::new() } else { names }
}

fn check(root: &Record, out: &mut Collector<'_>) {
    if let Some(record) = root.record("objectives") {
        objectives::check(record, out);
    }
    if let Some(record) = root.record("controller") {
        let lease = root.record("policy").and_then(|p| p.duration("lease"));
        controller::check(record, lease, out);
    }
    if let Some(record) = root.record("policy") {
        policy::check(record, root.record("objectives").and_then(|o| o.duration("rpo")), out);
    }
    for (_, value) in root.map("components") {
        if let Some(record) = value.record() {
            components::check(record, root, out);
        }
    }
    if let Some(record) = root.record("aws") {
        components::aws::check_access(record, root, out);
    }
    proof::check_all(root, out);
    health::check_all(root, out);
    alarms::check_all(root, out);
    shares::check(root, out);
    if let Some(record) = root.record("failback") {
        failback::check(record, root, out);
    }
    contradiction::check(root, out);
}

fn build(root: &Record) -> Option<Plan> {
    let application = root.text("application").map(Application::new)?;
    let regions: Vec<Region> = root.list("regions").iter().filter_map(|v| v.text()).map(Region::new).collect();
    Some(Plan {
        objectives: objectives::build(root.record("objectives")?)?,
        home: root.region("home").or_else(|| regions.first().cloned())?,
        shares: shares::build(root),
        controller: controller::build(root.record("controller")?, &application)?,
        policy: policy::build(root.record("policy")?)?,
        components: components::build_all(&application, root)?,
        aws: components::aws::build_access(root.record("aws"))?,
        health: health::build_all(&application, root)?,
        alarms: alarms::build_all(&application, root)?,
        failback: match root.record("failback") {
            Some(record) => Some(failback::build(record)?),
            None => None,
        },
        verify: root.list("verify").iter().map(proof::build).collect::<Option<_>>()?,
        measure: match root.record("measure") {
            Some(record) => Some(measure::build(record)?),
            None => None,
        },
        application,
        regions,
    })
}
