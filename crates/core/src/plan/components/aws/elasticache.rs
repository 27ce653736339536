//! `kind: elasticache`: an ElastiCache Global Datastore.

use crate::plan::aws::{ElastiCacheMember, ElastiCachePlan};
use crate::plan::shape::{Section, Shape, Word, default, optional, required, word};
use crate::plan::value::Record;

static DETACH: [Word; 2] = [
    word("never", "The move fails and a person decides."),
    word(
        "allowed",
        "The group is taken out of the global datastore and takes writes alone. Nothing stops the old primary then, and AWS \
         lets the group never join again.",
    ),
];

static MEMBER: Section = Section {
    doc: "The member of the global datastore in a region.",
    keys: &[
        required("group", Shape::Text, "Id of its replication group."),
        optional("address", Shape::HostPort, "Its primary endpoint, dialled by the controller as a second opinion."),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "An ElastiCache Global Datastore: one region writes, the others follow, and AWS moves the primary in one call. \
          Replication is asynchronous in a planned move, too.",
    keys: &[
        required(
            "global_datastore",
            Shape::Text,
            "Its id, with the prefix that AWS gave it, for example `ldgnf-cart`.",
        ),
        default("detach", Shape::Choice(&DETACH), "never", "What to do in a failover when the global call fails."),
        required("regions", Shape::PerRegion { of: &Shape::Record(&MEMBER), every: true }, "One member per region."),
    ],
};

pub(super) fn build(record: &Record) -> Option<ElastiCachePlan> {
    let member = |r: &Record| Some(ElastiCacheMember { group: r.owned("group")?, address: r.owned("address") });
    Some(ElastiCachePlan {
        global_datastore: record.owned("global_datastore")?,
        may_detach: record.word("detach")? == "allowed",
        regions: record.by_region("regions", |value| member(value.record()?))?,
    })
}
