//! The state of a fake world and what each effect does to it. Synchronous; [`super::World`] holds the lock.

use super::fault::Script;
use super::rescue::Kept;
use super::violation::Violation;
use crate::Context;
use pilotlight_core::candidate::Waits;
use pilotlight_core::effect::{CommandLine, Descriptor, Effect, FenceAssurance, HandOver, Probe, Watch};
use pilotlight_core::health::{Answer, Tally};
use pilotlight_core::id::{BundleId, Component, EffectKey, Epoch, Region, Unit};
use pilotlight_core::observation::{Role, Sentinel, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Output};
use pilotlight_core::position::{Order, Position};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// A copy of replicated data in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// What it is.
    pub role: Role,
    /// Which history it follows: 1 at first, a new number with each promotion.
    pub lineage: u64,
    /// Changes it holds.
    pub received: u64,
    /// Changes it shows; never more than it holds.
    pub applied: u64,
    /// A standby's distance to its source in receiving.
    pub receive_lag: u64,
    /// A standby's distance in showing what it has received.
    pub replay_lag: u64,
    /// A writer: what it waits for.
    pub waits: Waits,
}

impl Copy {
    pub(super) fn new(role: Role) -> Self {
        Self { role, lineage: 1, received: 0, applied: 0, receive_lag: 0, replay_lag: 0, waits: Waits::default() }
    }

    /// It accepts writes, or something of it is left that might.
    pub(super) fn could_acknowledge(&self) -> bool {
        matches!(self.role, Role::Writer | Role::Unresponsive)
    }

    /// Where it stands.
    pub fn position(&self) -> Position {
        position(self.lineage, self.applied)
    }
}

pub(super) fn position(lineage: u64, number: u64) -> Position {
    Position { lineage: lineage.to_string(), value: number.to_string(), unit: "count".to_owned() }
}

/// A write a client was told is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The component written to.
    pub component: Component,
    /// The region that acknowledged it.
    pub region: Region,
    /// In which history.
    pub lineage: u64,
    /// Its number there.
    pub number: u64,
}

/// An effect that changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The effect.
    pub effect: Effect,
    /// Under which key.
    pub key: EffectKey,
    /// For which unit.
    pub unit: Unit,
    /// With which epoch.
    pub epoch: Epoch,
    /// Since the world began, on tokio's clock.
    pub at: Duration,
}

/// How a scripted command ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandEnd {
    /// Its exit code.
    pub exit: i32,
    /// What it prints.
    pub text: String,
}

pub(super) struct Instances {
    pub(super) desired: u32,
    pub(super) before: u32,
    pub(super) ready_at: Instant,
}

pub(super) struct Pending {
    pub(super) effect: Effect,
    pub(super) polls: u32,
    pub(super) end: Option<Result<Outcome, Failure>>,
}

pub(super) struct Model {
    pub(super) began: Instant,
    pub(super) copies: BTreeMap<(Component, Region), Copy>,
    pub(super) forks: BTreeMap<u64, (u64, u64)>,
    pub(super) sentinels: Vec<(Component, u64, u64, Sentinel)>,
    pub(super) capacity: BTreeMap<(Component, Region), Instances>,
    pub(super) shares: BTreeMap<Component, BTreeMap<Region, u32>>,
    pub(super) epochs: BTreeMap<Unit, Epoch>,
    pub(super) dead: BTreeSet<Region>,
    pub(super) cut: BTreeSet<Region>,
    pub(super) start_takes: Duration,
    pub(super) remember: bool,
    pub(super) handing_over: BTreeSet<Component>,
    pub(super) answers: BTreeMap<EffectKey, Result<Outcome, Failure>>,
    pub(super) pending: BTreeMap<String, Pending>,
    pub(super) calls: usize,
    pub(super) script: Script,
    pub(super) blind: BTreeMap<Target, Failure>,
    pub(super) slow: BTreeMap<Target, Duration>,
    pub(super) findings: Vec<Finding>,
    pub(super) command_ends: BTreeMap<String, CommandEnd>,
    pub(super) failing_probes: BTreeSet<String>,
    pub(super) journal: Vec<Applied>,
    pub(super) acknowledged: Vec<Acknowledged>,
    pub(super) commands: Vec<(CommandLine, EffectKey)>,
    pub(super) notes: Vec<String>,
    pub(super) violations: Vec<Violation>,
    /// Rescue bundles, and the writes that were applied again out of them.
    pub(super) kept: BTreeMap<BundleId, Kept>,
    pub(super) restored: BTreeSet<(Component, u64, u64)>,
}

impl Model {
    pub(super) fn reachable(&self, region: Option<&Region>) -> Result<(), Failure> {
        match region {
            Some(r) if self.dead.contains(r) || self.cut.contains(r) => {
                Err(Failure::unreachable(format!("region {r} does not answer")))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn writers(&self, component: &Component) -> Vec<Region> {
        let of = |((c, r), copy): (&(Component, Region), &Copy)| {
            (c == component && copy.role == Role::Writer).then(|| r.clone())
        };
        self.copies.iter().filter_map(of).collect()
    }

    pub(super) fn copy(&mut self, component: &Component, region: &Region) -> Result<&mut Copy, Failure> {
        self.copies
            .get_mut(&(component.clone(), region.clone()))
            .ok_or_else(|| Failure::rejected(format!("there is no copy of {component} in {region}")))
    }

    /// Does it. `Skipped` and every failure mean that nothing changed.
    pub(super) fn perform(
        &mut self,
        descriptor: &Descriptor,
        effect: &Effect,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        match effect {
            Effect::AwaitLapse { .. } | Effect::Grant { .. } | Effect::Shift { .. } | Effect::Soak { .. } => {
                Err(Failure::unsupported("the engine does this itself"))
            }
            Effect::Fence { component, region } => self.fence(component, region, descriptor.fence_assurance),
            Effect::Checkpoint { component, region } => {
                self.copy(component, region)?;
                Ok(Outcome::done())
            }
            Effect::StopWrites { component, region } => self.stop(component, region),
            Effect::ResumeWrites { component, region } => self.resume_writes(component, region),
            Effect::AwaitPosition { component, region, position } => self.await_position(component, region, position),
            Effect::Promote { component, region } => self.promote(component, region),
            Effect::Switch { component, from, to, allow_loss, .. } => self.switch(component, from, to, *allow_loss),
            Effect::Rejoin { component, region, upstream } => {
                // As every driver must: what only this copy holds is kept before it is forgotten.
                if self.reachable(Some(upstream)).is_ok() {
                    let _ = self.capture(component, region, upstream, context);
                }
                self.rejoin(component, region, upstream)
            }
            Effect::CaptureRescue { component, region, upstream, .. } => {
                self.capture(component, region, upstream, context)
            }
            Effect::ClassifyRescue { bundle, .. } => self.classify(bundle),
            Effect::ApplyRescue { component, upstream, bundle, .. } => self.apply_bundle(component, bundle, upstream),
            Effect::KeepRescue { component, region } => self.copy(component, region).map(|_| Outcome::done()),
            Effect::WriteSentinel { component, region, sentinel } => self.sentinel(component, region, *sentinel),
            Effect::WaitFor { component, region, waits } => self.wait_for(component, region, waits),
            Effect::SetCapacity { component, region, instances } => self.set_capacity(component, region, *instances),
            Effect::Route { component, shares } => self.route(component, shares),
            Effect::Command { command, .. } => self.command(command, context),
            Effect::Verify { probe, .. } => self.verify(probe),
            Effect::Watch { watch } => self.watch(watch),
            Effect::Notify { message, .. } => {
                self.notes.push(message.clone());
                Ok(Outcome::done())
            }
        }
    }

    fn fence(&mut self, component: &Component, region: &Region, best: FenceAssurance) -> Result<Outcome, Failure> {
        let copy = self.copy(component, region)?;
        if matches!(copy.role, Role::Fenced { .. }) {
            return Ok(Outcome::Skipped { why: format!("{component} in {region} is fenced already") });
        }
        copy.role = Role::Fenced { assurance: best };
        let output = Output { assurance: Some(best), position: Some(copy.position()), ..Output::default() };
        self.stop_streams_from(component, region);
        Ok(Outcome::Done { output })
    }

    fn stop(&mut self, component: &Component, region: &Region) -> Result<Outcome, Failure> {
        let copy = self.copy(component, region)?;
        let handed = Output { position: Some(copy.position()), ..Output::default() };
        match copy.role {
            // The position is needed again by whoever asks again, so this is never answered `Skipped`.
            Role::Fenced { .. } => return Ok(Outcome::Done { output: handed }),
            Role::Writer => copy.role = Role::Fenced { assurance: FenceAssurance::Proven },
            ref other => {
                return Err(Failure::rejected(format!("{component} in {region} is {other:?}, not the writer")));
            }
        }
        let (lineage, number) = (copy.lineage, copy.received);
        for (_, standby) in self.streaming_from(component, region) {
            // An orderly stop sends everything before it ends; showing it may take longer.
            (standby.lineage, standby.received) = (lineage, number);
        }
        self.stop_streams_from(component, region);
        self.handing_over.insert(component.clone());
        Ok(Outcome::Done { output: handed })
    }

    fn resume_writes(&mut self, component: &Component, region: &Region) -> Result<Outcome, Failure> {
        let copy = self.copy(component, region)?;
        match copy.role {
            Role::Writer => Ok(Outcome::Skipped { why: format!("{component} in {region} accepts writes already") }),
            Role::Fenced { .. } | Role::Down { was_writer: true, .. } => {
                copy.role = Role::Writer;
                let lineage = copy.lineage;
                self.handing_over.remove(component);
                for (_, standby) in self.copies_besides(component, region) {
                    if let Role::Standby { upstream: Some(up), streaming } = &mut standby.role
                        && up == region
                        && standby.lineage == lineage
                    {
                        *streaming = true;
                    }
                }
                self.replicate(component);
                Ok(Outcome::done())
            }
            ref other => Err(Failure::rejected(format!("{component} in {region} is {other:?} and was not stopped"))),
        }
    }

    fn await_position(&mut self, component: &Component, region: &Region, to: &HandOver) -> Result<Outcome, Failure> {
        let HandOver::At(wanted) = to else {
            return Err(Failure::rejected(format!("the position to wait for in {region} was never filled in")));
        };
        let copy = self.copy(component, region)?.clone();
        match self.order(&copy.position(), wanted) {
            Order::Equal | Order::After => {
                return Ok(Outcome::Skipped { why: format!("{component} in {region} is there already") });
            }
            Order::Before => {}
            Order::Diverged | Order::Unknown => {
                return Err(Failure::rejected(format!("{component} in {region} is not on the way to {wanted}")));
            }
        }
        let held = position(copy.lineage, copy.received);
        if self.order(&held, wanted) == Order::Before {
            return Err(Failure::transient(format!("{component} in {region} holds {held} and waits for {wanted}")));
        }
        let copy = self.copy(component, region)?;
        copy.replay_lag = 0;
        copy.applied = copy.received;
        let output = Output { position: Some(copy.position()), ..Output::default() };
        Ok(Outcome::Done { output })
    }

    fn promote(&mut self, component: &Component, region: &Region) -> Result<Outcome, Failure> {
        let copy = self.copy(component, region)?;
        match copy.role {
            Role::Writer => {
                return Ok(Outcome::Skipped { why: format!("{component} in {region} is the writer already") });
            }
            // One that died is started first.
            Role::Standby { .. } | Role::Fenced { .. } | Role::Down { was_writer: false, .. } => {}
            ref other => return Err(Failure::rejected(format!("{component} in {region} is {other:?}, not a standby"))),
        }
        let (parent, at) = (copy.lineage, copy.received);
        let lineage = self.forks.keys().next_back().map_or(2, |last| last + 1);
        self.forks.insert(lineage, (parent, at));
        let copy = self.copy(component, region)?;
        *copy = Copy {
            role: Role::Writer,
            lineage,
            received: at,
            applied: at,
            receive_lag: 0,
            replay_lag: 0,
            waits: Waits::default(),
        };
        let output = Output { position: Some(copy.position()), ..Output::default() };
        self.stop_streams_from(component, region);
        let lost = self.missing(component, region).len() as u64;
        if self.handing_over.remove(component) && lost > 0 {
            self.violate(Violation::LostByHandOver { component: component.clone(), numbers: lost });
        }
        Ok(Outcome::Done { output })
    }

    fn switch(
        &mut self,
        component: &Component,
        from: &Region,
        to: &Region,
        allow_loss: bool,
    ) -> Result<Outcome, Failure> {
        if self.copy(component, to)?.role == Role::Writer {
            return Ok(Outcome::Skipped { why: format!("{component} in {to} is the writer already") });
        }
        let source_answers = self.reachable(Some(from)).is_ok();
        if !source_answers && !allow_loss {
            return Err(Failure::rejected(format!("{component} in {from} does not answer and nothing may be lost")));
        }
        if source_answers {
            self.stop(component, from)?;
            let copy = self.copy(component, to)?;
            copy.applied = copy.received;
        } else {
            self.copy(component, from)?.role = Role::Fenced { assurance: FenceAssurance::ProviderAttested };
        }
        let promoted = self.promote(component, to)?;
        if source_answers {
            self.follow(component, from, to)?;
        }
        Ok(promoted)
    }

    fn rejoin(&mut self, component: &Component, region: &Region, upstream: &Region) -> Result<Outcome, Failure> {
        if self.reachable(Some(upstream)).is_err() || self.copy(component, upstream)?.role != Role::Writer {
            return Err(Failure::transient(format!("{component} in {upstream} is not a writer to follow")));
        }
        let source = self.copy(component, upstream)?.lineage;
        let copy = self.copy(component, region)?;
        match &copy.role {
            Role::Writer => {
                return Err(Failure::rejected(format!(
                    "{component} in {region} is the writer; stop or fence it first"
                )));
            }
            Role::Standby { upstream: Some(up), streaming: true } if up == upstream && copy.lineage == source => {
                return Ok(Outcome::Skipped { why: format!("{component} in {region} follows {upstream} already") });
            }
            _ => {}
        }
        self.follow(component, region, upstream)?;
        Ok(Outcome::done())
    }

    fn follow(&mut self, component: &Component, region: &Region, upstream: &Region) -> Result<(), Failure> {
        let source = self.copy(component, upstream)?.clone();
        let copy = self.copy(component, region)?;
        copy.role = Role::Standby { upstream: Some(upstream.clone()), streaming: true };
        (copy.lineage, copy.received, copy.applied) = (source.lineage, source.received, source.applied);
        Ok(())
    }

    fn sentinel(&mut self, component: &Component, region: &Region, sentinel: Sentinel) -> Result<Outcome, Failure> {
        let number = self.write(component, region, false)?;
        let lineage = self.copy(component, region)?.lineage;
        self.sentinels.push((component.clone(), lineage, number, sentinel));
        Ok(Outcome::done())
    }

    fn wait_for(&mut self, component: &Component, region: &Region, waits: &Waits) -> Result<Outcome, Failure> {
        let streams: Vec<String> = self.streaming_from(component, region).map(|(r, _)| r.to_string()).collect();
        let copy = self.copy(component, region)?;
        if copy.role != Role::Writer {
            return Err(Failure::rejected(format!(
                "{component} in {region} is {:?} and acknowledges nothing",
                copy.role
            )));
        }
        if let Some(name) = waits.candidate.as_ref().filter(|name| !streams.contains(name)) {
            return Err(Failure::transient(format!("{name} does not stream from {region}")));
        }
        if copy.waits == *waits {
            return Ok(Outcome::Skipped { why: format!("{component} in {region} waits for {waits} already") });
        }
        copy.waits = waits.clone();
        Ok(Outcome::done())
    }

    fn set_capacity(&mut self, component: &Component, region: &Region, instances: u32) -> Result<Outcome, Failure> {
        let now = Instant::now();
        let takes = self.start_takes;
        let Some(had) = self.capacity.get_mut(&(component.clone(), region.clone())) else {
            return Err(Failure::rejected(format!("there is no {component} in {region}")));
        };
        if had.desired == instances {
            return Ok(Outcome::Skipped { why: format!("{component} in {region} has {instances} instances already") });
        }
        let ready = had.ready(now);
        *had = Instances { desired: instances, before: ready.min(instances), ready_at: now + takes };
        Ok(Outcome::done())
    }

    fn route(&mut self, component: &Component, shares: &BTreeMap<Region, u32>) -> Result<Outcome, Failure> {
        if shares.values().sum::<u32>() == 0 {
            self.violate(Violation::EmptyShares { component: component.clone() });
            return Err(Failure::rejected(format!("{component} would lead nobody anywhere")));
        }
        let known = |region: &Region| self.copies.is_empty() || self.copies.keys().any(|(_, r)| r == region);
        if let Some(strange) = shares.keys().find(|region| !known(region)) {
            return Err(Failure::rejected(format!("{component} has no answer for {strange}")));
        }
        let published = self.shares.entry(component.clone()).or_default();
        if published == shares {
            return Ok(Outcome::Skipped { why: format!("{component} has these shares already") });
        }
        published.clone_from(shares);
        Ok(Outcome::done())
    }

    fn command(&mut self, command: &CommandLine, context: &Context) -> Result<Outcome, Failure> {
        self.commands.push((command.clone(), context.key.clone()));
        let name = command.argv.first().cloned().unwrap_or_default();
        let end = self.command_ends.get(&name).cloned();
        match end.unwrap_or_else(|| CommandEnd { exit: 0, text: command.argv.join(" ") }) {
            CommandEnd { exit: 0, text } => Ok(Outcome::done_with(text)),
            CommandEnd { exit, text } => {
                Err(Failure::rejected(format!("{name} ended with exit code {exit}")).output(text))
            }
        }
    }

    /// Time stands still here: every round gives the answers of this moment.
    fn watch(&self, watch: &Watch) -> Result<Outcome, Failure> {
        let mut tally = Tally::default();
        for watched in &watch.probes {
            let result = self.verify(&watched.probe).map(|_| "answered".to_owned()).map_err(|f| f.message);
            tally.count(&watched.name, &Answer { result, took: std::time::Duration::ZERO }, watched.latency_ms);
        }
        tally.end(watch.max_errors).map(Outcome::done_with).map_err(Failure::rejected)
    }

    pub(super) fn verify(&self, probe: &Probe) -> Result<Outcome, Failure> {
        let mut probe = probe.clone();
        if let Some(asked) = probe.places().into_iter().find(|place| self.failing_probes.contains(*place)) {
            return Err(Failure::transient(format!("{asked} does not work")));
        }
        Ok(Outcome::done())
    }
}
