//! Programs that must go on: so many instances of a command in one region, whatever becomes of the agent.
//!
//! Instances run in process groups of their own and write to log files, so they outlive the agent; the next agent finds
//! them by its notes and takes them over. Dead ones are started again, ever more slowly when they keep dying
//! ([`ProcessDriver::supervise`], which whoever owns the driver must run).
//!
//! In the folder: `desired.json`, per instance `instance-N.json` (its process) and `instance-N.log`, and `pids` with the
//! number of every live instance, one per line, for whoever wants to see or kill them.
//!
//! Invariants: only processes that were started here are ever signalled, and only while they are provably still the same;
//! every instance is noted before it counts; an instance is ready when it runs and, if there is a probe, answers it.

mod crew;
pub(crate) mod identity;
mod instance;

use crate::exec::missing_program;
use crate::probe::ProbeDriver;
use async_trait::async_trait;
use crew::Crew;
use pilotlight_core::effect::{Capability, CommandLine, Descriptor, Effect, Probe};
use pilotlight_core::id::{Application, Component, Region};
use pilotlight_core::observation::{Capacity, State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_driver::{Context, Driver};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// An instance that takes longer to answer is not ready now; the next look is soon.
const LOOK: Duration = Duration::from_secs(1);

/// What every [`ProcessDriver`] says of itself; for callers that reach one through its agent.
pub fn descriptor() -> Descriptor {
    Descriptor { needs_agent: true, ..Descriptor::caller_checked(Capability::Capacity) }
}

/// What a driver of one program in one region is made of.
#[derive(Clone)]
pub struct ProcessParts {
    /// Told to instances as `PILOTLIGHT_APPLICATION`.
    pub application: Application,
    /// The component.
    pub component: Component,
    /// The region, told to instances as `PILOTLIGHT_REGION`.
    pub region: Region,
    /// What runs. `{instance}` in arguments and variables stands for the number of the instance, from 1.
    pub command: CommandLine,
    /// What makes an instance ready, `{instance}` in it standing for its number; without it: that it runs.
    pub ready: Option<Probe>,
    /// How many run until somebody says otherwise for the first time.
    pub initial: u32,
    /// Asks `ready`.
    pub probes: ProbeDriver,
    /// A folder for this component alone.
    pub folder: PathBuf,
    /// Variables of our own environment that instances do not get, such as the controller's token.
    pub withheld: Vec<String>,
}

/// The folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the folder {path} of component {component}")]
pub struct OpenError {
    component: Component,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Runs instances of one program in one region.
pub struct ProcessDriver {
    parts: ProcessParts,
    crew: Crew,
}

impl ProcessDriver {
    /// Takes over what runs; starts nothing yet.
    pub fn open(parts: ProcessParts) -> Result<Self, OpenError> {
        let crew = Crew::open(&parts).map_err(|source| OpenError {
            component: parts.component.clone(),
            path: parts.folder.clone(),
            source,
        })?;
        Ok(Self { parts, crew })
    }

    /// Keeps as many instances running as were asked for, until the token fires; then leaves them running.
    pub async fn supervise(&self, shutdown: CancellationToken) {
        loop {
            self.crew.restore(&self.parts).await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.crew.until_next_look() => {}
            }
        }
    }

    fn instances_of(&self, effect: &Effect) -> Result<u32, Failure> {
        match effect {
            Effect::SetCapacity { component, region, instances }
                if *component == self.parts.component && *region == self.parts.region =>
            {
                Ok(*instances)
            }
            Effect::SetCapacity { component, region, .. } => {
                Err(Failure::rejected(format!("{component} in {region} does not run here")))
            }
            other => Err(Failure::unsupported(format!("{} runs instances only, not {other:?}", self.parts.component))),
        }
    }

    /// What each instance that runs answers; without a probe, running is answer enough.
    async fn answers(&self) -> Vec<Result<(), Failure>> {
        let alive = self.crew.alive();
        let Some(probe) = &self.parts.ready else { return alive.into_keys().map(|_| Ok(())).collect() };
        let mut looks = JoinSet::new();
        for number in alive.into_keys() {
            let (probes, probe) = (self.parts.probes.clone(), of_instance(probe, number));
            looks.spawn(async move { probes.ask(&probe, LOOK).await.map(drop) });
        }
        looks.join_all().await
    }

    async fn ready(&self) -> u32 {
        self.answers().await.into_iter().map(|answer| u32::from(answer.is_ok())).sum()
    }

    /// A move waits until what it starts is ready; what runs there already and is not says that it will wait in vain.
    async fn not_ready(&self, wanted: u32) -> Option<Finding> {
        let answers = self.answers().await;
        let running = answers.len();
        let ready = answers.iter().filter(|answer| answer.is_ok()).count();
        let says = answers.into_iter().find_map(Result::err)?;
        // Fewer are wanted: those that go need not be ready.
        let matters = usize::try_from(wanted).is_ok_and(|wanted| wanted >= running);
        let (component, region) = (&self.parts.component, &self.parts.region);
        matters.then(|| Finding {
            code: pilotlight_core::code::INSTANCES_NOT_READY.to_string(),
            severity: Severity::Warning,
            message: format!(
                "{component} in {region}: {ready} of {running} running instances ready; `ready` there: {}",
                says.message
            ),
            hint: "a move waits until they are ready and fails when they never are: ask in `ready` what a healthy instance \
                   answers also in a region whose database takes no writes"
                .to_owned(),
        })
    }
}

fn of_instance(probe: &Probe, number: u32) -> Probe {
    let mut probe = probe.clone();
    for place in probe.places() {
        *place = place.replace("{instance}", &number.to_string());
    }
    probe
}

#[async_trait]
impl Driver for ProcessDriver {
    fn describe(&self) -> Descriptor {
        descriptor()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        if target.component != self.parts.component || target.region.as_ref() != Some(&self.parts.region) {
            return Err(Failure::rejected(format!("{} does not run here", target.component)));
        }
        let capacity = Capacity { desired: self.crew.desired(), ready: self.ready().await };
        let pids: Vec<_> = self.crew.alive().into_values().map(|i| i.pid.to_string()).collect();
        let mut facts = BTreeMap::from([("pids".to_owned(), pids.join(" "))]);
        facts.extend(self.crew.complaint().map(|text| ("complaint".to_owned(), text)));
        Ok(State { capacity: Some(capacity), facts, ..State::default() })
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let instances = self.instances_of(effect)?;
        let not_ready = self.not_ready(instances).await;
        let ProcessParts { command, component, region, .. } = &self.parts;
        Ok(missing_program(command, Some(component), Some(region)).into_iter().chain(not_ready).collect())
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let instances = self.instances_of(effect)?;
        if self.crew.desired() == instances && self.crew.is_complete() {
            let (component, region) = (&self.parts.component, &self.parts.region);
            return Ok(Outcome::Skipped { why: format!("{component} in {region} has {instances} instances already") });
        }
        self.crew.set(&self.parts, instances, context.deadline / 2).await?;
        Ok(Outcome::done())
    }

    async fn watch(&self, _target: &Target) {
        self.crew.changed().await;
    }
}

#[cfg(test)]
mod tests;
