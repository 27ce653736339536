//! The shared world: what tests set up, break and ask, and the path of every call through the scripted misbehaviour.

use super::fault::{Misbehaviour, Script};
use super::model::{Acknowledged, Applied, CommandEnd, Copy, Instances, Model, Pending};
use super::violation::Violation;
use crate::Context;
use pilotlight_core::effect::{CommandLine, Descriptor, Effect, Guard, Probe};
use pilotlight_core::id::{EffectKey, Epoch, Region, Unit};
use pilotlight_core::observation::{Capacity, Role, State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Components times regions, shared by every clone.
#[derive(Clone)]
pub struct World(Arc<Shared>);

struct Shared {
    model: Mutex<Model>,
    changed: Notify,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Setting up.
impl World {
    /// An empty world.
    pub fn new() -> Self {
        let model = Model {
            began: Instant::now(),
            copies: BTreeMap::new(),
            forks: BTreeMap::new(),
            sentinels: Vec::new(),
            capacity: BTreeMap::new(),
            shares: BTreeMap::new(),
            epochs: BTreeMap::new(),
            dead: Default::default(),
            cut: Default::default(),
            start_takes: Duration::ZERO,
            remember: true,
            handing_over: Default::default(),
            answers: BTreeMap::new(),
            pending: BTreeMap::new(),
            calls: 0,
            script: Script::default(),
            blind: BTreeMap::new(),
            slow: BTreeMap::new(),
            findings: Vec::new(),
            command_ends: BTreeMap::new(),
            failing_probes: Default::default(),
            journal: Vec::new(),
            acknowledged: Vec::new(),
            commands: Vec::new(),
            notes: Vec::new(),
            violations: Vec::new(),
            kept: BTreeMap::new(),
            restored: Default::default(),
        };
        Self(Arc::new(Shared { model: Mutex::new(model), changed: Notify::new() }))
    }

    /// A database with its writer in the first region and standbys that stream from it in the others.
    #[must_use]
    pub fn with_database(self, component: &str, regions: &[&str]) -> Self {
        for (i, region) in regions.iter().enumerate() {
            let role = match i {
                0 => Role::Writer,
                _ => Role::Standby { upstream: Some(regions[0].into()), streaming: true },
            };
            self.model().copies.insert((component.into(), (*region).into()), Copy::new(role));
        }
        self
    }

    /// A process with so many instances per region.
    #[must_use]
    pub fn with_process(self, component: &str, instances: &[(&str, u32)]) -> Self {
        for (region, n) in instances {
            let running = Instances { desired: *n, before: *n, ready_at: Instant::now() };
            self.model().capacity.insert((component.into(), (*region).into()), running);
        }
        self
    }

    /// A name that leads all traffic to one region.
    #[must_use]
    pub fn with_traffic(self, component: &str, region: &str) -> Self {
        self.model().shares.insert(component.into(), BTreeMap::from([(region.into(), 100)]));
        self
    }

    /// How long instances take until they are ready.
    pub fn start_takes(&self, takes: Duration) {
        self.model().start_takes = takes;
    }

    /// Whether keys are remembered; off for a driver that leaves that to its guard.
    pub fn remember_keys(&self, remember: bool) {
        self.model().remember = remember;
    }

    /// What every preflight finds.
    pub fn findings(&self, findings: Vec<Finding>) {
        self.model().findings = findings;
    }

    /// How the program of that name ends.
    pub fn command_ends(&self, program: &str, exit: i32, text: &str) {
        self.model().command_ends.insert(program.to_owned(), CommandEnd { exit, text: text.to_owned() });
    }

    /// Whether the probe of that URL, address or data source succeeds.
    pub fn probe_works(&self, asked: &str, works: bool) {
        let mut model = self.model();
        if works {
            model.failing_probes.remove(asked);
        } else {
            model.failing_probes.insert(asked.to_owned());
        }
    }

    /// Asks a probe as an observer does, outside of any run.
    pub fn asked(&self, probe: &Probe) -> Result<(), Failure> {
        self.model().verify(probe).map(|_| ())
    }
}

/// What befalls it.
impl World {
    /// Looks at the target fail from now on, or see again.
    pub fn blind(&self, target: &Target, failure: Option<Failure>) {
        let mut model = self.model();
        match failure {
            Some(failure) => drop(model.blind.insert(target.clone(), failure)),
            None => drop(model.blind.remove(target)),
        }
    }

    /// What a look at the target sees comes back so late from now on.
    pub fn looks_take(&self, target: &Target, takes: Duration) {
        self.model().slow.insert(target.clone(), takes);
    }

    /// The region dies: nothing in it runs any more and nothing answers.
    pub fn lose(&self, region: &str) {
        self.change(|model| {
            let region = Region::from(region);
            model.dead.insert(region.clone());
            let components: Vec<_> =
                model.copies.keys().filter(|(_, r)| *r == region).map(|(c, _)| c.clone()).collect();
            for component in components {
                model.stop_streams_from(&component, &region);
                let copy = model.copies.get_mut(&(component, region.clone())).expect("its key was just read");
                copy.role = match copy.role {
                    Role::Writer => Role::Down { clean: false, was_writer: true },
                    Role::Standby { .. } => Role::Down { clean: true, was_writer: false },
                    ref other => other.clone(),
                };
            }
            for ((_, r), instances) in &mut model.capacity {
                if *r == region {
                    *instances = Instances { desired: 0, before: 0, ready_at: Instant::now() };
                }
            }
        });
    }

    /// The region goes on working but nobody reaches it from outside and nothing streams out of it.
    pub fn cut(&self, region: &str) {
        self.change(|model| {
            let region = Region::from(region);
            model.cut.insert(region.clone());
            let components: Vec<_> = model.copies.keys().map(|(c, _)| c.clone()).collect();
            for component in components {
                model.stop_streams_from(&component, &region);
            }
        });
    }

    /// The region answers again, as it was left.
    pub fn heal(&self, region: &str) {
        self.change(|model| {
            model.dead.remove(&Region::from(region));
            model.cut.remove(&Region::from(region));
        });
    }

    /// The copy's server dies; its region goes on.
    pub fn kill(&self, component: &str, region: &str) {
        self.set_role(component, region, |role| match role {
            Role::Writer => Role::Down { clean: false, was_writer: true },
            _ => Role::Down { clean: true, was_writer: false },
        });
        self.change(|model| model.stop_streams_from(&component.into(), &region.into()));
    }

    /// The region's agent lost its lease and fences every copy that might be written, as real agents do by themselves.
    pub fn lapse(&self, region: &str) {
        self.change(|model| {
            for ((_, r), copy) in &mut model.copies {
                if r.as_str() == region && copy.could_acknowledge() {
                    copy.role = Role::Fenced { assurance: pilotlight_core::effect::FenceAssurance::Proven };
                }
            }
        });
    }

    /// Puts a copy into another role, as nothing that Pilotlight does would.
    pub fn set_role(&self, component: &str, region: &str, role: impl FnOnce(&Role) -> Role) {
        self.change(|model| {
            let copy = model.copies.get_mut(&(component.into(), region.into())).expect("the test names a copy it made");
            copy.role = role(&copy.role);
        });
    }

    /// A standby's distance to its source, in changes, from the next change on.
    pub fn set_lag(&self, component: &str, region: &str, receive: u64, replay: u64) {
        self.change(|model| {
            let copy = model.copies.get_mut(&(component.into(), region.into())).expect("the test names a copy it made");
            (copy.receive_lag, copy.replay_lag) = (receive, replay);
            model.replicate(&component.into());
        });
    }

    /// The name leads nobody anywhere: its authority was never told it, or comes up without what it was told.
    pub fn forget_shares(&self, component: &str) {
        self.change(|model| drop(model.shares.remove(&component.into())));
    }

    /// A client writes; its number is the acknowledgement.
    pub fn write(&self, component: &str, region: &str) -> Result<u64, Failure> {
        self.change(|model| model.write(&component.into(), &region.into(), true))
    }
}

/// Asking.
impl World {
    /// Applies so far: the index of the next one for [`World::on_call`].
    pub fn calls(&self) -> usize {
        self.model().calls
    }

    /// Every effect that changed something, in order.
    pub fn journal(&self) -> Vec<Applied> {
        self.model().journal.clone()
    }

    /// Every safety rule that was broken, in order, each once.
    pub fn violations(&self) -> Vec<Violation> {
        self.model().violations.clone()
    }

    /// The copy as it is, whoever may see it.
    pub fn copy(&self, component: &str, region: &str) -> Option<Copy> {
        self.model().copies.get(&(component.into(), region.into())).cloned()
    }

    /// The regions whose copies accept writes.
    pub fn writers(&self, component: &str) -> Vec<Region> {
        self.model().writers(&component.into())
    }

    /// Acknowledged writes that the copy does not hold.
    pub fn missing(&self, component: &str, region: &str) -> Vec<Acknowledged> {
        self.model().missing(&component.into(), &region.into())
    }

    /// Numbers of lost writes that were applied again out of a rescue bundle.
    pub fn restored(&self, component: &str) -> Vec<u64> {
        let model = self.model();
        model.restored.iter().filter(|(c, ..)| c.as_str() == component).map(|(_, _, number)| *number).collect()
    }

    /// The shares published for the component.
    pub fn shares(&self, component: &str) -> BTreeMap<Region, u32> {
        self.model().shares.get(&component.into()).cloned().unwrap_or_default()
    }

    /// Every command that ran, with its key.
    pub fn commands(&self) -> Vec<(CommandLine, EffectKey)> {
        self.model().commands.clone()
    }

    /// Every message sent.
    pub fn notes(&self) -> Vec<String> {
        self.model().notes.clone()
    }

    /// The newest epoch any effect of the unit carried.
    pub fn epoch(&self, unit: &Unit) -> Option<Epoch> {
        self.model().epochs.get(unit).copied()
    }

    /// Returns after the next change.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

/// The path of a call.
impl World {
    pub(super) fn observe(&self, target: &Target) -> Result<State, Failure> {
        let model = self.model();
        model.reachable(target.region.as_ref())?;
        if let Some(failure) = model.blind.get(target) {
            return Err(failure.clone());
        }
        let mut state = State { shares: model.shares.get(&target.component).cloned(), ..State::default() };
        let Some(region) = &target.region else { return Ok(state) };
        let place = (target.component.clone(), region.clone());
        if let Some(copy) = model.copies.get(&place) {
            state.role = Some(copy.role.clone());
            state.position = Some(copy.position());
            state.lag = model.lag(&target.component, copy);
            state.sentinel = model.newest_sentinel(&target.component, copy);
            state.waiting = model.waiting(&target.component, region, copy);
            let follows = matches!(copy.role, Role::Standby { .. });
            state.follows_as = follows.then(|| region.to_string());
        }
        let now = Instant::now();
        state.capacity = model.capacity.get(&place).map(|i| Capacity { desired: i.desired, ready: i.ready(now) });
        Ok(state)
    }

    pub(super) fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let model = self.model();
        model.reachable(effect.region())?;
        Ok(model.findings.clone())
    }

    pub(super) fn tell(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        let model = self.model();
        model.reachable(target.region.as_ref())?;
        model.tell(&target.component, question)
    }

    pub(super) fn compare(&self, first: &Position, second: &Position) -> Order {
        self.model().order(first, second)
    }

    pub(super) async fn apply(
        &self,
        descriptor: &Descriptor,
        effect: &Effect,
        context: &Context,
    ) -> Result<Outcome, Failure> {
        let misbehaviours = {
            let mut model = self.model();
            let call = model.calls;
            model.calls += 1;
            model.script.take(call, effect)
        };
        let mut lose_reply = false;
        let mut delay_reply = Duration::ZERO;
        for misbehaviour in misbehaviours {
            match misbehaviour {
                Misbehaviour::Fail(kind) => return Err(Failure::new(kind, format!("scripted failure of {effect:?}"))),
                Misbehaviour::Hang => std::future::pending().await,
                Misbehaviour::Delay(d) => wait_before(d, context).await?,
                Misbehaviour::Accept { polls } => return self.accept(descriptor, effect, context, polls, None),
                Misbehaviour::AcceptAndRefuse => {
                    self.perform_once(descriptor, effect, context)?;
                    let end = Failure::rejected(format!("scripted refusal of {effect:?}"));
                    return self.accept(descriptor, effect, context, 0, Some(Err(end)));
                }
                Misbehaviour::LoseReply => lose_reply = true,
                Misbehaviour::DelayReply(d) => delay_reply = d,
                Misbehaviour::HangAfter => delay_reply = Duration::MAX,
            }
        }
        let answer = self.perform_once(descriptor, effect, context);
        if delay_reply > context.deadline && delay_reply < Duration::MAX {
            tokio::time::sleep(context.deadline).await;
            lose_reply = true;
        } else if delay_reply == Duration::MAX {
            std::future::pending::<()>().await;
        } else if !delay_reply.is_zero() {
            tokio::time::sleep(delay_reply).await;
        }
        if lose_reply {
            return Err(Failure::unknown(format!("the reply to {} was lost", context.key)));
        }
        answer
    }

    fn accept(
        &self,
        descriptor: &Descriptor,
        effect: &Effect,
        context: &Context,
        polls: u32,
        end: Option<Result<Outcome, Failure>>,
    ) -> Result<Outcome, Failure> {
        let mut model = self.model();
        model.reachable(effect.region())?;
        refuse_old_epoch(&mut model, descriptor, context)?;
        let handle = format!("work-{}", context.key);
        let work = Pending { effect: effect.clone(), polls, end };
        model.pending.entry(handle.clone()).or_insert(work);
        Ok(Outcome::Accepted { handle })
    }

    pub(super) fn resume(&self, descriptor: &Descriptor, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let effect = {
            let mut model = self.model();
            refuse_old_epoch(&mut model, descriptor, context)?;
            let Some(work) = model.pending.get_mut(handle) else {
                return Err(Failure::unsupported(format!("no such handle: {handle}")));
            };
            if let Some(end) = &work.end {
                return end.clone();
            }
            if work.polls > 0 {
                work.polls -= 1;
                return Ok(Outcome::Accepted { handle: handle.to_owned() });
            }
            work.effect.clone()
        };
        let end = self.perform_once(descriptor, &effect, context);
        if let Some(work) = self.model().pending.get_mut(handle) {
            work.end = Some(end.clone());
        }
        end
    }

    fn perform_once(&self, descriptor: &Descriptor, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.change(|model| {
            model.reachable(effect.region())?;
            refuse_old_epoch(model, descriptor, context)?;
            if let Some(answer) = model.answers.get(&context.key) {
                return answer.clone();
            }
            model.check_effect(effect, context);
            let answer = model.perform(descriptor, effect, context);
            let newest = model.epochs.entry(context.unit.clone()).or_default();
            *newest = context.epoch.max(*newest);
            if matches!(answer, Ok(Outcome::Done { .. } | Outcome::Warned { .. })) {
                let (effect, key, unit) = (effect.clone(), context.key.clone(), context.unit.clone());
                let at = Instant::now() - model.began;
                model.journal.push(Applied { effect, key, unit, epoch: context.epoch, at });
                model.check_journal(&context.key);
            }
            let lasting = answer.as_ref().err().is_none_or(|f| f.kind == FailureKind::Rejected);
            if model.remember && lasting {
                model.answers.insert(context.key.clone(), answer.clone());
            }
            answer
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.model();
        let answer = change(&mut model);
        model.check_writers();
        drop(model);
        self.0.changed.notify_waiters();
        answer
    }

    pub(super) fn model(&self) -> MutexGuard<'_, Model> {
        self.0.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse_old_epoch(model: &mut Model, descriptor: &Descriptor, context: &Context) -> Result<(), Failure> {
    let newest = model.epochs.get(&context.unit).copied().unwrap_or_default();
    if descriptor.guard != Guard::CallerChecked && context.epoch < newest {
        return Err(Failure::stale(&context.unit, context.epoch, newest));
    }
    Ok(())
}

async fn wait_before(d: Duration, context: &Context) -> Result<(), Failure> {
    tokio::select! {
        () = tokio::time::sleep(d.min(context.deadline)) => {}
        () = context.cancel.cancelled() => return Err(Failure::transient("nobody waited any more before it began")),
    }
    if d > context.deadline {
        return Err(Failure::transient(format!("did not begin within {:?}", context.deadline)));
    }
    Ok(())
}
