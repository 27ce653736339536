//! `kind: s3`: two buckets, one copied to the other by S3's replication.

use crate::code;
use crate::plan::aws::{S3Bucket, S3Plan};
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, default, required};
use crate::plan::value::Record;

static BUCKET: Section = Section {
    doc: "A bucket.",
    keys: &[
        required("bucket", Shape::Text, "Its name."),
        default(
            "rule",
            Shape::Text,
            "everything",
            "Id of the replication rule in it that copies to the other bucket. It is enabled where the service runs and \
             disabled elsewhere; a move changes that.",
        ),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "Two buckets in S3: the one where the service runs is copied to the other, and a move reverses that. Copying is \
          asynchronous, and nothing stops writes to a bucket.",
    keys: &[
        default(
            "existing_copied",
            Shape::Flag,
            "false",
            "A batch replication has copied what was there before the rules. AWS shows nothing of that; without this key \
             `check --live` reminds you.",
        ),
        required(
            "regions",
            Shape::PerRegion { of: &Shape::Record(&BUCKET), every: false },
            "One bucket in each of two regions.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> Option<S3Plan> {
    let bucket = |r: &Record| Some(S3Bucket { bucket: r.owned("bucket")?, rule: r.owned("rule")? });
    Some(S3Plan {
        existing_copied: record.flag("existing_copied")?,
        regions: record.by_region("regions", |value| bucket(value.record()?))?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let regions = record.map("regions");
    let names: Vec<&str> = regions.iter().filter_map(|(_, v)| v.record()?.text("bucket")).collect();
    if regions.len() != 2 {
        out.add(code::PLAN_CONTRADICTION, record.at("regions"), "the direction between two buckets is what moves")
            .found(format!("{} regions", regions.len()))
            .allowed("two regions with a bucket each");
    } else if names.len() == 2 && names[0] == names[1] {
        out.add(code::PLAN_CONTRADICTION, record.at("regions"), "a bucket is not copied to itself")
            .found(format!("{} twice", names[0]))
            .allowed("two buckets");
    }
}
