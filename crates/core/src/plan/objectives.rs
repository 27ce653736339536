//! `objectives`: what is promised, and whether the promises fit each other.

use super::Objectives;
use super::fault::Collector;
use super::shape::{Section, TIME, at_least_ms, optional, required};
use super::value::Record;
use crate::code;
use crate::time::show_duration;

pub(super) static SECTION: Section = Section {
    doc: "What is promised. Runs and drills are measured against it.",
    keys: &[
        required("rto", at_least_ms(1), "Recovery time objective: from the first failed to the first good request."),
        required("rpo", TIME, "Recovery point objective: the time whose acknowledged changes may be lost."),
        optional(
            "mtpd",
            at_least_ms(1),
            "Maximum tolerable period of disruption: the business bears no longer one. At least `rto` and `wrt` together.",
        ),
        optional(
            "wrt",
            TIME,
            "Work recovery time: what people need after the first good request to be back to normal.",
        ),
        optional("mttr", TIME, "Mean time to repair that the team counts on."),
    ],
};

pub(super) fn build(record: &Record) -> Option<Objectives> {
    Some(Objectives {
        rto: record.duration("rto")?,
        rpo: record.duration("rpo")?,
        mtpd: record.duration("mtpd"),
        wrt: record.duration("wrt"),
        mttr: record.duration("mttr"),
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let (Some(mtpd), Some(rto)) = (record.duration("mtpd"), record.duration("rto")) else { return };
    let needed = rto + record.duration("wrt").unwrap_or_default();
    if mtpd < needed {
        out.add(
            code::PLAN_CONTRADICTION,
            record.at("mtpd"),
            "`objectives.mtpd` is shorter than `rto` and `wrt` together",
        )
        .found(show_duration(mtpd))
        .allowed(format!("at least {}", show_duration(needed)))
        .hint("Make `rto` or `wrt` shorter, or say that the business can bear more.");
    }
}
