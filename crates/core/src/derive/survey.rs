//! What a derivation starts from, looked through once: which components take part, what their copies are, and whether
//! the move can be made at all.

use super::refusal::CHECK_KIND;
use super::{Consent, Derivation, Refusal};
use crate::derive::Intent;
use crate::effect::{Capability, Descriptor, Pace};
use crate::id::{Component, Region};
use crate::observation::{Role, State, Target};
use crate::placement::{Mode, Verb};
use crate::plan::facet::Instances;
use crate::plan::{ComponentPlan, ExecPlan, Hook, Shares, taking};
use std::collections::BTreeSet;

/// The components of the unit by what they can do.
pub(super) struct Survey<'a> {
    pub(super) d: &'a Derivation<'a>,
    /// Replicated data.
    pub(super) data: Vec<Data<'a>>,
    /// What runs in instances, with the regions it can run in.
    pub(super) rooms: Vec<(&'a Component, Vec<&'a Region>, Instances)>,
    /// What leads traffic.
    pub(super) roads: Vec<&'a Component>,
    /// The user's commands.
    pub(super) hooks: Vec<(&'a Component, &'a ExecPlan)>,
    /// What tells people.
    pub(super) messengers: Vec<&'a Component>,
}

/// A component of replicated data.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    pub(super) name: &'a Component,
    pub(super) descriptor: &'a Descriptor,
}

impl<'a> Survey<'a> {
    pub(super) fn take(d: &'a Derivation<'a>) -> Result<Self, Refusal> {
        let mut survey = Self { d, data: vec![], rooms: vec![], roads: vec![], hooks: vec![], messengers: vec![] };
        survey.check_regions()?;
        for (name, component) in d.plan.in_unit(&d.intent.unit) {
            survey.sort_in(name, component)?;
        }
        if survey.data.is_empty() {
            return Err(Refusal::NothingToMove { unit: d.intent.unit.clone() });
        }
        match (d.intent.verb, d.intent.mode) {
            (Verb::Rejoin | Verb::Rescue, _) => {}
            _ if survey.is_in_place() => survey.check_in_place()?,
            _ if survey.stays() => survey.check_stay()?,
            (_, mode) => {
                survey.check_target(mode)?;
                if mode == Mode::Graceful {
                    survey.check_source()?;
                }
            }
        }
        survey.check_returning()?;
        Ok(survey)
    }

    /// A region gets its share back when its copies follow: its users may read there.
    fn check_returning(&self) -> Result<(), Refusal> {
        if self.d.intent.verb != Verb::Failback || self.d.plan.shares.is_none() {
            return Ok(());
        }
        let has =
            |region: &Region| self.roads.iter().filter_map(|road| self.published(road)?.get(region).copied()).min();
        let others = self.d.intent.target.traffic.iter().filter(|(r, _)| *r != self.to() && *r != self.from());
        for (region, _) in others.filter(|(region, share)| has(region).unwrap_or_default() < **share) {
            let follows = |role: &Role| matches!(role, Role::Standby { streaming: true, .. });
            let copies = |d: &&Data<'_>| self.d.plan.components[d.name].has_copy(region);
            if let Some(data) = self.data.iter().filter(copies).find(|d| !follows(self.role(d.name, region))) {
                return Err(Refusal::ReturnsStale { component: data.name.clone(), region: region.clone() });
            }
        }
        Ok(())
    }

    /// Where the writer is to be.
    pub(super) fn to(&self) -> &'a Region {
        &self.d.intent.target.writer
    }

    /// Where it is, or was.
    pub(super) fn from(&self) -> &'a Region {
        self.d.writer
    }

    /// The writer is there already.
    pub(super) fn stays(&self) -> bool {
        self.to() == self.from()
    }

    /// A failover that finds the writer where it is to be, given up and fenced by its agent: it is taken up again there.
    pub(super) fn is_in_place(&self) -> bool {
        let without_source = self.d.intent.mode == Mode::Ungraceful && self.stays();
        without_source && self.data.iter().any(|data| self.is_given_up(data))
    }

    /// The copy in the target is fenced, and its agent can start it as what it was.
    pub(super) fn is_given_up(&self, data: &Data<'_>) -> bool {
        let by_agent = data.descriptor.needs_agent && data.descriptor.can(Capability::Fence);
        by_agent && matches!(self.role(data.name, self.to()), Role::Fenced { .. })
    }

    /// Regions that are to get traffic.
    pub(super) fn lit(&self) -> impl Iterator<Item = &'a Region> {
        self.d.intent.target.traffic.iter().filter(|(_, share)| **share > 0).map(|(region, _)| region)
    }

    pub(super) fn answers(&self, region: &Region) -> bool {
        self.d.reachable.contains(region)
    }

    /// Effects on the component's copy in the region can arrive: an API is always called from outside the region.
    pub(super) fn can_reach(&self, descriptor: &Descriptor, region: &Region) -> bool {
        !descriptor.needs_agent || self.answers(region)
    }

    /// The newest look at the copy.
    fn seen(&self, component: &Component, region: &Region) -> Option<&'a State> {
        self.d.seen.get(&Target { component: component.clone(), region: Some(region.clone()) })
    }

    pub(super) fn role(&self, component: &Component, region: &Region) -> &'a Role {
        self.seen(component, region).and_then(|s| s.role.as_ref()).unwrap_or(&Role::Unknown)
    }

    /// Something was where the copy is to be, and nothing is there any more.
    pub(super) fn is_gone(&self, component: &Component, region: &Region) -> bool {
        self.seen(component, region).is_some_and(State::is_gone)
    }

    /// What the copy is, as the end of a sentence, with the reason where it could not be seen.
    pub(super) fn says(&self, component: &Component, region: &Region) -> String {
        let role = self.role(component, region);
        match self.seen(component, region) {
            Some(state) if matches!(role, Role::Unknown | Role::Unresponsive) => state.because(role.says()),
            _ => role.says(),
        }
    }

    /// The new writer holds what the guarantee promises: the old one waited for it, or the guarantee asks for no such thing.
    pub(super) fn is_admitted(&self) -> bool {
        !self.d.plan.waits_for_candidate(&self.d.intent.unit) || self.d.candidate == Some(self.to())
    }

    /// Regions of the component's copies other than source and target.
    pub(super) fn bystanders(&self, component: &Component) -> Vec<&'a Region> {
        let copies = self.d.plan.components.get(component).map(ComponentPlan::copies).unwrap_or_default();
        copies.into_iter().filter(|r| *r != self.to() && *r != self.from()).collect()
    }

    pub(super) fn hooks(&self, when: Hook) -> impl Iterator<Item = (&'a Component, &'a ExecPlan)> {
        self.hooks.iter().copied().filter(move |(_, hook)| hook.when == when)
    }

    pub(super) fn descriptor(&self, component: &Component) -> Result<&'a Descriptor, Refusal> {
        let found = self.d.descriptors.get(component);
        found.ok_or_else(|| Refusal::NoDriver { component: component.clone() })
    }

    /// How long its effects take.
    pub(super) fn pace(&self, component: &Component) -> Pace {
        self.d.descriptors.get(component).map(|d| d.pace).unwrap_or_default()
    }

    fn sort_in(&mut self, name: &'a Component, component: &'a ComponentPlan) -> Result<(), Refusal> {
        let descriptor = self.descriptor(name)?;
        let needs = |capability: Capability| match descriptor.can(capability) {
            true => Ok(()),
            false => Err(Refusal::Incapable { component: name.clone(), capability, hint: CHECK_KIND }),
        };
        if component.is_replicated() {
            needs(Capability::Replicated)?;
            self.data.push(Data { name, descriptor });
        }
        if let Some((regions, instances)) = component.capacity() {
            needs(Capability::Capacity)?;
            self.rooms.push((name, regions, instances));
        }
        if !component.routes().is_empty() {
            needs(Capability::Traffic)?;
            self.roads.push(name);
        }
        if let Some(hook) = component.hook() {
            needs(Capability::Command)?;
            self.hooks.push((name, hook));
        }
        if descriptor.can(Capability::Message) {
            self.messengers.push(name);
        }
        Ok(())
    }

    fn check_regions(&self) -> Result<(), Refusal> {
        let known: BTreeSet<&Region> = self.d.plan.regions.iter().collect();
        let named = self.d.intent.target.traffic.keys().chain([self.to(), self.from()]);
        if let Some(region) = named.into_iter().find(|r| !known.contains(r)) {
            let known: Vec<&str> = self.d.plan.regions.iter().map(Region::as_str).collect();
            return Err(Refusal::UnknownRegion { region: region.clone(), known: known.join(", ") });
        }
        if self.lit().next().is_none() {
            return Err(Refusal::NoTraffic);
        }
        Ok(())
    }

    /// The writer is where it is to be, so only traffic can be what is wanted: where it is led to is seen, and it is
    /// elsewhere.
    fn check_stay(&self) -> Result<(), Refusal> {
        let lit: BTreeSet<&Region> = self.lit().collect();
        let differs = |road: &&Component| match &self.d.plan.shares {
            Some(_) => self.published(road).is_some_and(|led| taking(led) != taking(&self.d.intent.target.traffic)),
            None => self.shares(road).is_some_and(|led| led != lit),
        };
        if !self.roads.iter().any(differs) {
            let Intent { unit, verb, .. } = &self.d.intent;
            return Err(Refusal::AlreadyThere { unit: unit.clone(), region: self.to().clone(), verb: *verb });
        }
        self.check_writer(self.to())?;
        self.check_lit()
    }

    /// Nobody else writes, and no copy that is seen is a writer's with a newer history: the store that names this region may be an
    /// old copy.
    fn check_in_place(&self) -> Result<(), Refusal> {
        for data in &self.data {
            let (component, to) = (data.name.clone(), self.to());
            if !self.can_reach(data.descriptor, to) {
                return Err(Refusal::TargetSilent { region: to.clone() });
            }
            let role = self.role(data.name, to);
            if *role != Role::Writer && !self.is_given_up(data) {
                let says = self.says(data.name, to);
                return Err(Refusal::SourceNotWriter { component, region: to.clone(), says });
            }
            let writes = |r: &&Region| *self.role(data.name, r) == Role::Writer;
            if let Some(region) = self.bystanders(data.name).into_iter().find(writes) {
                return Err(Refusal::AnotherWriter { component, region: region.clone() });
            }
            let newer = |r: &&Region| self.may_be_newer(data.name, r);
            if let Some(other) = self.bystanders(data.name).into_iter().find(newer) {
                return Err(Refusal::MayBeNewer { component, region: to.clone(), other: other.clone() });
            }
        }
        self.check_lit()
    }

    /// The copy is seen as a writer's, or as what nobody can tell, and not on an earlier timeline than the target's.
    fn may_be_newer(&self, component: &Component, region: &Region) -> bool {
        let Some(other) = self.seen(component, region) else { return false };
        if other.role.as_ref().and_then(Role::is_a_writers) == Some(false) {
            return false;
        }
        let own = self.seen(component, self.to()).and_then(State::timeline);
        own.zip(other.timeline()).is_none_or(|(own, other)| other >= own)
    }

    /// What is published there, as far as it was seen.
    fn published(&self, road: &Component) -> Option<&'a Shares> {
        self.d.seen.get(&Target { component: road.clone(), region: None })?.shares.as_ref()
    }

    /// A road is seen to lead users to the region.
    pub(super) fn takes_users(&self, region: &Region) -> bool {
        self.roads.iter().any(|road| self.shares(road).is_some_and(|led| led.contains(region)))
    }

    /// The regions a road leads users to now; `None` when it is not seen or nothing was published.
    pub(super) fn shares(&self, road: &Component) -> Option<BTreeSet<&'a Region>> {
        let shares = self.published(road)?;
        Some(shares.iter().filter(|(_, share)| **share > 0).map(|(region, _)| region).collect())
    }

    fn check_writer(&self, region: &Region) -> Result<(), Refusal> {
        for data in &self.data {
            let role = self.role(data.name, region);
            if *role != Role::Writer {
                let says = self.says(data.name, region);
                return Err(Refusal::SourceNotWriter { component: data.name.clone(), region: region.clone(), says });
            }
        }
        Ok(())
    }

    fn check_target(&self, mode: Mode) -> Result<(), Refusal> {
        let to = self.to();
        for data in &self.data {
            let component = data.name.clone();
            if !self.d.plan.components[data.name].has_copy(to) {
                return Err(Refusal::NoPlace { component, region: to.clone() });
            }
            if !self.can_reach(data.descriptor, to) {
                return Err(Refusal::TargetSilent { region: to.clone() });
            }
            match self.role(data.name, to) {
                Role::Standby { streaming: false, .. } if mode == Mode::Graceful => {
                    return Err(Refusal::TargetNotStreaming { component, region: to.clone() });
                }
                Role::Standby { .. } => {}
                Role::Down { was_writer: false, .. } if mode == Mode::Ungraceful && self.is_started_by_hand(data) => {}
                Role::Writer if mode == Mode::Ungraceful && self.was_moved_by_hand(data) => {}
                role => {
                    let (region, says) = (to.clone(), self.says(data.name, to));
                    return Err(match role {
                        Role::Unknown => Refusal::TargetUnseen { component, region, says },
                        _ => Refusal::TargetNotStandby { component, region, says },
                    });
                }
            }
        }
        self.check_lit()
    }

    /// A standby that lies still although the store names its region, as when a failover to there was cut short: nobody starts it
    /// but its promotion, and that for a person alone.
    fn is_started_by_hand(&self, data: &Data<'_>) -> bool {
        let has_data = self.seen(data.name, self.to()).is_some_and(|state| !state.has_no_data());
        has_data && data.descriptor.needs_agent && self.d.consent == Consent::Given
    }

    /// The copy in the target writes already, by nobody's doing of ours: a person may enter it as the writer where the source
    /// is seen to be none, or is silent as in any failover. An agent's copy writes by its lease and by nothing else.
    pub(super) fn was_moved_by_hand(&self, data: &Data<'_>) -> bool {
        let (name, descriptor) = (data.name, data.descriptor);
        let direct = descriptor.can(Capability::Fence) && !descriptor.atomic_switch;
        let quiet = match self.role(name, self.from()) {
            _ if !self.answers(self.from()) => true,
            Role::Standby { .. } | Role::Fenced { .. } | Role::Down { was_writer: false, .. } => true,
            // It would write when it is started: only a fence keeps it from that.
            Role::Down { was_writer: true, .. } => direct,
            Role::Writer | Role::Unresponsive | Role::Unknown => false,
        };
        let writes = *self.role(name, self.to()) == Role::Writer;
        writes && quiet && !self.stays() && !descriptor.needs_agent && self.d.consent == Consent::Given
    }

    /// Where traffic is to go, everything it needs has a place.
    fn check_lit(&self) -> Result<(), Refusal> {
        for region in self.lit() {
            let rooms = self.rooms.iter().map(|(name, regions, _)| (*name, regions.contains(&region)));
            let roads = self.roads.iter().map(|name| (*name, self.d.plan.components[*name].routes().contains(&region)));
            for (component, has_place) in rooms.chain(roads) {
                if !has_place {
                    return Err(Refusal::NoPlace { component: component.clone(), region: region.clone() });
                }
            }
            for (component, _, _) in &self.rooms {
                if !self.can_reach(self.descriptor(component)?, region) {
                    return Err(Refusal::TargetSilent { region: region.clone() });
                }
            }
        }
        Ok(())
    }

    fn check_source(&self) -> Result<(), Refusal> {
        let from = self.from();
        // What is called from outside needs the source too: a provider hands over only from a region that answers.
        if !self.answers(from) {
            return Err(Refusal::SourceSilent { region: from.clone() });
        }
        self.check_writer(from)?;
        for data in &self.data {
            let writes = |r: &&Region| *self.role(data.name, r) == Role::Writer;
            if let Some(region) = self.bystanders(data.name).into_iter().find(writes) {
                return Err(Refusal::AnotherWriter { component: data.name.clone(), region: region.clone() });
            }
        }
        let silent = |hook: &ExecPlan| hook.region.clone().filter(|r| !self.answers(r));
        match self.hooks.iter().find_map(|(name, hook)| Some((*name, silent(hook)?))) {
            Some((component, region)) => Err(Refusal::HookSilent { component: component.clone(), region }),
            None => Ok(()),
        }
    }
}
