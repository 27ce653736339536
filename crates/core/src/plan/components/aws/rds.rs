//! `kind: rds`: an RDS instance and its read replicas in other regions.

use crate::code;
use crate::plan::aws::{RdsInstance, RdsPlan, SnapshotBefore};
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, Word, at_least_ms, default, optional, required, word};
use crate::plan::value::Record;

/// Security groups.
pub(super) const GROUPS: Shape = Shape::List { of: &Shape::Text, least: 1 };

static SNAPSHOT: [Word; 3] = [
    word("never", "None, besides what AWS makes by itself."),
    word("before-rejoin", "Of an old instance, before it is renamed and kept."),
    word("always", "Of a copy before it is promoted, too. The move waits for it, which may take longer than the RTO."),
];

static BACKUPS: [Word; 2] = [
    word("leave", "People set their replication up, and turn it round after a move."),
    word(
        "follow",
        "When a region joins again, the writer's automated backups are replicated there, and those of the old instance no more.",
    ),
];

static INSTANCE: Section = Section {
    doc: "The DB instance in a region.",
    keys: &[
        required("instance", Shape::Text, "Its identifier."),
        optional("address", Shape::HostPort, "Its endpoint, dialled by the controller as a second opinion."),
        optional("open_groups", GROUPS, "VPC security groups with which clients reach it."),
        optional(
            "closed_groups",
            GROUPS,
            "VPC security groups with which nobody reaches it. With them and a reboot writes are stopped; without them a \
             planned move is refused, and an old writer is not fenced.",
        ),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "An RDS instance and its read replicas in other regions. A move promotes a replica; afterwards the old instance is \
          renamed and kept, and a new replica takes its name.",
    keys: &[
        required(
            "regions",
            Shape::PerRegion { of: &Shape::Record(&INSTANCE), every: true },
            "One DB instance per region.",
        ),
        default(
            "snapshot",
            Shape::Choice(&SNAPSHOT),
            "never",
            "Which changes a snapshot is made before, called after the run. It costs money until somebody deletes it.",
        ),
        default(
            "backups",
            Shape::Choice(&BACKUPS),
            "leave",
            "Whether the replication of automated backups between the regions goes with the writer.",
        ),
        optional(
            "backups_within",
            at_least_ms(60_000),
            "How old the newest moment may be to which the automated backups that AWS replicates to another region can be \
             restored. `check --live` and `status` say it; without the key nobody looks.",
        ),
    ],
};

/// The groups that a key names.
pub(super) fn groups(record: &Record, key: &str) -> Vec<String> {
    record.list(key).iter().filter_map(|v| v.text().map(str::to_owned)).collect()
}

pub(super) fn build(record: &Record) -> Option<RdsPlan> {
    let instance = |r: &Record| {
        Some(RdsInstance {
            instance: r.owned("instance")?,
            address: r.owned("address"),
            open_groups: groups(r, "open_groups"),
            closed_groups: groups(r, "closed_groups"),
        })
    };
    let snapshot = match record.word("snapshot")? {
        "before-rejoin" => SnapshotBefore::Rejoin,
        "always" => SnapshotBefore::Changes,
        _ => SnapshotBefore::Nothing,
    };
    Some(RdsPlan {
        snapshot,
        backups_within: record.duration("backups_within"),
        backups_follow: record.word("backups")? == "follow",
        regions: record.by_region("regions", |value| instance(value.record()?))?,
    })
}

/// What is closed must be known how to open again.
pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    for (region, value) in record.map("regions") {
        let Some(instance) = value.record() else { continue };
        let (open, closed) = (instance.given("open_groups"), instance.given("closed_groups"));
        if open != closed {
            let (has, lacks) = if open { ("open_groups", "closed_groups") } else { ("closed_groups", "open_groups") };
            out.add(code::PLAN_CONTRADICTION, instance.at(has), format!("`{has}` of {region} needs `{lacks}`"))
                .found(format!("`{has}` alone"))
                .allowed("both or neither")
                .hint("Pilotlight changes from one to the other and back.");
        }
    }
}
