//! What the agent knows now: the newest look at each copy and the newest word of the controller.
//!
//! Border: no input or output, no waiting; a short lock around plain data, and the signals that wake the tasks.
//!
//! Invariant: a look that overlaps an effect on the same copy says nothing about what the copy may do afterwards: it is
//! shown to people, but no decision is made from it. Each effect therefore raises the copy's generation twice.

use pilotlight_core::candidate::Wish;
use pilotlight_core::effect::Descriptor;
use pilotlight_core::id::{Component, Epoch, Region, Unit};
use pilotlight_core::observation::{Newest, Role, State, Target};
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{Seen, UnitView};
use pilotlight_core::shared::Shared;
use pilotlight_core::time::Mono;
use pilotlight_driver::level::Level;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// See the module.
pub(crate) struct Picture {
    inner: Mutex<Inner>,
    /// Fires when a heartbeat should go out now.
    pub(crate) beat: Arc<Notify>,
    /// Counts answered heartbeats.
    pub(crate) heard: Level,
    /// Counts looks at copies of replicated data.
    pub(crate) looks: Level,
    signals: BTreeMap<Target, Signals>,
}

/// What wakes the tasks of one copy.
#[derive(Default)]
pub(crate) struct Signals {
    /// Look now.
    pub(crate) look: Notify,
    /// Decide now.
    pub(crate) decide: Notify,
}

#[derive(Default)]
struct Inner {
    units: BTreeMap<Unit, Shared<UnitView>>,
    epochs: BTreeMap<Unit, Epoch>,
    asked: bool,
    sentinels: BTreeMap<Component, Newest>,
    wishes: BTreeMap<Unit, Wish>,
    copies: BTreeMap<Target, Copy>,
}

struct Copy {
    unit: Unit,
    replicated: bool,
    look: Option<(Shared<State>, Mono)>,
    look_generation: u64,
    generation: u64,
    effects_running: u32,
    may_write: bool,
    was_writer: bool,
    seen_alive: bool,
    restarts: Vec<Mono>,
    standby_start: Option<Mono>,
}

/// What a decision on one copy is made from. Only given while no effect runs and the look is newer than the last one.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    /// The copy's generation: whether something was done to it since.
    pub(crate) generation: u64,
    pub(crate) unit: Unit,
    pub(crate) view: Option<Shared<UnitView>>,
    pub(crate) asked: bool,
    pub(crate) state: Shared<State>,
    pub(crate) was_writer: bool,
    pub(crate) may_write: bool,
    pub(crate) seen_alive: bool,
    pub(crate) restarts: Vec<Mono>,
    pub(crate) standby_start: Option<Mono>,
}

/// An effect is under way on a copy; ends when dropped.
pub(crate) struct Running<'a> {
    picture: &'a Picture,
    target: Target,
    /// The copy's generation with this effect counted: one more than a decision's look if nothing came in between.
    pub(crate) generation: u64,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.picture.ended(&self.target);
    }
}

impl Picture {
    /// The region's copies, nothing seen yet.
    pub(crate) fn new(plan: &Plan, region: &Region, descriptors: &BTreeMap<Component, Descriptor>) -> Self {
        let mut copies = BTreeMap::new();
        for (name, component) in &plan.components {
            let replicated = component.has_copy(region);
            let runs = component.capacity().is_some_and(|(regions, _)| regions.contains(&region));
            if !(replicated || runs) || !descriptors.contains_key(name) {
                continue;
            }
            let target = Target { component: name.clone(), region: Some(region.clone()) };
            copies.insert(target, Copy::new(component.unit.clone(), replicated));
        }
        let signals = copies.keys().map(|t| (t.clone(), Signals::default())).collect();
        Self {
            inner: Mutex::new(Inner { copies, ..Inner::default() }),
            beat: Arc::default(),
            heard: Level::default(),
            looks: Level::default(),
            signals,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every copy of the region.
    pub(crate) fn targets(&self) -> Vec<Target> {
        self.signals.keys().cloned().collect()
    }

    /// Every unit with a copy here.
    pub(crate) fn units(&self) -> BTreeSet<Unit> {
        self.lock().copies.values().filter(|c| c.replicated).map(|c| c.unit.clone()).collect()
    }

    /// What the next heartbeat asks of the store for a unit, until something else is noted.
    pub(crate) fn note_wish(&self, unit: &Unit, wish: Option<&Wish>) {
        let mut inner = self.lock();
        let before = match wish {
            Some(wish) => inner.wishes.insert(unit.clone(), wish.clone()),
            None => inner.wishes.remove(unit),
        };
        drop(inner);
        if wish.is_some() && wish != before.as_ref() {
            self.beat.notify_one();
        }
    }

    /// What is asked of the store now.
    pub(crate) fn wishes(&self) -> Vec<Wish> {
        self.lock().wishes.values().cloned().collect()
    }

    /// Whether the copy has a role.
    pub(crate) fn is_replicated(&self, target: &Target) -> bool {
        self.lock().copies.get(target).is_some_and(|c| c.replicated)
    }

    /// The replicated copies of a unit.
    pub(crate) fn replicated_of(&self, unit: &Unit) -> Vec<Target> {
        self.lock().copies.iter().filter(|(_, c)| c.replicated && &c.unit == unit).map(|(t, _)| t.clone()).collect()
    }

    /// What wakes the tasks of a copy.
    pub(crate) fn signals(&self, target: &Target) -> &Signals {
        self.signals.get(target).expect("tasks are only made for the copies of the picture")
    }

    /// The controller has answered.
    pub(crate) fn heard(&self, views: Vec<UnitView>) {
        let mut inner = self.lock();
        // The same answer again changes no decision; that the lease is renewed is seen with the next look.
        let mut news = !std::mem::replace(&mut inner.asked, true);
        for view in views {
            raise(&mut inner.epochs, &view.unit, view.epoch);
            if inner.units.get(&view.unit).is_none_or(|known| **known != view) {
                news = true;
                inner.units.insert(view.unit.clone(), view.into());
            }
        }
        drop(inner);
        self.heard.step();
        if news {
            self.wake_deciders();
        }
    }

    /// The controller was asked and did not answer.
    pub(crate) fn not_answered(&self) {
        let first = !std::mem::replace(&mut self.lock().asked, true);
        if first {
            self.wake_deciders();
        }
    }

    fn wake_deciders(&self) {
        self.signals.values().for_each(|s| s.decide.notify_one());
    }

    /// The unit as the store had it in the newest answer.
    pub(crate) fn view(&self, unit: &Unit) -> Option<Shared<UnitView>> {
        self.lock().units.get(unit).cloned()
    }

    /// The newest epoch of the unit that was heard, asked for with a task or seen on a copy.
    pub(crate) fn epoch(&self, unit: &Unit) -> Epoch {
        self.lock().epochs.get(unit).copied().unwrap_or_default()
    }

    /// An epoch was met.
    pub(crate) fn raise(&self, unit: &Unit, epoch: Epoch) {
        raise(&mut self.lock().epochs, unit, epoch);
    }

    /// To be read before a look begins and handed to [`Picture::looked`].
    pub(crate) fn generation(&self, target: &Target) -> u64 {
        self.lock().copies.get(target).map_or(0, |c| c.generation)
    }

    /// A look has ended. Asks for a heartbeat when it differs from the one before in what decisions are made from.
    pub(crate) fn looked(&self, target: &Target, generation: u64, began: Mono, state: State) {
        let mut inner = self.lock();
        let Inner { copies, epochs, .. } = &mut *inner;
        let Some(copy) = copies.get_mut(target) else { return };
        if let Some(epoch) = state.epoch {
            raise(epochs, &copy.unit, epoch);
        }
        let undisturbed = copy.effects_running == 0 && generation == copy.generation;
        copy.learn(&state, undisturbed);
        let news = copy.look.as_ref().is_none_or(|(old, _)| {
            old.role != state.role || old.capacity != state.capacity || old.follows_as != state.follows_as
        });
        copy.look_generation = generation;
        copy.look = Some((state.into(), began));
        let replicated = copy.replicated;
        drop(inner);
        if news {
            self.beat.notify_one();
        }
        if replicated {
            self.looks.step();
        }
        self.signals(target).decide.notify_one();
    }

    /// Everything seen, for the heartbeat.
    pub(crate) fn seen(&self, now: Mono) -> (Vec<Seen>, BTreeMap<Component, Newest>) {
        let inner = self.lock();
        let seen = inner.copies.iter().filter_map(|(target, copy)| {
            let (state, began) = copy.look.clone()?;
            Some(Seen { target: target.clone(), state, age_ms: now.since(began) })
        });
        (seen.collect(), inner.sentinels.clone())
    }

    /// What to decide from; `None` while an effect runs or no look is newer than the last one.
    pub(crate) fn situation(&self, target: &Target) -> Option<Situation> {
        let inner = self.lock();
        let copy = inner.copies.get(target)?;
        let (state, _) = copy.look.as_ref()?;
        if copy.effects_running > 0 || copy.look_generation != copy.generation {
            return None;
        }
        Some(Situation {
            generation: copy.generation,
            unit: copy.unit.clone(),
            view: inner.units.get(&copy.unit).cloned(),
            asked: inner.asked,
            state: state.clone(),
            was_writer: copy.was_writer,
            may_write: copy.may_write,
            seen_alive: copy.seen_alive,
            restarts: copy.restarts.clone(),
            standby_start: copy.standby_start,
        })
    }

    /// Whether the copy may be acknowledging writes, as far as is known.
    pub(crate) fn may_write(&self, target: &Target) -> bool {
        self.lock().copies.get(target).is_some_and(|c| c.may_write)
    }

    /// An effect begins; `makes_writer` when the copy may write from now on, whatever looks say meanwhile.
    pub(crate) fn begin(&self, target: &Target, makes_writer: bool) -> Running<'_> {
        let mut generation = 0;
        if let Some(copy) = self.lock().copies.get_mut(target) {
            copy.generation += 1;
            copy.effects_running += 1;
            copy.may_write |= makes_writer;
            generation = copy.generation;
        }
        Running { picture: self, target: target.clone(), generation }
    }

    fn ended(&self, target: &Target) {
        if let Some(copy) = self.lock().copies.get_mut(target) {
            copy.generation += 1;
            copy.effects_running -= 1;
        }
        if let Some(signals) = self.signals.get(target) {
            signals.look.notify_one();
        }
    }

    /// The agent restarts the writer in place.
    pub(crate) fn note_restart(&self, target: &Target, now: Mono) {
        if let Some(copy) = self.lock().copies.get_mut(target) {
            copy.restarts.retain(|at| now.since(*at) < pilotlight_core::local::RESTART_WINDOW);
            copy.restarts.push(now);
        }
    }

    /// The agent starts the copy as a standby.
    pub(crate) fn note_standby_start(&self, target: &Target, now: Mono) {
        if let Some(copy) = self.lock().copies.get_mut(target) {
            copy.standby_start = Some(now);
        }
    }

    /// A sentinel was written.
    pub(crate) fn note_sentinel(&self, component: &Component, newest: Newest) {
        self.lock().sentinels.insert(component.clone(), newest);
    }
}

impl Copy {
    fn new(unit: Unit, replicated: bool) -> Self {
        Self {
            unit,
            replicated,
            look: None,
            look_generation: 0,
            generation: 0,
            effects_running: 0,
            // Until it was seen it may be anything.
            may_write: replicated,
            was_writer: false,
            seen_alive: false,
            restarts: Vec::new(),
            standby_start: None,
        }
    }

    fn learn(&mut self, state: &State, undisturbed: bool) {
        match &state.role {
            Some(Role::Writer) => {
                self.may_write = true;
                self.was_writer = true;
                self.seen_alive = true;
            }
            Some(Role::Standby { .. } | Role::Fenced { .. } | Role::Down { .. }) if undisturbed => {
                self.may_write = false;
                self.was_writer = matches!(&state.role, Some(Role::Down { was_writer: true, .. }));
            }
            _ => {}
        }
    }
}

fn raise(epochs: &mut BTreeMap<Unit, Epoch>, unit: &Unit, epoch: Epoch) {
    let known = epochs.entry(unit.clone()).or_default();
    *known = epoch.max(*known);
}

#[cfg(test)]
mod tests;
