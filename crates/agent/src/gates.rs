//! The gates of the region's writers: opened with each renewal of a lease, closed by themselves.
//!
//! Invariant: a gate is told the end of the lease and nothing later.

use pilotlight_core::effect::{Capability, Descriptor};
use pilotlight_core::id::{Component, Unit};
use pilotlight_core::outcome::Finding;
use pilotlight_core::plan::Plan;
use pilotlight_core::time::Mono;
use pilotlight_driver::gate::Gate;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The gates of one unit, each with the component it belongs to.
type OfUnit = Vec<(Component, Arc<dyn Gate>)>;

/// See the module.
pub(crate) struct Gates {
    of: BTreeMap<Unit, OfUnit>,
    end_writes: BTreeSet<Component>,
}

impl Gates {
    /// Sorts them by unit, and says what each does not cover.
    pub(crate) fn new(
        plan: &Plan,
        gates: BTreeMap<Component, Vec<Arc<dyn Gate>>>,
        descriptors: &BTreeMap<Component, Descriptor>,
    ) -> Self {
        let waits = |c: &Component| plan.components.get(c).is_some_and(|p| plan.waits_for_candidate(&p.unit));
        let can = descriptors.iter().filter(|(c, d)| d.can(Capability::Confirmed) && waits(c));
        let end_writes = can.map(|(c, _)| c.clone()).collect();
        let mut of: BTreeMap<Unit, OfUnit> = BTreeMap::new();
        for (component, gates) in gates {
            for gate in &gates {
                for open in gate.bypasses() {
                    tracing::info!(gate = gate.name(), "does not cover {open}");
                }
            }
            if let Some(planned) = plan.components.get(&component) {
                let named = gates.into_iter().map(|gate| (component.clone(), gate));
                of.entry(planned.unit.clone()).or_default().extend(named);
            }
        }
        Self { of, end_writes }
    }

    /// The lease of the unit is valid until then.
    pub(crate) fn allow(&self, unit: &Unit, until: Mono) {
        self.of.get(unit).into_iter().flatten().for_each(|(_, gate)| gate.allow(until));
    }

    /// The lease of the component's unit is over.
    pub(crate) fn close(&self, component: &Component) {
        let gates = self.of.values().flatten().filter(|(of, _)| of == component);
        gates.for_each(|(_, gate)| gate.close());
    }

    /// The copy of the component is a standby. Where its region holds the lease it may be the writer at any moment, so what
    /// was opened for it stays; it stands open for readers, too.
    pub(crate) fn rest(&self, component: &Component, holds_lease: impl Fn(&Unit) -> bool) {
        let without = self.of.iter().filter(|(unit, _)| !holds_lease(unit)).flat_map(|(_, gates)| gates);
        without.filter(|(of, _)| of == component).for_each(|(_, gate)| gate.rest());
    }

    /// What keeps the component's gates from doing what they were told.
    pub(crate) fn troubles(&self, component: &Component) -> impl Iterator<Item = Finding> {
        let gates = self.of.values().flatten().filter(move |(of, _)| of == component);
        gates.filter_map(|(_, gate)| gate.trouble())
    }

    /// A writer of this component acknowledges, once the lease is over, only what its candidate has. Else it must be
    /// fenced then.
    pub(crate) fn end_writes(&self, component: &Component) -> bool {
        self.end_writes.contains(component)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::outcome::Severity;
    use std::sync::Mutex;

    /// What it was told, in order.
    #[derive(Default)]
    struct Told(Mutex<Vec<&'static str>>);

    impl Gate for Told {
        fn name(&self) -> &str {
            "told"
        }

        fn allow(&self, _: Mono) {
            self.0.lock().unwrap().push("allow");
        }

        fn close(&self) {
            self.0.lock().unwrap().push("close");
        }

        fn rest(&self) {
            self.0.lock().unwrap().push("rest");
        }

        fn trouble(&self) -> Option<Finding> {
            let (code, severity) = ("PL-0336".to_owned(), Severity::Warning);
            Some(Finding { code, severity, message: "it does not".to_owned(), hint: "mend it".to_owned() })
        }

        fn bypasses(&self) -> Vec<String> {
            Vec::new()
        }
    }

    #[test]
    fn what_was_opened_for_a_copy_that_is_about_to_be_promoted_is_not_taken_away() {
        let (told, unit, component) = (Arc::new(Told::default()), Unit::from("shop"), Component::from("database"));
        let of = [(unit.clone(), vec![(component.clone(), told.clone() as Arc<dyn Gate>)])].into();
        let gates = Gates { of, end_writes: BTreeSet::new() };
        gates.rest(&component, |_| false);
        gates.allow(&unit, Mono::default());
        gates.rest(&component, |_| true);
        gates.rest(&Component::from("other"), |_| false);
        assert_eq!(*told.0.lock().unwrap(), ["rest", "allow"]);
        gates.rest(&component, |_| false);
        assert_eq!(*told.0.lock().unwrap(), ["rest", "allow", "rest"]);
        let troubles = |of: &str| gates.troubles(&Component::from(of)).map(|found| found.code).collect::<Vec<_>>();
        assert_eq!((troubles("database"), troubles("other")), (vec!["PL-0336".to_owned()], Vec::new()));
    }
}
