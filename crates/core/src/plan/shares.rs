//! `shares`: what each region takes of the traffic at rest, and what must be said of a plan whose regions all take some.

use super::fault::Collector;
use super::shape::{Key, Shape, Word, optional, word};
use super::value::{Datum, Record};
use super::{ComponentPlan, Guarantee, Kind, Plan, aws};
use crate::code;
use crate::id::Region;
use crate::placement::Placement;
use serde::Serialize;
use std::collections::BTreeMap;

/// Per cent of the traffic by region.
pub type Shares = BTreeMap<Region, u32>;

/// Which instances write a store while several regions take traffic. The copy that is written is one in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writes {
    /// Those of every region.
    Across,
    /// Those in the writer's region.
    Beside,
}

pub(super) static SHARE: Shape = Shape::Count { least: 0, most: 100 };

static WRITES: [Word; 2] = [
    word("across", "Instances of every region write to the one writer, those of other regions across."),
    word("beside", "Only instances in the writer's region write; others read the copy beside them."),
];

/// The key of a store.
pub(super) const KEY: Key = optional(
    "writes",
    Shape::Choice(&WRITES),
    "Of what holds data: which instances write it. Must be said where `shares` lead users to several regions; says nothing \
     to drivers.",
);

pub(super) fn build(root: &Record) -> Option<Shares> {
    let share = |(name, value): &(String, super::value::Value)| match value.datum {
        Datum::Number(n) => Some((Region::new(name), n.try_into().ok()?)),
        _ => None,
    };
    root.given("shares").then(|| root.map("shares").iter().filter_map(share).collect())
}

pub(super) fn writes(record: &Record) -> Option<Writes> {
    match record.word("writes")? {
        "across" => Some(Writes::Across),
        _ => Some(Writes::Beside),
    }
}

const ROADS: [&str; 3] = ["dns", "route53", "global-accelerator"];
/// Kinds that hold data.
pub(super) const STORES: [&str; 5] = ["postgres", "aurora", "rds", "elasticache", "s3"];

pub(super) fn check(root: &Record, out: &mut Collector<'_>) {
    no_store(root, out);
    let Some(shares) = build(root) else { return };
    let at = root.at("shares");
    let sum: u32 = shares.values().sum();
    if sum != 100 {
        out.add(code::PLAN_AT_REST, at, "the shares of all regions together are the whole traffic")
            .found(sum.to_string())
            .allowed("numbers that add up to 100, such as `{ east: 60, west: 40 }`");
    }
    let home = root.region("home").or_else(|| root.list("regions").first()?.text().map(Region::new));
    if let Some(home) = home.filter(|home| shares.get(home) == Some(&0)) {
        out.add(code::PLAN_AT_REST, at, format!("`{home}` is home and takes no traffic at rest"))
            .found("0")
            .allowed("a share of at least 1 for home")
            .hint("Home is where the service belongs; name another region in `home`.");
    }
    let several = shares.values().filter(|s| **s > 0).count() > 1;
    if several {
        roads(root, out);
        stores(root, out);
    }
}

fn components<'a>(root: &'a Record, kinds: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a Record)> {
    let all = root.map("components").iter().filter_map(|(name, v)| Some((name.as_str(), v.record()?)));
    all.filter(move |(_, r)| kinds.contains(&r.kind))
}

fn no_store(root: &Record, out: &mut Collector<'_>) {
    let all = root.map("components").iter().filter_map(|(name, v)| Some((name, v.record()?)));
    for (name, record) in all.filter(|(_, r)| r.given("writes") && !STORES.contains(&r.kind)) {
        out.add(code::PLAN_WHO_WRITES, record.at("writes"), format!("`{name}` holds no data that is written"))
            .found("writes")
            .allowed(format!("`writes` of a component of kind {}", super::shape::one_of(STORES.into_iter())));
    }
}

fn roads(root: &Record, out: &mut Collector<'_>) {
    if components(root, &ROADS).next().is_none() {
        out.add(code::PLAN_AT_REST, root.at("shares"), "nothing in the plan leads traffic by shares")
            .found("no such component")
            .allowed("a component of kind `dns`, `route53` or `global-accelerator`");
    }
    for (name, record) in components(root, &["route53"]) {
        if record.word("policy") == Some("failover") {
            out.add(code::PLAN_AT_REST, record.at("policy"), format!("`{name}` cannot lead users to several regions"))
                .found("failover")
                .allowed("`policy: weighted`")
                .hint("Failover records lead everybody to one region.");
        }
    }
}

/// Each store says who writes it.
fn stores(root: &Record, out: &mut Collector<'_>) {
    for (name, record) in components(root, &STORES) {
        if !record.given("writes") {
            out.add(code::PLAN_WHO_WRITES, &record.at, format!("`{name}` does not say who writes it"))
                .found("no `writes`")
                .allowed("`writes: across` or `writes: beside`")
                .hint("`shares` lead users to several regions, and one copy of it is written.");
        }
    }
}

/// `east 60 %, west 40 %`.
pub fn show_shares(shares: &Shares) -> String {
    let shown: Vec<String> = shares.iter().map(|(region, share)| format!("{region} {share} %")).collect();
    shown.join(", ")
}

/// The regions that take something.
pub fn taking(shares: &Shares) -> Shares {
    shares.iter().filter(|(_, share)| **share > 0).map(|(region, share)| (region.clone(), *share)).collect()
}

impl Plan {
    /// Where the writer is in `writer`: traffic by the shares at rest, those of regions that are away given to the others in
    /// proportion. All of it to the writer where the plan has no shares, or nobody else is left.
    pub fn placement(&self, writer: &Region, is_away: impl Fn(&Region) -> bool) -> Placement {
        let at_rest = self.shares.iter().flatten().filter(|(region, share)| **share > 0 && !is_away(region));
        let at_rest: Vec<(&Region, u32)> = at_rest.map(|(region, share)| (region, *share)).collect();
        let sum: u32 = at_rest.iter().map(|(_, share)| share).sum();
        let Some((largest, _)) = at_rest.iter().rev().max_by_key(|(_, share)| *share) else {
            return Placement::in_region(writer);
        };
        let mut traffic: Shares =
            at_rest.iter().map(|(region, share)| ((*region).clone(), share * 100 / sum)).collect();
        let left = 100 - traffic.values().sum::<u32>();
        *traffic.entry((*largest).clone()).or_default() += left;
        // Three regions at least: of two, who is left has all.
        traffic.retain(|_, share| *share > 0);
        Placement { writer: writer.clone(), traffic }
    }

    /// Several regions take traffic at rest.
    pub fn is_active_active(&self) -> bool {
        self.shares.as_ref().is_some_and(|shares| taking(shares).len() > 1)
    }

    /// What is seen of a road differs from the shares at rest.
    pub fn drifts(&self, seen: &Shares) -> bool {
        self.shares.as_ref().is_some_and(|at_rest| taking(at_rest) != taking(seen))
    }
}

impl ComponentPlan {
    /// Who writes it and what may be lost of it, where several regions take traffic.
    pub(super) fn said_of_writes(&self, plan: &Plan) -> Option<String> {
        let who = match self.writes.filter(|_| plan.is_active_active())? {
            Writes::Across => "instances of every region write to it, from elsewhere across",
            Writes::Beside => "only instances beside it write, others read their own copy",
        };
        let waits = self.waits() && plan.policy.guarantee == Guarantee::Strict;
        let loses = match (waits, &self.kind) {
            (true, _) => "a write is acknowledged when the candidate has it",
            (false, Kind::Aws(aws::AwsComponent::S3(_))) => "asynchronous, and nothing stops writes to the other copy",
            (false, _) => "asynchronous, so its newest writes may be lost",
        };
        Some(format!("one copy is written, in {} at rest; {who}; {loses}", plan.home))
    }
}
