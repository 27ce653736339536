//! `kind: eks`: a managed node group of an EKS cluster in each region.

use super::{active, sizes, standby};
use crate::plan::aws::{EksNodeGroup, EksPlan};
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, optional, required};
use crate::plan::value::Record;

/// AWS takes no group that may have no node at all.
const MOST: Shape = Shape::Count { least: 1, most: 10_000 };

static NODE_GROUP: Section = Section {
    doc: "A managed node group.",
    keys: &[
        required("cluster", Shape::Text, "Name of its EKS cluster."),
        required("node_group", Shape::Text, "Its name."),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A managed node group of an EKS cluster in each region, with more nodes where the traffic is. Workloads are not \
          touched: they take the nodes that come.",
    keys: &[
        active(),
        standby(),
        optional("active_max", MOST, "How many it may grow to where the traffic is. Without it: as it is."),
        optional("standby_max", MOST, "How many it may grow to where it is not."),
        required("regions", Shape::PerRegion { of: &Shape::Record(&NODE_GROUP), every: true }, "One group per region."),
    ],
};

pub(super) fn build(record: &Record) -> Option<EksPlan> {
    let group = |r: &Record| Some(EksNodeGroup { cluster: r.owned("cluster")?, node_group: r.owned("node_group")? });
    Some(EksPlan {
        active: record.number32("active")?,
        standby: record.number32("standby")?,
        active_max: record.number32("active_max"),
        standby_max: record.number32("standby_max"),
        regions: record.by_region("regions", |value| group(value.record()?))?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    sizes(record, "standby", "active", out);
    sizes(record, "active", "active_max", out);
    sizes(record, "standby", "standby_max", out);
}
