//! `kind: ecs`: an ECS service in each region.

use super::{active, sizes, standby};
use crate::plan::aws::{EcsPlan, EcsService};
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, optional, required};
use crate::plan::value::Record;

static SERVICE: Section = Section {
    doc: "An ECS service.",
    keys: &[required("cluster", Shape::Text, "Name of its cluster."), required("service", Shape::Text, "Its name.")],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "An ECS service in each region, with more tasks where the traffic is.",
    keys: &[
        active(),
        standby(),
        optional(
            "active_provider",
            Shape::Text,
            "Capacity provider where the traffic is, for example `FARGATE`. Without it the service keeps its own.",
        ),
        optional("standby_provider", Shape::Text, "Capacity provider where it is not, for example `FARGATE_SPOT`."),
        required("regions", Shape::PerRegion { of: &Shape::Record(&SERVICE), every: true }, "One service per region."),
    ],
};

pub(super) fn build(record: &Record) -> Option<EcsPlan> {
    let service = |r: &Record| Some(EcsService { cluster: r.owned("cluster")?, service: r.owned("service")? });
    Some(EcsPlan {
        active: record.number32("active")?,
        standby: record.number32("standby")?,
        active_provider: record.owned("active_provider"),
        standby_provider: record.owned("standby_provider"),
        regions: record.by_region("regions", |value| service(value.record()?))?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    sizes(record, "standby", "active", out);
}
