//! `components`: the parts of the application, one file per kind.

pub(super) mod aws;
pub(super) mod dns;
pub(super) mod exec;
pub(super) mod literal;
pub(super) mod postgres;
pub(super) mod process;
pub(super) mod webhook;

use super::fault::Collector;
use super::shape::{Key, Kinds, Shape, Variant, follows, optional};
use super::value::Record;
use super::{ComponentPlan, Kind, shares};
use crate::code;
use crate::effect::CommandLine;
use crate::id::{Application, Component, Unit};
use std::collections::BTreeMap;

static SHARED: [Key; 2] = [
    follows(
        "unit",
        Shape::Name,
        "the application's name",
        "What it moves with. Components of one unit move together; most applications have one unit and never write this.",
    ),
    shares::KEY,
];

pub(super) static KINDS: Kinds = Kinds {
    shared: &SHARED,
    variants: &[
        Variant { word: "postgres", section: &postgres::SECTION },
        Variant { word: "process", section: &process::SECTION },
        Variant { word: "dns", section: &dns::SECTION },
        Variant { word: "exec", section: &exec::SECTION },
        Variant { word: "webhook", section: &webhook::SECTION },
        Variant { word: "aurora", section: &aws::aurora::SECTION },
        Variant { word: "rds", section: &aws::rds::SECTION },
        Variant { word: "elasticache", section: &aws::elasticache::SECTION },
        Variant { word: "s3", section: &aws::s3::SECTION },
        Variant { word: "ecs", section: &aws::ecs::SECTION },
        Variant { word: "autoscaling", section: &aws::autoscaling::SECTION },
        Variant { word: "eks", section: &aws::eks::SECTION },
        Variant { word: "route53", section: &aws::route53::SECTION },
        Variant { word: "global-accelerator", section: &aws::accelerator::SECTION },
        Variant { word: "sns", section: &aws::sns::SECTION },
    ],
};

/// The words that `kind` of a component takes.
pub fn component_kinds() -> impl Iterator<Item = &'static str> {
    KINDS.variants.iter().map(|variant| variant.word)
}

/// The keys of a command, for sections that have one.
pub(super) const fn argv() -> Key {
    optional(
        "command",
        Shape::List { of: &Shape::Text, least: 1 },
        "Program and arguments. A program that starts with `./` or `../` is looked for from the plan's folder.",
    )
}

/// See [`argv`].
pub(super) const fn shell() -> Key {
    optional("shell", Shape::Text, "Text for `sh -eu -c`, instead of `command`.")
}

/// See [`argv`].
pub(super) const fn env() -> Key {
    optional("env", Shape::Environment, "Added to the environment. Not a place for secrets.")
}

/// Reads `command` or `shell`, and `env`.
pub(super) fn command(record: &Record, idempotent: bool) -> Option<CommandLine> {
    let argv: Vec<String> = match record.text("shell") {
        Some(text) => ["sh", "-eu", "-c", text].map(str::to_owned).to_vec(),
        None => record.list("command").iter().filter_map(|v| v.text().map(str::to_owned)).collect(),
    };
    let env = record.map("env").iter().filter_map(|(k, v)| Some((k.clone(), v.text()?.to_owned()))).collect();
    (!argv.is_empty()).then_some(CommandLine { argv, env, idempotent })
}

/// Exactly one of `command` and `shell`, and no secret in it.
pub(super) fn check_command(record: &Record, out: &mut Collector<'_>) {
    match (record.given("command"), record.given("shell")) {
        (true, true) => {
            out.add(
                code::PLAN_CONTRADICTION,
                record.at("shell"),
                format!("`{}` has both `command` and `shell`", record.at.path),
            )
            .found("both")
            .allowed("one of `command` and `shell`")
            .hint("Keep one of the two.");
        }
        (false, false) => {
            out.add(
                code::PLAN_KEY_MISSING,
                &record.at,
                format!("`{}` has neither `command` nor `shell`", record.at.path),
            )
            .found("no such key")
            .allowed("`command`, a list, or `shell`, a text");
        }
        _ => {}
    }
    literal::check(record, out);
}

pub(super) fn build(application: &Application, record: &Record) -> Option<ComponentPlan> {
    let kind = match record.kind {
        "postgres" => Kind::Postgres(postgres::build(record)?),
        "process" => Kind::Process(process::build(record)?),
        "dns" => Kind::Dns(dns::build(record)?),
        "exec" => Kind::Exec(exec::build(record)?),
        "webhook" => Kind::Webhook(webhook::build(record)?),
        _ => Kind::Aws(aws::build(record)?),
    };
    let unit = record.text("unit").map_or_else(|| Unit::new(application.as_str()), Unit::new);
    Some(ComponentPlan { unit, writes: shares::writes(record), kind })
}

/// Every component of `components`, if all could be built.
pub(super) fn build_all(application: &Application, root: &Record) -> Option<BTreeMap<Component, ComponentPlan>> {
    root.map("components")
        .iter()
        .map(|(name, value)| Some((Component::new(name), build(application, value.record()?)?)))
        .collect()
}

pub(super) fn check(record: &Record, root: &Record, out: &mut Collector<'_>) {
    match record.kind {
        "postgres" => postgres::check(record, root, out),
        "process" => process::check(record, out),
        "dns" => dns::check(record, out),
        "exec" => check_command(record, out),
        "webhook" => {}
        _ => aws::check(record, root, out),
    }
}
