//! `aws` and the kinds that AWS runs, one file each.

pub(super) mod accelerator;
pub(super) mod aurora;
pub(super) mod autoscaling;
pub(super) mod distribution;
pub(super) mod ecs;
pub(super) mod eks;
pub(super) mod elasticache;
pub(super) mod elsewhere;
pub(super) mod needs;
pub(super) mod rds;
pub(super) mod route53;
pub(super) mod s3;
pub(super) mod sns;

use crate::code;
use crate::plan::aws::{AwsComponent, AwsMetrics, AwsPlan, AwsRegion};
use crate::plan::fault::Collector;
use crate::plan::shape::{Key, Section, Shape, at_least_ms, default, optional, required};
use crate::plan::value::Record;

static REGION: Section = Section {
    doc: "A region of the plan in AWS.",
    keys: &[
        optional("name", Shape::Text, "What AWS calls it, for example `us-east-1`. Without it: the name in the plan."),
        optional("role", Shape::Text, "ARN of a role that is assumed for calls to this region, instead of `aws.role`."),
        optional(
            "needs",
            Shape::Record(&needs::SECTION),
            "What must be there besides the components. `check --live` looks in every region, a dry run where the service \
             would go.",
        ),
    ],
};

static METRICS: Section = Section {
    doc: "Lag, state and durations of runs as metrics of CloudWatch. A figure that cannot be published is lost, and nothing \
          waits for it.",
    keys: &[
        required(
            "region",
            Shape::Text,
            "A region of AWS that is none of the plan's: it must not die with one of them.",
        ),
        default("namespace", Shape::Text, "Pilotlight", "The namespace of every metric."),
        default("every", at_least_ms(10_000), "1m", "How often. CloudWatch asks money for each metric and call."),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "How AWS is reached. Credentials come from the environment, a profile (none that signs in by SSO, `aws login` or \
          `credential_process`), or the role of the machine. They are never in a plan.",
    keys: &[
        optional(
            "account",
            Shape::Text,
            "The account everything must be in. `check --live` finds credentials of another one.",
        ),
        optional(
            "role",
            Shape::Text,
            "ARN of the role that is assumed for every call, also of what is called in none of the plan's regions (Route 53, \
             Global Accelerator, topics, figures).",
        ),
        optional("metrics", Shape::Record(&METRICS), "Where figures of Pilotlight itself are published in CloudWatch."),
        optional(
            "distributions",
            Shape::List { of: &Shape::Record(&distribution::SECTION), least: 0 },
            "Distributions of CloudFront whose origin group goes to the other region by itself. `check --live` looks at them; \
             nothing changes them.",
        ),
        optional("endpoint", Shape::Url, "One URL for every service, for a test server. Not for AWS itself."),
        optional(
            "regions",
            Shape::PerRegion { of: &Shape::Record(&REGION), every: false },
            "What AWS calls the regions of the plan, and which role acts there.",
        ),
    ],
};

/// `active` and `standby` of something that runs.
pub(super) const fn active() -> Key {
    default("active", Shape::Count { least: 1, most: 10_000 }, "1", "How many where the traffic is.")
}

/// See [`active`].
pub(super) const fn standby() -> Key {
    default(
        "standby",
        Shape::Count { least: 0, most: 10_000 },
        "0",
        "How many where it is not; at most `active`. What is not kept running must be started in the middle of an outage.",
    )
}

pub(in crate::plan) fn build_access(record: Option<&Record>) -> Option<AwsPlan> {
    let Some(record) = record else { return Some(AwsPlan::default()) };
    let region = |r: &Record| {
        let needs = r.record("needs").map(needs::build).unwrap_or_default();
        AwsRegion { name: r.owned("name"), role: r.owned("role"), needs }
    };
    let metrics = |r: &Record| {
        Some(AwsMetrics { region: r.owned("region")?, namespace: r.owned("namespace")?, every: r.duration("every")? })
    };
    Some(AwsPlan {
        metrics: record.record("metrics").and_then(metrics),
        distributions: record
            .list("distributions")
            .iter()
            .map(|v| distribution::build(v.record()?))
            .collect::<Option<_>>()?,
        account: record.owned("account"),
        role: record.owned("role"),
        endpoint: record.owned("endpoint"),
        regions: record.by_region("regions", |value| Some(region(value.record()?)))?,
    })
}

/// `None` for a kind that is not AWS's, or when it could not be built.
pub(super) fn build(record: &Record) -> Option<AwsComponent> {
    Some(match record.kind {
        "aurora" => AwsComponent::Aurora(aurora::build(record)?),
        "rds" => AwsComponent::Rds(rds::build(record)?),
        "elasticache" => AwsComponent::ElastiCache(elasticache::build(record)?),
        "s3" => AwsComponent::S3(s3::build(record)?),
        "ecs" => AwsComponent::Ecs(ecs::build(record)?),
        "autoscaling" => AwsComponent::Autoscaling(autoscaling::build(record)?),
        "eks" => AwsComponent::Eks(eks::build(record)?),
        "route53" => AwsComponent::Route53(route53::build(record)?),
        "global-accelerator" => AwsComponent::Accelerator(accelerator::build(record)?),
        "sns" => AwsComponent::Sns(sns::build(record)?),
        _ => return None,
    })
}

pub(super) fn check(record: &Record, root: &Record, out: &mut Collector<'_>) {
    match record.kind {
        // Both have groups that are changed and changed back.
        "aurora" | "rds" => rds::check(record, out),
        "s3" => s3::check(record, out),
        "ecs" => ecs::check(record, out),
        "autoscaling" => autoscaling::check(record, out),
        "eks" => eks::check(record, out),
        "route53" => route53::check(record, out),
        "global-accelerator" => accelerator::check(record, out),
        "sns" => sns::check(record, out),
        _ => {}
    }
    for map in ["regions", "answers"] {
        if record.known.contains(&map) {
            known_to_aws(record, map, root, out);
            elsewhere::check(record, map, root, out);
        }
    }
}

/// What is at fault in `aws` itself.
pub(in crate::plan) fn check_access(record: &Record, root: &Record, out: &mut Collector<'_>) {
    for (_, value) in record.map("regions") {
        if let Some(needs) = value.record().and_then(|r| r.record("needs")) {
            needs::check(needs, out);
        }
    }
    elsewhere::check(record, "regions", root, out);
    for distribution in record.list("distributions").iter().filter_map(|v| v.record()) {
        distribution::check(distribution, out);
        elsewhere::check(distribution, "origins", root, out);
    }
    let Some(metrics) = record.record("metrics") else { return };
    let Some(region) = metrics.text("region") else { return };
    let may_die = root.list("regions").iter().filter_map(|v| v.text()).any(|r| aws_name(root, r) == region);
    if may_die || !looks_like_a_region(region) {
        out.add(code::PLAN_AWS_REGION, metrics.at("region"), format!("figures must not be published to `{region}`"))
            .found(region)
            .allowed("a region of AWS that is none of the plan's")
            .hint("When a region of the plan is lost, its figures are wanted most.");
    }
}

/// What AWS calls a region of the plan.
fn aws_name<'a>(root: &'a Record, region: &'a str) -> &'a str {
    let named = root.record("aws").map(|aws| aws.map("regions")).unwrap_or_default();
    let mapped = named.iter().find(|(name, _)| name == region).and_then(|(_, v)| v.record()?.text("name"));
    mapped.unwrap_or(region)
}

/// Each region that a component names must be one of AWS's.
fn known_to_aws(record: &Record, map: &str, root: &Record, out: &mut Collector<'_>) {
    for (region, value) in record.map(map) {
        let name = aws_name(root, region);
        // A test server knows no more regions than AWS does.
        if !looks_like_a_region(name) {
            out.add(code::PLAN_AWS_REGION, &value.at, format!("`{name}` is not a region of AWS"))
                .found(name)
                .allowed("a region such as `us-east-1`, or `aws.regions` that says which one is meant")
                .hint(format!("Write `aws: {{ regions: {{ {region}: {{ name: us-east-1 }} }} }}`."));
        }
    }
}

/// `us-east-1`, `ap-southeast-2`, `us-gov-west-1`.
fn looks_like_a_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let small = |s: &&str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_lowercase());
    match parts.as_slice() {
        [area, middle @ .., number] => {
            area.len() == 2
                && !middle.is_empty()
                && middle.iter().all(small)
                && small(area)
                && number.len() <= 2
                && number.parse::<u8>().is_ok_and(|n| n > 0)
        }
        _ => false,
    }
}

/// More that stand by than serve.
pub(super) fn sizes(record: &Record, least: &str, most: &str, out: &mut Collector<'_>) {
    if let (Some(active), Some(standby)) = (record.number(most), record.number(least))
        && standby > active
    {
        out.add(code::PLAN_CONTRADICTION, record.at(least), format!("`{least}` is more than `{most}`"))
            .found(format!("{least} {standby}, {most} {active}"))
            .allowed(format!("at most as many as `{most}`"))
            .hint("A failover would take instances away.");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_aws_are_known_by_their_form() {
        for (name, is) in [
            ("us-east-1", true),
            ("ap-southeast-2", true),
            ("us-gov-west-1", true),
            ("east", false),
            ("us-east", false),
            ("us-east-0", false),
            ("us--1", false),
        ] {
            assert_eq!(looks_like_a_region(name), is, "{name}");
        }
    }
}
