//! `alarms`: alarms of CloudWatch that the function `pilotlight-lambda` is told of, and what each stands for.
//!
//! Invariant: an alarm alone moves nothing. It makes the controller look for itself; what it may add to that is only that a
//! weaker fence will do, and only where the policy lets Pilotlight start by itself.

use super::fault::Collector;
use super::policy::fence_of;
use super::shape::{Section, Shape, Word, at_least_ms, default, follows, optional, required, word};
use super::value::{Record, Value};
use super::{Plan, health};
use crate::code;
use crate::effect::FenceAssurance;
use crate::id::{Application, Region, Unit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One of `alarms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlarmPlan {
    /// Its name in CloudWatch, or its whole ARN.
    pub alarm: String,
    /// The region that it says is in trouble.
    pub region: Region,
    /// The unit that suffers by it.
    pub unit: Unit,
    /// What is enough to promote without a person while it is on; the policy's when it is absent.
    pub least_fence: Option<FenceAssurance>,
    /// How long it is looked into after it went off.
    pub look_for: Duration,
}

static FENCES: [Word; 4] = [
    word("provider-attested", "Also when it is only the provider's word that the old writer has stopped."),
    word("connections-cut", "Also when only its connections were cut."),
    word("traffic-only", "Also when only new traffic is led elsewhere."),
    word(
        "none",
        "Also when nothing stops the old writer: should its region live after all, both write until it is fenced.",
    ),
];

pub(super) static SECTION: Section = Section {
    doc: "An alarm of CloudWatch. When it goes off, the function looks at the region for itself and does what `policy` says to \
          what it sees; the alarm alone moves nothing.",
    keys: &[
        follows(
            "alarm",
            Shape::Text,
            "its name here",
            "Its name in CloudWatch, or its ARN where two accounts use one name.",
        ),
        required("region", Shape::Region, "The region that is in trouble when it goes off."),
        follows("unit", Shape::Name, "the application's name", "The unit that suffers by it."),
        optional(
            "least_fence",
            Shape::Choice(&FENCES),
            "The least assurance that may promote without a person while this alarm is on and the controller's own looks say \
             that the region is lost. A standing order: whoever writes it here answers for the old writer. Without it \
             `policy.least_fence` counts. Needs `policy.mode: automatic`.",
        ),
        default(
            "look_for",
            at_least_ms(1000),
            "1h",
            "It is looked into again by every invocation for so long, or until CloudWatch says that it is over.",
        ),
    ],
};

pub(super) static SHAPE: Shape = Shape::Record(&SECTION);

pub(super) fn build_all(application: &Application, root: &Record) -> Option<BTreeMap<String, AlarmPlan>> {
    let build = |(name, value): &(String, Value)| {
        let record = value.record()?;
        let alarm = AlarmPlan {
            alarm: record.owned("alarm").unwrap_or_else(|| name.clone()),
            region: record.region("region")?,
            unit: record.text("unit").map_or_else(|| Unit::new(application.as_str()), Unit::new),
            least_fence: record.word("least_fence").map(fence_of),
            look_for: record.duration("look_for")?,
        };
        Some((name.clone(), alarm))
    };
    root.map("alarms").iter().map(build).collect()
}

/// What no table says: of every alarm.
pub(super) fn check_all(root: &Record, out: &mut Collector<'_>) {
    let automatic = root.record("policy").and_then(|p| p.word("mode")) == Some("automatic");
    let mut known: Vec<&str> = Vec::new();
    for (name, value) in root.map("alarms") {
        let Some(record) = value.record() else { continue };
        health::known_unit(record, root, out);
        let alarm = record.text("alarm").unwrap_or(name);
        if known.contains(&alarm) {
            let at = if record.given("alarm") { record.at("alarm") } else { &record.at };
            out.add(code::PLAN_CONTRADICTION, at, format!("the alarm `{alarm}` stands for two things"))
                .found(alarm)
                .allowed("each alarm once")
                .hint("Where accounts use one name, write each alarm's ARN.");
        }
        known.push(alarm);
        if record.given("least_fence") && !automatic {
            out.add(
                code::PLAN_CONTRADICTION,
                record.at("least_fence"),
                "a standing order needs `policy.mode: automatic`: else a person starts or approves every failover",
            )
            .found(record.word("least_fence").unwrap_or_default())
            .allowed("`least_fence` of an alarm together with `policy.mode: automatic`")
            .hint("Take the line out, and a person decides; or let Pilotlight start by itself.");
        }
    }
}

impl Plan {
    /// What an alarm stands for: found by its ARN, else by its name.
    pub fn alarm(&self, name: &str, arn: Option<&str>) -> Option<(&str, &AlarmPlan)> {
        let is = |wanted: &str| self.alarms.iter().find(|(_, a)| a.alarm == wanted).map(|(k, a)| (k.as_str(), a));
        arn.and_then(is).or_else(|| is(name))
    }
}
