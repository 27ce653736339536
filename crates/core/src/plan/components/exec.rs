//! `kind: exec`: a command of the user's, at a fixed place of every derived runbook.

use super::{argv, command, env, shell};
use crate::plan::shape::{Section, Shape, Word, at_least_ms, default, optional, required, word};
use crate::plan::value::Record;
use crate::plan::{ExecPlan, Hook};

static HOOKS: [Word; 3] = [
    word("before-move", "Before anything else."),
    word("before-route", "When the new writer writes, before traffic is led there."),
    word("after-move", "When everything is verified."),
];

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A command of your own in every move.",
    keys: &[
        required("when", Shape::Choice(&HOOKS), "When it runs."),
        optional("region", Shape::Region, "The region whose agent runs it. Without it: the controller."),
        argv(),
        shell(),
        env(),
        default(
            "idempotent",
            Shape::Flag,
            "false",
            "It may run twice without harm. Else a crash in the middle leaves its outcome unknown, for a person.",
        ),
        default("deadline", at_least_ms(1), "30s", "The time it may take."),
    ],
};

pub(super) fn build(record: &Record) -> Option<ExecPlan> {
    Some(ExecPlan {
        when: match record.word("when")? {
            "before-move" => Hook::BeforeMove,
            "before-route" => Hook::BeforeRoute,
            _ => Hook::AfterMove,
        },
        region: record.region("region"),
        command: command(record, record.flag("idempotent")?)?,
        deadline: record.duration("deadline")?,
    })
}
