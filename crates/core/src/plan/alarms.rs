//! `alarms`: alarms of CloudWatch that the function `pilotlight-lambda` is told of, and what each stands for.
//!
//! Invariant: an alarm alone moves nothing. It makes the controller look for itself; what it may add to that is only that a
//! weaker fence will do, and only where the policy lets Pilotlight start by itself.

use super::fault::{At, Collector};
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
    /// Its ARN, or its name in CloudWatch.
    pub alarm: String,
    /// Beside a name: the region of CloudWatch that has it. Two regions may have alarms of one name.
    pub alarm_region: Option<String>,
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
            "Its ARN; or its name in CloudWatch, together with `alarm_region` and `aws.account`, since every region of every account \
             may have an alarm of that name.",
        ),
        optional(
            "alarm_region",
            Shape::Text,
            "Beside a name: the region whose CloudWatch has the alarm, such as `us-east-1`.",
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
            alarm_region: record.owned("alarm_region"),
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
    let mut known: Vec<(&str, Option<&str>)> = Vec::new();
    let account = root.record("aws").and_then(|aws| aws.text("account"));
    for (name, value) in root.map("alarms") {
        let Some(record) = value.record() else { continue };
        health::known_unit(record, root, out);
        let alarm = record.text("alarm").unwrap_or(name);
        let at = if record.given("alarm") { record.at("alarm") } else { &record.at };
        let one = (alarm, record.text("alarm_region"));
        is_one(record, one, at, account.is_some(), out);
        if known.contains(&one) {
            out.add(code::PLAN_CONTRADICTION, at, format!("the alarm `{alarm}` stands for two things"))
                .found(alarm)
                .allowed("each alarm once")
                .hint("Where regions or accounts use one name, write each alarm's ARN.");
        }
        known.push(one);
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

/// Says one alarm, and not all of that name in the regions and accounts whose topics the function hears.
fn is_one(record: &Record, (alarm, region): (&str, Option<&str>), at: &At, account: bool, out: &mut Collector<'_>) {
    if alarm.starts_with("arn:") {
        if !health::is_alarm(alarm) {
            out.add(code::PLAN_AWS_ARN, at, format!("`{alarm}` is not the ARN of an alarm"))
                .found(alarm)
                .allowed(AN_ARN);
        } else if region.is_some() {
            out.add(code::PLAN_CONTRADICTION, record.at("alarm_region"), "an ARN names its region already")
                .allowed("`alarm_region` beside a name only");
        }
        return;
    }
    let lacks: Vec<&str> = [(region.is_none(), "`alarm_region`"), (!account, "`aws.account`")]
        .iter()
        .filter(|(l, _)| *l)
        .map(|(_, w)| *w)
        .collect();
    if !lacks.is_empty() {
        let lacks = lacks.join(" and ");
        out.add(code::ALARM_NAME, at, format!("every region of every account may have an alarm `{alarm}`: {lacks} must say which"))
            .found(alarm)
            .allowed(AN_ARN)
            .hint("`aws cloudwatch describe-alarms --alarm-names ...` shows the ARN; or write the region of the alarm beside its name.");
    }
}

const AN_ARN: &str = "an ARN such as `arn:aws:cloudwatch:us-west-2:123456789012:alarm:front-errors`";

impl Plan {
    /// What the alarm of that ARN stands for.
    pub fn alarm(&self, arn: &str) -> Option<(&str, &AlarmPlan)> {
        let account = self.aws.account.as_deref();
        self.alarms.iter().find(|(_, alarm)| alarm.is(arn, account)).map(|(name, alarm)| (name.as_str(), alarm))
    }
}

impl AlarmPlan {
    fn is(&self, arn: &str, account: Option<&str>) -> bool {
        if self.alarm.starts_with("arn:") {
            return self.alarm == arn;
        }
        let parts: Vec<&str> = arn.splitn(7, ':').skip(3).collect();
        let [region, of, "alarm", name] = parts.as_slice() else { return false };
        *name == self.alarm && Some(*region) == self.alarm_region.as_deref() && Some(*of) == account
    }
}
