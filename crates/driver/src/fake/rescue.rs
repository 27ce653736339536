//! Rescue bundles of a fake world: which acknowledged writes a copy holds that the writer does not.

use super::model::{Model, position};
use crate::Context;
use pilotlight_core::id::{BundleId, Component, Region};
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::position::Order;
use pilotlight_core::rescue::{Answer, Bundle, Class, Listed, Question, Rows, Shown};
use pilotlight_core::time::Wall;
use std::collections::BTreeMap;

/// A bundle and the writes it holds, by history and number.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    about: Bundle,
    writes: Vec<(u64, u64)>,
    looked_at: bool,
    applied: bool,
}

impl Model {
    /// Keeps what is acknowledged, in the copy's history and not in the upstream's.
    pub(super) fn capture(
        &mut self,
        component: &Component,
        region: &Region,
        upstream: &Region,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let copy = self.copy(component, region)?.clone();
        if copy.role == Role::Writer {
            return Err(Failure::rejected(format!("{component} in {region} accepts writes; fence it first")));
        }
        let held = position(copy.lineage, copy.received);
        let lost = self
            .missing(component, upstream)
            .into_iter()
            .filter(|a| matches!(self.order(&position(a.lineage, a.number), &held), Order::Before | Order::Equal));
        let writes: Vec<(u64, u64)> = lost.map(|a| (a.lineage, a.number)).collect();
        let Some((_, first)) = writes.first().copied() else {
            return Ok(Outcome::Skipped { why: format!("{component} in {region} holds nothing of its own") });
        };
        let fork = position(copy.lineage, first - 1);
        let bundle = BundleId::new(format!("{component}-{region}-{}-{}", copy.lineage, copy.received));
        if self.kept.contains_key(&bundle) {
            return Ok(Outcome::Skipped { why: format!("{bundle} holds it already") });
        }
        let count = writes.len() as u64;
        let about = Bundle {
            bundle: bundle.clone(),
            component: component.clone(),
            region: region.clone(),
            upstream: upstream.clone(),
            unit: context.unit.clone(),
            epoch: context.epoch,
            captured: Wall(0),
            fork,
            end: held,
            missing: None,
            commits: count,
            first: None,
            last: None,
            touched: Vec::new(),
            rows: Rows::Kept { changes: count, transactions: count },
            horizon: None,
            notes: Vec::new(),
            sealed: false,
        };
        let output = Output { rescue: Some(Box::new(about.clone())), ..Output::default() };
        self.kept.insert(bundle, Kept { about, writes, looked_at: false, applied: false });
        Ok(Outcome::Done { output })
    }

    fn kept(&mut self, bundle: &BundleId) -> Result<&mut Kept, Failure> {
        self.kept.get_mut(bundle).ok_or_else(|| Failure::rejected(format!("there is no bundle {bundle}")))
    }

    pub(super) fn classify(&mut self, bundle: &BundleId) -> Result<Outcome, Failure> {
        self.kept(bundle)?.looked_at = true;
        Ok(Outcome::done())
    }

    pub(super) fn apply_bundle(
        &mut self,
        component: &Component,
        bundle: &BundleId,
        upstream: &Region,
    ) -> Result<Outcome, Failure> {
        if self.copy(component, upstream)?.role != Role::Writer {
            return Err(Failure::rejected(format!("{component} in {upstream} is not the writer")));
        }
        let kept = self.kept(bundle)?;
        if kept.applied {
            return Ok(Outcome::Skipped { why: format!("all of {bundle} is applied already") });
        }
        (kept.applied, kept.looked_at) = (true, true);
        let writes = kept.writes.clone();
        self.restored.extend(writes.into_iter().map(|(lineage, number)| (component.clone(), lineage, number)));
        Ok(Outcome::done())
    }

    pub(super) fn tell(&self, component: &Component, question: &Question) -> Result<Answer, Failure> {
        let listed = |kept: &Kept| {
            let count = kept.writes.len() as u64;
            let class = if kept.applied { Class::Identical } else { Class::Absent };
            Listed {
                about: kept.about.clone(),
                folder: String::new(),
                waiver: None,
                classes: if kept.looked_at { BTreeMap::from([(class, count)]) } else { BTreeMap::new() },
                applied: if kept.applied { count } else { 0 },
            }
        };
        let own = self.kept.values().filter(|k| &k.about.component == component);
        match question {
            Question::List => Ok(Answer::Bundles { bundles: own.map(listed).collect(), damaged: Vec::new() }),
            Question::Show { bundle, .. } => {
                let kept = self.kept.get(bundle);
                let kept = kept.ok_or_else(|| Failure::rejected(format!("there is no bundle {bundle}")))?;
                let shown = Shown { listed: listed(kept), lost: Vec::new(), changes: Vec::new(), next: None };
                Ok(Answer::Bundle(Box::new(shown)))
            }
        }
    }
}
