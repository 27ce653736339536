//! `kind: route53`: a name in Route 53.

use crate::code;
use crate::plan::aws::{AnswerTo, RecordPolicy, RecordType, Route53Answer, Route53Plan, Route53Switch};
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, Word, at_least_ms, default, optional, required, word};
use crate::plan::value::Record;
use std::net::{Ipv4Addr, Ipv6Addr};

static TYPES: [Word; 3] = [word("A", "IPv4."), word("AAAA", "IPv6."), word("CNAME", "Another name.")];

static POLICIES: [Word; 2] = [
    word("weighted", "By weights: the shares of traffic."),
    word("failover", "The primary while its health check is good, else the secondary. All traffic is in one region."),
];

static ALIAS: Section = Section {
    doc: "An alias, for example of a load balancer.",
    keys: &[
        required("name", Shape::Domain, "DNS name of the target."),
        required("zone", Shape::Text, "Id of the target's hosted zone."),
    ],
};

static ANSWER: Section = Section {
    doc: "What to answer when the region serves.",
    keys: &[
        optional("value", Shape::Text, "Address, or name for `CNAME`."),
        optional("alias", Shape::Record(&ALIAS), "An alias, instead of `value`. It has the target's time to live."),
        optional("health_check", Shape::Text, "Id of the health check of this record."),
    ],
};

static SWITCH: Section = Section {
    doc: "Users are moved by an object in a bucket of the region that is not home, and no record is changed: for that Route 53's \
          control plane is not needed. Home's record is the primary, with an inverted health check on the object.",
    keys: &[
        required("home", Shape::Text, "The region of the primary record. Users are there while the object is not."),
        required("bucket", Shape::Text, "A bucket in the other region."),
        default("object", Shape::Text, "users-are-away", "Key of the object. Everybody can read it."),
        default(
            "takes",
            at_least_ms(1_000),
            "90s",
            "How long Route 53's checkers need to see it. So long is waited where Route 53 cannot be asked whether they have.",
        ),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A name in Route 53 that leads users to the region that serves. Records are changed in us-east-1, wherever the \
          regions are.",
    keys: &[
        required("zone", Shape::Text, "Id of the hosted zone."),
        required("name", Shape::Domain, "The name users ask for."),
        default("type", Shape::Choice(&TYPES), "A", "Type of the record."),
        default("policy", Shape::Choice(&POLICIES), "weighted", "How Route 53 chooses between the regions."),
        default(
            "ttl",
            Shape::Count { least: 1, most: 86_400 },
            "60",
            "How many seconds resolvers keep an answer. It adds to every measured RTO.",
        ),
        required(
            "answers",
            Shape::PerRegion { of: &Shape::Record(&ANSWER), every: true },
            "What to answer when the region serves.",
        ),
        optional(
            "switch",
            Shape::Record(&SWITCH),
            "An object that moves users, with `policy: failover` and two regions.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> Option<Route53Plan> {
    Some(Route53Plan {
        zone: record.owned("zone")?,
        name: record.owned("name")?,
        record: match record.word("type")? {
            "AAAA" => RecordType::Aaaa,
            "CNAME" => RecordType::Cname,
            _ => RecordType::A,
        },
        policy: match record.word("policy")? {
            "failover" => RecordPolicy::Failover,
            _ => RecordPolicy::Weighted,
        },
        ttl_seconds: record.number32("ttl")?,
        answers: record.by_region("answers", |value| answer(value.record()?))?,
        switch: match record.record("switch") {
            Some(switch) => Some(build_switch(switch)?),
            None => None,
        },
    })
}

fn build_switch(record: &Record) -> Option<Route53Switch> {
    Some(Route53Switch {
        home: record.region("home")?,
        bucket: record.owned("bucket")?,
        object: record.owned("object")?,
        takes: record.duration("takes")?,
    })
}

fn answer(record: &Record) -> Option<Route53Answer> {
    let to = match record.record("alias") {
        Some(alias) => AnswerTo::Alias { name: alias.owned("name")?, zone: alias.owned("zone")? },
        None => AnswerTo::Value(record.owned("value")?),
    };
    Some(Route53Answer { to, health_check: record.owned("health_check") })
}

/// What a switch needs of the rest: two failover records, and a check on the one it turns off.
fn check_switch(record: &Record, switch: &Record, out: &mut Collector<'_>) {
    let (answers, Some(home)) = (record.map("answers"), switch.text("home")) else { return };
    let at_home = answers.iter().find(|(region, _)| region == home).and_then(|(_, answer)| answer.record());
    let fault = if record.word("policy") != Some("failover") {
        Some(("a switch needs failover records", "`policy: failover`"))
    } else if answers.len() != 2 || at_home.is_none() {
        Some(("a switch moves users between two regions", "`home` and one other region in `answers`"))
    } else if at_home.is_some_and(|answer| !answer.given("health_check")) {
        Some(("a switch turns home's record off by its health check", "`health_check` in home's answer"))
    } else if answers.iter().any(|(r, a)| r != home && a.record().is_some_and(|a| a.given("health_check"))) {
        // With both bad, Route 53 answers with the primary.
        Some(("a bad health check away from home would undo the switch", "no `health_check` in the other answer"))
    } else {
        None
    };
    if let Some((text, allowed)) = fault {
        out.add(code::PLAN_SWITCH, &switch.at, text).found(home).allowed(allowed);
    }
}

/// A move makes the record of the region it leads to the primary, and Route 53 takes no primary without a health check that is
/// no alias: that is not found out in the disaster. Of a switch no record changes.
fn check_primaries(record: &Record, out: &mut Collector<'_>) {
    if record.word("policy") != Some("failover") {
        return;
    }
    for (region, value) in record.map("answers") {
        let Some(answer) = value.record().filter(|a| a.given("value") && !a.given("health_check")) else { continue };
        out.add(
            code::PLAN_CONTRADICTION,
            answer.at("value"),
            format!("Route 53 would refuse the move of users to `{region}`: a primary record that is no alias needs a health check"),
        )
        .found("`value` without `health_check`")
        .allowed("`health_check` in each answer with a `value`, or an `alias`");
    }
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    match record.record("switch") {
        Some(switch) => check_switch(record, switch, out),
        None => check_primaries(record, out),
    }
    let word = record.word("type").unwrap_or_default();
    for (region, value) in record.map("answers") {
        let Some(answer) = value.record() else { continue };
        match (answer.given("value"), answer.given("alias")) {
            (true, true) | (false, false) => {
                let at = if answer.given("alias") { answer.at("alias") } else { &answer.at };
                out.add(code::PLAN_CONTRADICTION, at, format!("the answer for `{region}` needs one of two keys"))
                    .found(if answer.given("alias") { "both" } else { "neither" })
                    .allowed("one of `value` and `alias`");
            }
            _ => {}
        }
        if word == "CNAME" && answer.given("alias") {
            out.add(code::PLAN_CONTRADICTION, answer.at("alias"), "an alias is not a CNAME")
                .found("`type: CNAME` with `alias`")
                .allowed("`type: A` or `type: AAAA` with `alias`");
        }
        let Some(text) = answer.text("value") else { continue };
        let good = match word {
            "A" => text.parse::<Ipv4Addr>().is_ok(),
            "AAAA" => text.parse::<Ipv6Addr>().is_ok(),
            _ => text.contains('.'),
        };
        if !good {
            out.add(code::PLAN_VALUE, answer.at("value"), format!("`{text}` is no answer of type {word}"))
                .found(text)
                .allowed(match word {
                    "A" => "an IPv4 address",
                    "AAAA" => "an IPv6 address",
                    _ => "a domain name",
                });
        }
    }
}
