//! How changes travel between the copies of a fake world, and how positions of forked histories stand to each other.

use super::model::{Acknowledged, Copy, Instances, Model};
use pilotlight_core::candidate::Waiting;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Role, Sentinel};
use pilotlight_core::outcome::Failure;
use pilotlight_core::position::{Lag, LagQuality, Order, Position};
use std::time::Duration;
use tokio::time::Instant;

impl Instances {
    pub(super) fn ready(&self, now: Instant) -> u32 {
        if now >= self.ready_at { self.desired } else { self.before }
    }
}

impl Model {
    pub(super) fn copies_besides<'a>(
        &'a mut self,
        component: &'a Component,
        region: &'a Region,
    ) -> impl Iterator<Item = (&'a Region, &'a mut Copy)> {
        self.copies.iter_mut().filter(move |((c, r), _)| c == component && r != region).map(|((_, r), copy)| (r, copy))
    }

    pub(super) fn streaming_from<'a>(
        &'a mut self,
        component: &'a Component,
        region: &'a Region,
    ) -> impl Iterator<Item = (&'a Region, &'a mut Copy)> {
        self.copies_besides(component, region).filter(move |(_, copy)| match &copy.role {
            Role::Standby { upstream, streaming: true } => upstream.as_ref().is_none_or(|up| up == region),
            _ => false,
        })
    }

    pub(super) fn stop_streams_from(&mut self, component: &Component, region: &Region) {
        for (_, copy) in self.streaming_from(component, region) {
            if let Role::Standby { streaming, .. } = &mut copy.role {
                *streaming = false;
            }
        }
    }

    /// A write by a client or of a sentinel; returns its number.
    pub(super) fn write(&mut self, component: &Component, region: &Region, client: bool) -> Result<u64, Failure> {
        let copy = self
            .copies
            .get_mut(&(component.clone(), region.clone()))
            .ok_or_else(|| Failure::rejected(format!("there is no copy of {component} in {region}")))?;
        if copy.role != Role::Writer {
            return Err(Failure::rejected(format!("{component} in {region} is {:?} and takes no writes", copy.role)));
        }
        let waits = copy.waits.clone();
        if let (Some(name), false) = (&waits.candidate, waits.gate)
            && client
            && !self.streaming_from(component, region).any(|(r, _)| r.as_str() == name)
        {
            return Err(Failure::transient(format!("{component} in {region} waits for {name}")));
        }
        let place = (component.clone(), region.clone());
        let copy = self.copies.get_mut(&place).expect("it was there a moment ago");
        copy.received += 1;
        copy.applied = copy.received;
        let (number, lineage) = (copy.received, copy.lineage);
        if client {
            let (component, region) = (component.clone(), region.clone());
            self.acknowledged.push(Acknowledged { component, region, lineage, number });
        }
        self.replicate(component);
        Ok(number)
    }

    /// Sends the writer's changes to whoever streams from it.
    pub(super) fn replicate(&mut self, component: &Component) {
        for region in self.writers(component) {
            let source = self.copies[&(component.clone(), region.clone())].clone();
            let unreachable = self.dead.iter().chain(&self.cut).cloned().collect::<Vec<_>>();
            if unreachable.contains(&region) {
                continue;
            }
            for (at, copy) in self.streaming_from(component, &region) {
                if unreachable.contains(at) || copy.lineage != source.lineage {
                    continue;
                }
                copy.received = copy.received.max(source.received.saturating_sub(copy.receive_lag));
                copy.applied = copy.applied.max(copy.received.saturating_sub(copy.replay_lag));
            }
        }
    }

    /// Acknowledged writes that the copy does not hold.
    pub(super) fn missing(&self, component: &Component, region: &Region) -> Vec<Acknowledged> {
        let Some(copy) = self.copies.get(&(component.clone(), region.clone())) else { return Vec::new() };
        let held = super::model::position(copy.lineage, copy.received);
        let is_missing = |a: &&Acknowledged| {
            let order = self.order(&super::model::position(a.lineage, a.number), &held);
            let restored = self.restored.contains(&(a.component.clone(), a.lineage, a.number));
            &a.component == component && !restored && !matches!(order, Order::Before | Order::Equal)
        };
        self.acknowledged.iter().filter(is_missing).cloned().collect()
    }

    pub(super) fn lag(&self, component: &Component, copy: &Copy) -> Option<Lag> {
        let Role::Standby { .. } = copy.role else { return None };
        let source = self.writers(component).first().map(|r| self.copies[&(component.clone(), r.clone())].received);
        Some(Lag {
            received_bytes: source.map(|s| s.saturating_sub(copy.received)),
            replay_bytes: Some(copy.received - copy.applied),
            seconds_ms: None,
            quality: LagQuality::Exact,
            age_ms: Duration::ZERO,
        })
    }

    /// What a writer waits for; a standby is called by its region's name.
    pub(super) fn waiting(&self, component: &Component, region: &Region, copy: &Copy) -> Option<Waiting> {
        if copy.role != Role::Writer {
            return None;
        }
        let follows = |((c, r), copy): (&(Component, Region), &Copy)| match &copy.role {
            Role::Standby { upstream, streaming: true } if c == component => {
                upstream.as_ref().is_none_or(|up| up == region).then(|| r.to_string())
            }
            _ => None,
        };
        let followers = self.copies.iter().filter_map(follows).collect();
        Some(Waiting { waits: copy.waits.clone(), followers, ..Waiting::default() })
    }

    pub(super) fn newest_sentinel(&self, component: &Component, copy: &Copy) -> Option<Sentinel> {
        let shown = copy.position();
        let visible = |(c, lineage, number, _): &&(Component, u64, u64, Sentinel)| {
            let order = self.order(&super::model::position(*lineage, *number), &shown);
            c == component && matches!(order, Order::Before | Order::Equal)
        };
        self.sentinels.iter().filter(visible).map(|(_, _, _, s)| *s).max_by_key(|s| s.number)
    }

    /// How two positions stand: histories are a tree, each lineage forks off its parent at a number.
    pub(super) fn order(&self, first: &Position, second: &Position) -> Order {
        let read = |p: &Position| Some((p.lineage.parse::<u64>().ok()?, p.value.parse::<u64>().ok()?));
        let (Some(first), Some(second)) = (read(first), read(second)) else { return Order::Unknown };
        if !self.contains(second.0, first) && !self.contains(first.0, second) {
            return Order::Diverged;
        }
        match first.1.cmp(&second.1) {
            std::cmp::Ordering::Less => Order::Before,
            std::cmp::Ordering::Equal => Order::Equal,
            std::cmp::Ordering::Greater => Order::After,
        }
    }

    /// Whether the history that ends in `lineage` contains the point.
    fn contains(&self, lineage: u64, point: (u64, u64)) -> bool {
        let (mut at, mut up_to) = (lineage, u64::MAX);
        while at != point.0 {
            let Some((parent, fork)) = self.forks.get(&at) else { return false };
            up_to = up_to.min(*fork);
            at = *parent;
        }
        point.1 <= up_to
    }
}
