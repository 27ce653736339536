//! `failback`: how the service is taken home: how long the copy there must have kept up, and by which shares traffic follows.

use super::fault::Collector;
use super::shape::{Section, Shape, TIME, Word, at_least_ms, default, follows, word};
use super::value::{Datum, Record};
use crate::code;
use crate::time::show_duration;
use serde::Serialize;
use std::time::Duration;

/// How the service is taken home.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailbackPlan {
    /// What moves first.
    pub order: ShiftOrder,
    /// Per cent of the traffic that home gets, growing to 100.
    pub shares: Vec<u32>,
    /// How long each share is watched.
    pub watch: Duration,
    /// How often each probe is asked meanwhile.
    pub every: Duration,
    /// Per cent of bad answers that are borne.
    pub max_errors: u32,
    /// A person approves the first step that users may notice.
    pub approval: bool,
    /// How long the copy at home must have kept up.
    pub soak: Duration,
    /// What counts as keeping up.
    pub max_lag_bytes: u64,
}

/// What moves first in a failback by shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShiftOrder {
    /// The writer, then traffic.
    WriterFirst,
    /// Traffic, then the writer.
    TrafficFirst,
}

static ORDERS: [Word; 2] = [
    word(
        "writer-first",
        "The writer moves, then traffic follows by shares. Until it has, instances in the other region write across.",
    ),
    word(
        "traffic-first",
        "Traffic moves by shares, then the writer. Until it has, instances at home write across; the move can be undone as \
         a whole until the writer is promoted.",
    ),
];

static SHARE: Shape = Shape::Count { least: 1, most: 100 };

pub(super) static SECTION: Section = Section {
    doc: "How `pilotlight failback` takes the service home. Without this section: at once, as every other planned move. \
          With shares, instances of both regions serve at a time while one region has the writer, so each must be able to \
          write to the other one.",
    keys: &[
        default("order", Shape::Choice(&ORDERS), "writer-first", "Which of the two moves first."),
        follows(
            "shares",
            Shape::List { of: &SHARE, least: 1 },
            "`[100]`: all at once",
            "Per cent of the traffic that home gets, one step after the other; the last is 100.",
        ),
        default("watch", at_least_ms(1), "1m", "How long each share is watched before the next."),
        default("every", at_least_ms(10), "1s", "How often each probe is asked meanwhile."),
        default(
            "max_errors",
            Shape::Count { least: 0, most: 99 },
            "1",
            "Per cent of bad answers that are borne. With more, traffic goes back to the share before, and the run waits \
             for a person. Asked are the health checks of home and of the service as a whole; without any, `verify`.",
        ),
        default(
            "approval",
            Shape::Flag,
            "false",
            "Waits for `pilotlight run approve` once everything is prepared, before the first step that users may notice: the \
             low-traffic hour is yours to choose. An automatic failover does not wait for that.",
        ),
        default(
            "soak",
            TIME,
            "0s",
            "How long the copy at home must have kept up, without a break, before anything stops.",
        ),
        default(
            "max_lag",
            Shape::Size,
            "16MiB",
            "What counts as keeping up: no more than this to receive or to replay.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> Option<FailbackPlan> {
    let share = |v: &super::value::Value| match v.datum {
        Datum::Number(n) => n.try_into().ok(),
        _ => None,
    };
    let shares: Vec<u32> = record.list("shares").iter().filter_map(share).collect();
    Some(FailbackPlan {
        order: match record.word("order")? {
            "traffic-first" => ShiftOrder::TrafficFirst,
            _ => ShiftOrder::WriterFirst,
        },
        shares: if shares.is_empty() { vec![100] } else { shares },
        watch: record.duration("watch")?,
        every: record.duration("every")?,
        max_errors: record.number32("max_errors")?,
        approval: record.flag("approval")?,
        soak: record.duration("soak")?,
        max_lag_bytes: record.number("max_lag")?,
    })
}

pub(super) fn check(record: &Record, root: &Record, out: &mut Collector<'_>) {
    let Some(plan) = build(record) else { return };
    let grow = plan.shares.windows(2).all(|pair| pair[0] < pair[1]);
    if record.given("shares") && !(grow && plan.shares.last() == Some(&100)) {
        out.add(code::PLAN_SHARES, record.at("shares"), "the shares of a failback must lead home")
            .found(format!("{:?}", plan.shares))
            .allowed("growing numbers, the last of them 100, such as `[10, 50, 100]`");
    }
    if plan.watch < plan.every {
        out.add(
            code::PLAN_SHARES,
            record.at("every"),
            "a share is watched for less time than lies between two questions",
        )
        .found(format!("watch {}, every {}", show_duration(plan.watch), show_duration(plan.every)))
        .allowed("`every` no longer than `watch`");
    }
    if plan.shares.len() > 1 && root.map("health").is_empty() && root.list("verify").is_empty() {
        out.add(code::PLAN_SHARES, record.at("shares"), "nothing says whether a share of the traffic is served well")
            .found("neither `health` nor `verify`")
            .allowed("at least one health check, or one probe in `verify`")
            .hint("A share that nobody watches is no step, only a delay.");
    }
}
