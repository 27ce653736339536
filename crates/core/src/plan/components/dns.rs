//! `kind: dns`: a name in the built-in authoritative DNS.

use crate::code;
use crate::plan::DnsPlan;
use crate::plan::address::Endpoint;
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, at_least_ms, default, required};
use crate::plan::value::Record;

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A name in the built-in authoritative DNS that leads users to the region that serves.",
    keys: &[
        required("name", Shape::Domain, "The name users ask for."),
        default("ttl", at_least_ms(1000), "5s", "How long resolvers keep an answer. It adds to every measured RTO."),
        required("server", Shape::Socket, "The address on which the authority answers queries, by UDP and TCP."),
        required("control_url", Shape::Url, "The base URL of the authority's control interface."),
        required("answers", Shape::PerRegion { of: &Shape::Ip, every: true }, "What to answer when the region serves."),
    ],
};

pub(super) fn build(record: &Record) -> Option<DnsPlan> {
    Some(DnsPlan {
        name: record.owned("name")?,
        ttl: record.duration("ttl")?,
        server: record.socket("server")?,
        control_url: record.owned("control_url")?,
        answers: record.by_region("answers", |value| value.ip())?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let answers = record.map("answers");
    for (i, (region, value)) in answers.iter().enumerate() {
        let same = answers.iter().take(i).find(|(_, other)| other.ip().is_some() && other.ip() == value.ip());
        if let Some((other, _)) = same {
            out.add(code::PLAN_CONTRADICTION, &value.at, format!("`{region}` has the same answer as `{other}`"))
                .found(value.ip().map(|ip| ip.to_string()).unwrap_or_default())
                .allowed("a different address for each region")
                .hint("With one address for both regions, changing the answer would lead nobody anywhere.");
        }
    }
    let Some(url) = record.text("control_url").and_then(Endpoint::of_url) else { return };
    if !url.tls && !url.is_loopback() {
        out.add(
            code::PLAN_TLS,
            record.at("control_url"),
            format!("`{}` leads to `{}` without TLS", record.at("control_url").path, url.host),
        )
        .found("http")
        .allowed("https, or a loopback address")
        .hint("The token would cross the network in the clear. Write `https://`.");
    }
}
