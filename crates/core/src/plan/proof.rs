//! `verify`: what must work at the end of a move, and at the end of which unit's.

use super::fault::Collector;
use super::shape::{Key, Section, Shape, names, optional};
use super::value::{Record, Value};
use super::{Plan, health, probe};
use crate::code;
use crate::effect::Probe;
use crate::id::Unit;
use serde::Serialize;

/// One of `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Whose moves it counts for; every unit's when it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// What is asked.
    #[serde(flatten)]
    pub probe: Probe,
}

static KEYS: [Key; 6] = {
    let [http, tcp, sql, dns, exec] = probe::EACH;
    let unit = optional(
        "unit",
        Shape::Name,
        "The unit whose moves it counts for. Without it: every unit's. Name it in a plan with several units: each is moved by a \
         run of its own, one is through before another, and a run whose probe asks for what another unit still moves waits \
         for a person although its own move worked.",
    );
    [http, tcp, sql, dns, exec, unit]
};

static SECTION: Section = Section { doc: "Exactly one probe, and whose moves it counts for.", keys: &KEYS };

pub(super) static SHAPE: Shape = Shape::Record(&SECTION);

pub(super) fn build(value: &Value) -> Option<Proof> {
    let record = value.record()?;
    let (kind, asked) = probes(record).next()?;
    Some(Proof { unit: record.text("unit").map(Unit::new), probe: probe::of_kind(kind, asked)? })
}

fn probes(record: &Record) -> impl Iterator<Item = (&'static str, &Value)> {
    probe::EACH.into_iter().filter_map(|key| Some((key.name, record.value(key.name)?)))
}

/// What no table says: of every proof.
pub(super) fn check_all(root: &Record, out: &mut Collector<'_>) {
    for record in root.list("verify").iter().filter_map(Value::record) {
        let given = probe::EACH.iter().filter(|key| record.given(key.name)).count();
        if given != 1 {
            let says = format!("`{}` must have exactly one probe, not {given}", record.at.path);
            out.add(code::PLAN_WRONG_TYPE, &record.at, says)
                .found(format!("{given} probes"))
                .allowed(format!("one of {}", names(&probe::EACH)));
        }
        probes(record).for_each(|(kind, asked)| probe::check_kind(kind, asked, out));
        if record.given("unit") {
            health::known_unit(record, root, out);
        }
    }
}

impl Plan {
    /// What must work at the end of the unit's moves, in order.
    pub fn proofs<'a>(&'a self, unit: &'a Unit) -> impl Iterator<Item = &'a Probe> {
        let counts = move |proof: &&Proof| proof.unit.as_ref().is_none_or(|named| named == unit);
        self.verify.iter().filter(counts).map(|proof| &proof.probe)
    }
}
