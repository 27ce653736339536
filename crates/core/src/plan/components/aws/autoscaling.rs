//! `kind: autoscaling`: an EC2 Auto Scaling group in each region.

use super::{active, sizes, standby};
use crate::plan::aws::AutoscalingPlan;
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, optional, required};
use crate::plan::value::Record;

const COUNT: Shape = Shape::Count { least: 1, most: 10_000 };

pub(in crate::plan) static SECTION: Section = Section {
    doc: "An EC2 Auto Scaling group in each region, with more instances where the traffic is.",
    keys: &[
        active(),
        standby(),
        optional("active_max", COUNT, "How many it may grow to where the traffic is. Without it: as it is."),
        optional("standby_max", COUNT, "How many it may grow to where it is not."),
        required("regions", Shape::PerRegion { of: &Shape::Text, every: true }, "Name of the group in each region."),
    ],
};

pub(super) fn build(record: &Record) -> Option<AutoscalingPlan> {
    Some(AutoscalingPlan {
        active: record.number32("active")?,
        standby: record.number32("standby")?,
        active_max: record.number32("active_max"),
        standby_max: record.number32("standby_max"),
        regions: record.by_region("regions", |value| value.text().map(str::to_owned))?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    sizes(record, "standby", "active", out);
    sizes(record, "active", "active_max", out);
    sizes(record, "standby", "standby_max", out);
}
