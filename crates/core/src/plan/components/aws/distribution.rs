//! `aws.distributions`: an origin group of CloudFront, which is AWS's own switch between two regions.

use crate::code;
use crate::plan::aws::AwsDistribution;
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, optional, required};
use crate::plan::value::{Datum, Record, Value};

pub(super) static SECTION: Section = Section {
    doc: "A distribution of CloudFront with an origin in each region. Its origin group asks the second one when the first \
          answers with 500, 502, 503 or 504, or not at all; only for requests that read.",
    keys: &[
        required("id", Shape::Text, "Its id, for example `E2QWRUHAPOMQZL`."),
        required("origin_group", Shape::Text, "Id of the origin group."),
        required("primary", Shape::Region, "The region whose origin is asked first."),
        required(
            "origins",
            Shape::PerRegion { of: &Shape::Text, every: false },
            "Id or domain name of the origin in each of two regions.",
        ),
        optional(
            "also",
            Shape::List { of: &Shape::Count { least: 403, most: 404 }, least: 1 },
            "Status codes after which the other origin is asked, too: 403, 404. Without it they are none of them.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> Option<AwsDistribution> {
    Some(AwsDistribution {
        id: record.owned("id")?,
        origin_group: record.owned("origin_group")?,
        primary: record.region("primary")?,
        origins: record.by_region("origins", |value| value.text().map(str::to_owned))?,
        also: record.list("also").iter().filter_map(code_of).collect(),
    })
}

fn code_of(value: &Value) -> Option<u16> {
    match value.datum {
        Datum::Number(n) => u16::try_from(n).ok(),
        _ => None,
    }
}

/// An origin group has two origins, no more and no less.
pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let (origins, Some(primary)) = (record.map("origins"), record.text("primary")) else { return };
    if origins.len() != 2 || !origins.iter().any(|(region, _)| region == primary) {
        let named: Vec<&str> = origins.iter().map(|(region, _)| region.as_str()).collect();
        out.add(
            code::PLAN_CONTRADICTION,
            record.at("origins"),
            "an origin group has two origins, the primary among them",
        )
        .found(named.join(", "))
        .allowed(format!("the origin in {primary} and one in another region"))
        .hint("CloudFront goes from the first to the second; a third would never be asked.");
    }
}
