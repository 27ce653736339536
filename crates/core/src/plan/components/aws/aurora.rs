//! `kind: aurora`: an Aurora Global Database.

use super::rds::{GROUPS, groups};
use crate::plan::aws::{AuroraMember, AuroraPlan, SnapshotBefore};
use crate::plan::shape::{Section, Shape, Word, default, optional, required, word};
use crate::plan::value::Record;

static DETACH: [Word; 2] = [
    word("never", "The move fails and a person decides."),
    word(
        "allowed",
        "The copy is taken out of the global cluster and promoted alone. Nothing stops the old writer then, so two \
         regions may write until a person stops one.",
    ),
];

static SNAPSHOT: [Word; 2] = [
    word("before-rejoin", "Of a cluster that a detach left behind, before it is renamed and kept."),
    word(
        "always",
        "Of the writer's cluster before a planned move, too. The move waits for it; users are served meanwhile. A failover \
         makes none.",
    ),
];

static MEMBER: Section = Section {
    doc: "The member of the global cluster in a region.",
    keys: &[
        required("cluster", Shape::Text, "Identifier of its DB cluster."),
        optional("address", Shape::HostPort, "Its endpoint, dialled by the controller as a second opinion."),
        optional("open_groups", GROUPS, "VPC security groups with which clients reach it."),
        optional(
            "closed_groups",
            GROUPS,
            "VPC security groups with which nobody reaches it. After a detach the old writer is silenced with them and a \
             reboot, so that its region can join again; without them people do that.",
        ),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "An Aurora Global Database: one region writes, the others follow, and AWS moves the writer in one call.",
    keys: &[
        required("global_cluster", Shape::Text, "Identifier of the global cluster."),
        default(
            "detach",
            Shape::Choice(&DETACH),
            "never",
            "What to do in a failover when the calls of the global cluster fail.",
        ),
        default(
            "snapshot",
            Shape::Choice(&SNAPSHOT),
            "before-rejoin",
            "Which changes a snapshot is made before, called after the run. It costs money until somebody deletes it.",
        ),
        required("regions", Shape::PerRegion { of: &Shape::Record(&MEMBER), every: true }, "One member per region."),
    ],
};

pub(super) fn build(record: &Record) -> Option<AuroraPlan> {
    let member = |r: &Record| {
        Some(AuroraMember {
            cluster: r.owned("cluster")?,
            address: r.owned("address"),
            open_groups: groups(r, "open_groups"),
            closed_groups: groups(r, "closed_groups"),
        })
    };
    Some(AuroraPlan {
        global_cluster: record.owned("global_cluster")?,
        may_detach: record.word("detach")? == "allowed",
        snapshot: match record.word("snapshot")? {
            "always" => SnapshotBefore::Changes,
            _ => SnapshotBefore::Rejoin,
        },
        regions: record.by_region("regions", |value| member(value.record()?))?,
    })
}
