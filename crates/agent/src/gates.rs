//! The gates of the region's writers: opened with each renewal of a lease, closed by themselves.
//!
//! Invariant: a gate is told the end of the lease and nothing later.

use pilotlight_core::effect::{Capability, Descriptor};
use pilotlight_core::id::{Component, Unit};
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
    /// Sorts them by unit.
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

    /// The lease of the unit is over.
    pub(crate) fn close(&self, unit: &Unit) {
        self.of.get(unit).into_iter().flatten().for_each(|(_, gate)| gate.close());
    }

    /// The copy of the component is a standby.
    pub(crate) fn rest(&self, component: &Component) {
        self.of.values().flatten().filter(|(of, _)| of == component).for_each(|(_, gate)| gate.rest());
    }

    /// A writer of this component acknowledges, once the lease is over, only what its candidate has. Else it must be
    /// fenced then.
    pub(crate) fn end_writes(&self, component: &Component) -> bool {
        self.end_writes.contains(component)
    }
}
