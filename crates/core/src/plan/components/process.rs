//! `kind: process`: a program that agents keep running.

use super::{argv, check_command, command, env, shell};
use crate::code;
use crate::plan::ProcessPlan;
use crate::plan::fault::Collector;
use crate::plan::probe;
use crate::plan::shape::{Section, Shape, default, optional, required};
use crate::plan::value::Record;

static PROGRAM: Section = Section { doc: "What runs in a region.", keys: &[argv(), shell(), env()] };

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A program that the agents keep running, with more instances where the traffic is.",
    keys: &[
        default("active", Shape::Count { least: 1, most: 10_000 }, "1", "Instances where the traffic is."),
        default(
            "standby",
            Shape::Count { least: 0, most: 10_000 },
            "0",
            "Instances where it is not; at most `active`.",
        ),
        required(
            "regions",
            Shape::PerRegion { of: &Shape::Record(&PROGRAM), every: true },
            "What runs in each region.",
        ),
        optional(
            "ready",
            Shape::PerRegion { of: &probe::SHAPE, every: false },
            "What makes the program ready in a region. Without it: that it runs.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> Option<ProcessPlan> {
    Some(ProcessPlan {
        regions: record.by_region("regions", |value| command(value.record()?, true))?,
        active: record.number32("active")?,
        standby: record.number32("standby")?,
        ready: record.by_region("ready", probe::build)?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    for (_, value) in record.map("regions") {
        if let Some(program) = value.record() {
            check_command(program, out);
        }
    }
    for (_, value) in record.map("ready") {
        probe::check(value, out);
    }
    if let (Some(active), Some(standby)) = (record.number("active"), record.number("standby"))
        && standby > active
    {
        out.add(code::PLAN_CONTRADICTION, record.at("standby"), "more instances stand by than serve the traffic")
            .found(format!("standby {standby}, active {active}"))
            .allowed("at most as many as `active`")
            .hint("Swap the two, or raise `active`: a failover would take instances away.");
    }
}
