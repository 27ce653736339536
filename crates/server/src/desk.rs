//! What the API, the decisions and the looks share: the parts of the controller and what it knows now.
//!
//! Border: plain data behind a short lock, never held across an await; only the turn of writing reports is.

use crate::accord::Accords;
use crate::api::view::{DecisionView, DrillView};
use crate::hold::Holds;
use crate::hub::{Hub, Unwelcome};
use crate::managed::Managed;
use crate::moves::Source;
use crate::notes::UnitNote;
use crate::orders::{Order, Orders};
use crate::recorder::{Recorder, Writing};
use crate::remembered::Memories;
use crate::serve::ServerParts;
use crate::terms::Terms;
use pilotlight_core::candidate::{Admitted, Wish};
use pilotlight_core::derive::{self, Consent, Derivation};
use pilotlight_core::effect::Descriptor;
use pilotlight_core::exposed::Exposed;
use pilotlight_core::id::{Component, Region, Unit};
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::{Failure, Finding};
use pilotlight_core::placement::{Intent, Verb};
use pilotlight_core::plan::{Plan, Shares};
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, Seen, WorkReply, WorkRequest};
use pilotlight_core::recording::Scene;
use pilotlight_core::runbook::Runbook;
use pilotlight_core::shared::Shared;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_core::verdict::{AgentSight, Judgement, Outlook, PortSight, Sight, Witness, fresh_within};
use pilotlight_driver::certificate::{self, Certificate, Kind};
use pilotlight_driver::checkup::{self, Checkup};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::disk::Disks;
use pilotlight_driver::rarely::Rarely;
use pilotlight_driver::seldom::Seldom;
use pilotlight_engine::Engine;
use pilotlight_engine::lead::Lead;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// An agent that wants to wait longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// At the very moment it is not silent yet.
const JUST_AFTER: Duration = Duration::from_millis(1);

/// Between two looks at what has no moment of its own.
const OFTEN: Duration = Duration::from_millis(50);

/// Notes that may wait for a messenger; further ones are in the log only.
const NOTES: usize = 64;

/// Between two looks at the room on the controller's disk.
const ROOM: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Desk {
    pub(crate) plan: Arc<Plan>,
    pub(crate) engine: Engine,
    pub(crate) lead: Lead,
    pub(crate) descriptors: BTreeMap<Component, Descriptor>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) checkup: Arc<Checkup>,
    pub(crate) alarms: Arc<Checkup>,
    pub(crate) reports: Option<PathBuf>,
    pub(crate) holds: Arc<Holds>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) orders: Orders,
    /// Under which plans agents run.
    pub(crate) accords: Accords,
    /// What leaders before this one kept, and what this one keeps.
    pub(crate) memories: Memories,
    pub(crate) began: Mono,
    pub(crate) shutdown: CancellationToken,
    /// Held while a report is written.
    pub(crate) reporting: tokio::sync::Mutex<()>,
    /// What is logged once a minute at most.
    pub(crate) rarely: Rarely,
    disks: Arc<Disks>,
    certificates: Arc<Seldom>,
    known: Mutex<Known>,
    notes: (mpsc::Sender<UnitNote>, Mutex<Option<mpsc::Receiver<UnitNote>>>),
    recorder: Mutex<(Option<Recorder>, Option<Writing>)>,
}

#[derive(Default)]
struct Known {
    ports: BTreeMap<Target, PortSight>,
    shared: BTreeMap<Target, (Shared<State>, Mono)>,
    managed: Managed,
    judged: BTreeMap<Unit, Judged>,
    wishes: BTreeMap<Unit, (Region, Wish)>,
}

/// The newest judgement of a unit and what follows from it.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) judgement: Option<Judgement>,
    pub(crate) decision: DecisionView,
    /// Since when the verdict has been another than healthy.
    pub(crate) unwell_since: Option<Wall>,
    /// For how long the last automatic failover bars the next one.
    pub(crate) cooling_down: Option<Duration>,
    /// A drill that goes on.
    pub(crate) drill: Option<DrillView>,
    /// When more than the RPO was exposed, the newest first.
    pub(crate) exposed: Vec<Exposed>,
}

impl Desk {
    pub(crate) fn new(
        plan: Arc<Plan>,
        clock: Arc<dyn Clock>,
        (holds, terms): (Arc<Holds>, Arc<Terms>),
        parts: ServerParts,
        shutdown: CancellationToken,
    ) -> Self {
        let checkup = Checkup::new(&plan, &Witness::Controller, clock.clone(), parts.port_look.clone());
        let alarms = Checkup::new(&plan, &checkup::alarms(), clock.clone(), parts.port_look.clone());
        let notes = mpsc::channel(NOTES);
        let (recorder, writing) = Recorder::new(&plan, parts.recording).unzip();
        Self {
            began: clock.mono(),
            accords: Accords::new(&plan),
            memories: Memories::default(),
            plan,
            engine: parts.engine,
            lead: parts.lead,
            descriptors: parts.descriptors,
            hub: parts.hub,
            clock,
            checkup,
            alarms,
            reports: parts.reports,
            holds,
            terms,
            orders: parts.orders,
            shutdown,
            reporting: tokio::sync::Mutex::default(),
            rarely: Rarely::default(),
            disks: Arc::default(),
            certificates: Arc::default(),
            known: Mutex::default(),
            notes: (notes.0, Mutex::new(Some(notes.1))),
            recorder: Mutex::new((recorder, writing)),
        }
    }

    /// What a person should mend of the controller's own disk (what it cannot record it does not do) and of its certificates.
    pub(crate) fn of_house(&self) -> Vec<Finding> {
        [self.disks.said(), self.certificates.said()].concat()
    }

    /// Looks at both until shutdown, and tells each thing in the log once until it is mended. Reports lie in the controller's folder.
    pub(crate) async fn watch_house(&self) {
        let Some(folder) = self.reports.as_deref().and_then(Path::parent).map(Path::to_owned) else {
            return self.shutdown.cancelled().await;
        };
        let mut told = BTreeSet::new();
        while !self.shutdown.is_cancelled() {
            let folders = vec![("folder with journal, store and reports", folder.clone())];
            let mut found = self.disks.look(self.clock.mono(), "controller", || folders).await;
            found.extend(self.look_at_certificates().await);
            for Finding { code, message, hint, .. } in found.iter().filter(|f| !told.contains(&f.code)) {
                tracing::warn!(hint, "{code}: {message}");
            }
            told = found.into_iter().map(|f| f.code).collect();
            tokio::select! {
                biased;
                () = self.shutdown.cancelled() => {}
                () = self.clock.sleep(ROOM) => {}
            }
        }
    }

    async fn look_at_certificates(&self) -> Vec<Finding> {
        let Some(tls) = self.plan.controller.tls.clone() else { return Vec::new() };
        let now = self.clock.wall();
        let ask = move || {
            let own = Certificate { what: "its certificate", file: tls.certificate, kind: Kind::Chain };
            let trusted = Certificate { what: "what callers trust", file: tls.ca, kind: Kind::Authorities };
            certificate::look("controller", &[own, trusted], now)
        };
        self.certificates.look(self.clock.mono(), certificate::EVERY, ask).await
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An agent is heard. Nothing in here waits: the lease runs on the agent's clock since before it was sent.
    pub(crate) fn heard(&self, heartbeat: Heartbeat) -> Result<HeartbeatReply, Unwelcome> {
        let region = heartbeat.region.clone();
        let wishes = heartbeat.wishes.clone();
        let accord = heartbeat.accord.clone();
        let (term, heard) = (heartbeat.term, heartbeat.heard.clone());
        let now = self.clock.mono();
        let looked = |seen: &Seen| Mono(now.since(Mono(seen.age_ms)));
        let role = |seen: &Seen| Some((seen.target.clone(), seen.state.role.clone()?, looked(seen)));
        let copies: Vec<_> = heartbeat.sees.iter().filter_map(role).collect();
        if !self.hub.heartbeat(heartbeat)? {
            // An overtaken heartbeat may come from an agent that has lost its lease since.
            return Ok(HeartbeatReply { units: Vec::new() });
        }
        self.accords.heard(&region, accord);
        self.terms.heard(term);
        heard.iter().for_each(|(unit, basis)| self.engine.heard(unit, *basis));
        copies.iter().for_each(|(target, role, looked)| self.engine.saw(target, role, Some(*looked)));
        if heard.keys().any(|unit| self.engine.behind(unit).is_some()) {
            self.hub.news().step();
        }
        let mut units = self.engine.granter().heartbeat_unless(&region, |unit| self.accords.differs(&region, unit));
        for view in units.iter_mut().filter(|v| v.writer.as_ref() == Some(&region)) {
            view.offered = self.offered(&view.unit, &region);
        }
        let wishes = wishes.into_iter().map(|wish| (wish.unit.clone(), (region.clone(), wish)));
        self.known().wishes.extend(wishes);
        Ok(HeartbeatReply { units })
    }

    /// What the writer's agent last asked of the store and nobody has looked at yet.
    pub(crate) fn take_wish(&self, unit: &Unit) -> Option<(Region, Wish)> {
        self.known().wishes.remove(unit)
    }

    /// Tasks for an agent, oldest first.
    pub(crate) async fn work(&self, request: &WorkRequest) -> Result<WorkReply, Unwelcome> {
        let wait = request.wait_ms.min(LONGEST_WAIT);
        let tasks = tokio::select! {
            biased;
            tasks = self.hub.work(&request.region, &request.instance, &request.place, wait) => tasks?,
            // An agent must not hold up the end of the controller.
            () = self.shutdown.cancelled() => Vec::new(),
        };
        Ok(WorkReply { tasks })
    }

    /// Everything a verdict on the unit is made from.
    pub(crate) fn sight(&self, unit: &Unit) -> Sight {
        Sight {
            now: self.clock.mono(),
            agents: self.voices(),
            ports: self.known().ports.clone(),
            health: self.checkup.opinions(),
            outlooks: self.outlooks(),
            lease: self.engine.granter().sight(unit),
            candidate: self.engine.granter().read(unit, |r| r.candidate.as_ref().map(|c| c.region.clone())).flatten(),
            changed: self.engine.granter().changed(unit),
        }
    }

    /// What observers other than the controller see, and what alarms say.
    fn outlooks(&self) -> BTreeMap<Witness, Shared<Outlook>> {
        let mut outlooks = self.hub.outlooks();
        if self.alarms.asks() {
            let (heard, health) = (Some(self.clock.mono()), self.alarms.opinions());
            outlooks.insert(checkup::alarms(), Outlook { heard, health, ..Outlook::default() }.into());
        }
        outlooks
    }

    /// Tells the engine which epochs of a unit are known outside: to agents' guards, and to the authority of a name.
    pub(crate) fn meet_epochs(&self, unit: &Unit, sight: &Sight) {
        let named: Vec<&Component> = self.plan.in_unit(unit).map(|(name, _)| name).collect();
        let of_unit = |(target, (state, _)): (&Target, &(Shared<State>, Mono))| {
            state.epoch.filter(|_| named.contains(&&target.component))
        };
        let looks = self.known();
        let by_agents = sight.agents.values().flat_map(|agent| agent.seen.iter()).filter_map(of_unit);
        let newest = by_agents.chain(looks.shared.iter().filter_map(of_unit)).max();
        if let Some(newest) = newest {
            self.engine.met(unit, newest);
        }
    }

    /// What is heard of each region: from its agent, and through the provider's API where that is how it is looked at. A
    /// region without an agent is heard while its API answers.
    fn voices(&self) -> BTreeMap<Region, Shared<AgentSight>> {
        let mut voices = self.hub.agents();
        self.known().managed.speak(&mut voices, &self.plan, self.clock.mono());
        voices
    }

    /// Regions whose copies of the unit all follow the writer under a name, in the plan's order.
    pub(crate) fn offered(&self, unit: &Unit, writer: &Region) -> Vec<Admitted> {
        let sight = self.sight(unit);
        let of = |region: &Region| {
            let copies = self.plan.in_unit(unit).filter(|(_, c)| c.is_replicated());
            let names: Option<BTreeMap<_, _>> = copies
                .map(|(component, _)| {
                    let look = sight.fresh_look(&self.plan, region, component)?;
                    let follows = match &look.role {
                        Some(Role::Standby { upstream, streaming: true }) => upstream.as_ref() == Some(writer),
                        _ => false,
                    };
                    Some((component.clone(), look.follows_as.clone().filter(|_| follows)?))
                })
                .collect();
            Some(Admitted { region: region.clone(), names: names.filter(|n| !n.is_empty())? })
        };
        self.plan.regions.iter().filter(|r| *r != writer).filter_map(of).collect()
    }

    pub(crate) fn saw_managed(&self, target: Target, state: State, began: Mono) {
        if let Some(role) = &state.role {
            self.engine.saw(&target, role, None);
        }
        self.known().managed.saw(target, state, began);
        self.hub.news().step();
    }

    /// The API that shows it answered, and refused.
    pub(crate) fn was_refused(&self, target: Target, why: &Failure, began: Mono) {
        self.known().managed.was_refused(&self.plan, target, why, began);
        self.hub.news().step();
    }

    /// Keeps a scene, if it is worth it and anything is kept.
    pub(crate) fn record(&self, scene: impl FnOnce() -> Scene) {
        let mut recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorder) = &mut recorder.0 {
            recorder.note(&self.plan, scene());
        }
    }

    /// The region was heard lately. Asked many times a second, so it makes no whole [`Sight`] where agents are what is heard.
    pub(crate) fn hears(&self, unit: &Unit, region: &Region) -> bool {
        match self.plan.expects_agent(region) {
            true => {
                self.hub.last_heard(region).is_some_and(|at| self.clock.mono().since(at) <= fresh_within(&self.plan))
            }
            false => self.sight(unit).hears(&self.plan, region),
        }
    }

    /// Tells people of a unit, without waiting for it.
    pub(crate) fn tell(&self, note: UnitNote) {
        // Where the plan names nobody, nobody listens.
        let _ = self.notes.0.try_send(note);
    }

    /// What is to be told of units, once.
    pub(crate) fn take_notes(&self) -> Option<mpsc::Receiver<UnitNote>> {
        self.notes.1.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The writing side of the recording, once.
    pub(crate) fn take_writing(&self) -> Option<Writing> {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).1.take()
    }

    pub(crate) fn saw_port(&self, target: Target, port: PortSight) {
        self.known().ports.insert(target, port);
        self.hub.news().step();
    }

    /// How long it takes until the next agent that is heard now counts as silent, if nothing more comes from it. Where
    /// regions are looked at through an API, that is no matter of heartbeats, and it is looked at often.
    pub(crate) fn next_silence(&self) -> Duration {
        let now = self.clock.mono();
        let left = |region: &Region| match self.plan.expects_agent(region) {
            true => {
                let heard = now.since(self.hub.last_heard(region)?);
                fresh_within(&self.plan).checked_sub(heard).map(|left| left + JUST_AFTER)
            }
            false => Some(OFTEN),
        };
        self.plan.regions.iter().filter_map(left).min().unwrap_or(Duration::MAX)
    }

    pub(crate) fn saw_shared(&self, target: Target, state: State, began: Mono) {
        self.known().shared.insert(target, (state.into(), began));
    }

    /// What belongs to no region.
    pub(crate) fn shared(&self) -> BTreeMap<Target, (Shared<State>, Mono)> {
        self.known().shared.clone()
    }

    /// The same, as far as it was seen since its unit last changed: a look from before shows where a run led users from.
    pub(crate) fn shared_since_changed(&self) -> BTreeMap<Target, (Shared<State>, Mono)> {
        let changed = |target: &Target| {
            self.plan.components.get(&target.component).and_then(|c| self.engine.granter().changed(&c.unit))
        };
        let mut looks = self.shared();
        looks.retain(|target, (_, at)| changed(target).is_none_or(|changed| *at >= changed));
        looks
    }

    /// The same without when it was seen.
    pub(crate) fn shared_now(&self) -> BTreeMap<Target, Shared<State>> {
        self.shared_since_changed().into_iter().map(|(target, (state, _))| (target, state)).collect()
    }

    /// What each region takes of the unit's traffic now, where the plan has shares and that is seen; of several roads the most.
    pub(crate) fn led(&self, unit: &Unit) -> Option<Shares> {
        self.plan.shares.as_ref()?;
        let mut led: Option<Shares> = None;
        for (target, state) in self.shared_now() {
            let of_unit = self.plan.components.get(&target.component).is_some_and(|c| &c.unit == unit);
            let Some(shares) = state.shares.as_ref().filter(|_| of_unit) else { continue };
            let led = led.get_or_insert_default();
            for (region, share) in shares {
                let most = led.entry(region.clone()).or_default();
                *most = (*most).max(*share);
            }
        }
        led
    }

    pub(crate) fn judged(&self, unit: &Unit) -> Option<Judged> {
        self.known().judged.get(unit).cloned()
    }

    pub(crate) fn judgement(&self, unit: &Unit) -> Option<Judgement> {
        self.judged(unit)?.judgement
    }

    pub(crate) fn note_judged(&self, unit: &Unit, judged: Judged) {
        self.known().judged.insert(unit.clone(), judged);
    }

    /// Derives a runbook from what is seen now. A standing order says what its fence must be worth, where that is less than
    /// the plan asks for.
    pub(crate) fn derive(
        &self,
        intent: &Intent,
        source: &Source,
        (consent, order): (Consent, Option<&Order>),
        attested_by: Option<&str>,
    ) -> Result<Runbook, derive::Refusal> {
        let derived = self.derive_by(derive::derive, intent, source, (consent, order), attested_by);
        derived.map(|runbook| Runbook { basis: Some(source.basis), ..runbook })
    }

    /// What a refused move would be if every copy were what the plan has it be: for questions to drivers only.
    pub(crate) fn derive_as_planned(&self, intent: &Intent, source: &Source) -> Result<Runbook, derive::Refusal> {
        self.derive_by(derive::derive_as_planned, intent, source, (Consent::Given, None), None)
    }

    fn derive_by(
        &self,
        derive: impl Fn(&Derivation<'_>) -> Result<Runbook, derive::Refusal>,
        intent: &Intent,
        source: &Source,
        (consent, order): (Consent, Option<&Order>),
        attested_by: Option<&str>,
    ) -> Result<Runbook, derive::Refusal> {
        let planned = self.plan.policy.least_fence;
        let sight = self.sight(&intent.unit);
        let reachable: BTreeSet<Region> =
            self.plan.regions.iter().filter(|r| sight.hears(&self.plan, r)).cloned().collect();
        // A fence that may have been taken back since is not known to be one: then it is proven anew, or nothing moves. What else was
        // seen of the copy counts on.
        let counts = |role: Option<&Role>, at: Mono| {
            intent.verb == Verb::Rejoin || !matches!(role, Some(Role::Fenced { .. })) || sight.is_after_change(at)
        };
        let looks = sight.agents.values().flat_map(|a| a.seen.iter());
        let seen = looks.map(|(t, (s, at))| {
            let state = State::clone(s);
            let role = if counts(s.role.as_ref(), *at) { state.role } else { Some(Role::Unknown) };
            (t.clone(), State { role, ..state })
        });
        let shared = self.shared_now().into_iter().map(|(t, s)| (t, State::clone(&s)));
        derive(&Derivation {
            plan: &self.plan,
            descriptors: &self.descriptors,
            intent,
            writer: &source.writer,
            seen: &seen.chain(shared).collect(),
            reachable: &reachable,
            candidate: source.candidate.as_ref(),
            least_fence: order.map_or(planned, |order| planned.min(order.least_fence)),
            consent,
            attested_by,
        })
    }
}
