//! The safety rules as the fake sees them broken. A test ends with `assert_eq!(world.violations(), [])`.

use super::model::Model;
use crate::Context;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, EffectKey, Epoch, Region, Unit};

/// A safety rule that was broken, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two copies accepted writes at the same time.
    TwoWriters { component: Component, regions: Vec<Region> },
    /// A copy was made the writer while another one could still acknowledge.
    PromotedBeforeFence { component: Component, promoted: Region, could_write: Region },
    /// An effect was done again under the same key.
    KeyAppliedTwice { key: EffectKey },
    /// An opaque command ran again for the same step; nobody can know whether that was harmless.
    CommandRanAgain { key: EffectKey, before: EffectKey },
    /// An effect changed something although a newer epoch had been seen.
    StaleEpochApplied { unit: Unit, epoch: Epoch, newest: Epoch, key: EffectKey },
    /// Somebody asked to publish shares that lead nobody anywhere.
    EmptyShares { component: Component },
    /// Acknowledged writes are missing from the new writer although the move was to lose nothing.
    LostByHandOver { component: Component, numbers: u64 },
}

impl Model {
    /// Looked at after every change.
    pub(super) fn check_writers(&mut self) {
        let components: std::collections::BTreeSet<_> = self.copies.keys().map(|(c, _)| c.clone()).collect();
        for component in components {
            let regions = self.writers(&component);
            if regions.len() > 1 {
                self.violate(Violation::TwoWriters { component, regions });
            }
        }
    }

    /// Looked at before an effect is done.
    pub(super) fn check_effect(&mut self, effect: &Effect, context: &Context) {
        if let Some(newest) = self.epochs.get(&context.unit).filter(|newest| **newest > context.epoch) {
            let (unit, epoch, newest, key) = (context.unit.clone(), context.epoch, *newest, context.key.clone());
            self.violate(Violation::StaleEpochApplied { unit, epoch, newest, key });
        }
        if let Effect::Command { command, .. } = effect {
            let step = |key: &EffectKey| key.as_str().rsplit_once('/').map(|(step, _)| step.to_owned());
            let before = self.commands.iter().find(|(_, key)| step(key) == step(&context.key)).map(|(_, k)| k.clone());
            if let Some(before) = before.filter(|_| !command.idempotent) {
                self.violate(Violation::CommandRanAgain { key: context.key.clone(), before });
            }
        }
        if let Effect::Promote { component, region } = effect {
            let could_write = self
                .copies
                .iter()
                .find(|((c, r), copy)| c == component && r != region && copy.could_acknowledge())
                .map(|((_, r), _)| r.clone());
            if let Some(could_write) = could_write {
                let (component, promoted) = (component.clone(), region.clone());
                self.violate(Violation::PromotedBeforeFence { component, promoted, could_write });
            }
        }
    }

    /// Looked at after an effect was done.
    pub(super) fn check_journal(&mut self, key: &EffectKey) {
        if self.journal.iter().filter(|a| &a.key == key).count() > 1 {
            self.violate(Violation::KeyAppliedTwice { key: key.clone() });
        }
    }

    /// Keeps it once.
    pub(super) fn violate(&mut self, violation: Violation) {
        if !self.violations.contains(&violation) {
            self.violations.push(violation);
        }
    }
}
