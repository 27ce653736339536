//! The drivers of one region, for its agent.

use super::Wired;
use super::fence;
use super::ledger;
use super::place::Place;
use super::secrets;
use crate::connect;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::code;
use pilotlight_core::id::{Component, Region};
use pilotlight_core::plan::{BeyondRpo, Guarantee, Kind, Plan, PostgresPlan, ProcessPlan};
use pilotlight_driver::Driver;
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::file::replace;
use pilotlight_driver::gate::Gate;
use pilotlight_driver::guard::{Guarded, Ledger};
use pilotlight_engine::router::Router;
use pilotlight_local::postgres::{Confirmed, GateParts, PostgresDriver, PostgresGate, PostgresParts, beside};
use pilotlight_local::probe::ProbeDriver;
use pilotlight_local::process::{ProcessDriver, ProcessParts};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// A region's drivers, and the processes somebody must watch over.
pub(crate) struct InRegion {
    /// The drivers.
    pub(crate) wired: Wired,
    /// The memory of epochs and keys that all of them share.
    pub(crate) ledger: Arc<Ledger>,
    /// What is opened with the lease of each component.
    pub(crate) gates: BTreeMap<Component, Vec<Arc<dyn Gate>>>,
    /// To be supervised as long as the agent runs.
    pub(crate) crews: Vec<Arc<Guarded<ProcessDriver>>>,
    /// Asks questions from here.
    pub(crate) probes: ProbeDriver,
}

/// Makes the drivers of a region; starts nothing.
pub(crate) fn wire(plan: &Plan, region: &Region, state_dir: &Path) -> Result<InRegion, CliError> {
    let ledger = ledger::open(state_dir, "the agent")?;
    belongs_to(plan, region, state_dir)?;
    fence::lift_others(plan, region, state_dir);
    let mut region_of = Building { plan, region, state_dir, ledger: Arc::new(ledger), gates: BTreeMap::new() };
    let place = Place::of(plan, Some(region))?;
    let probes = place.probes.clone();
    let mut router = Router::new().region(region, region_of.guarded(place));
    let mut descriptors = BTreeMap::new();
    let mut crews = Vec::new();
    for (name, component) in &plan.components {
        let driver: Arc<dyn Driver> = match &component.kind {
            Kind::Postgres(postgres) if postgres.regions.contains_key(region) => region_of.postgres(name, postgres)?,
            Kind::Process(process) if process.regions.contains_key(region) => {
                let crew = Arc::new(region_of.process(name, process, &probes)?);
                crews.push(crew.clone());
                crew
            }
            _ => continue,
        };
        descriptors.insert(name.clone(), driver.describe());
        router = router.component(name, Some(region), driver);
    }
    let wired = Wired { driver: Arc::new(router), descriptors };
    Ok(InRegion { wired, ledger: region_of.ledger, gates: region_of.gates, crews, probes })
}

/// Epochs, markers and process ids in the folder are those of one region: another's agent would act on them.
fn belongs_to(plan: &Plan, region: &Region, state_dir: &Path) -> Result<(), CliError> {
    let file = state_dir.join("region");
    let mine = format!("{} {region}\n", plan.application);
    match std::fs::read_to_string(&file) {
        Ok(found) if found == mine => Ok(()),
        Ok(found) => Err(CliError::say(
            Exit::Refused,
            format!("the folder {} belongs to the agent of {}, not {}", state_dir.display(), found.trim(), mine.trim()),
        )
        .code(code::STATE_IN_USE.as_str())
        .hint("nothing was started; give each region's agent a folder of its own with --state")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Half a line would name a region that there is not.
            replace(&file, mine.as_bytes()).with_context(|| format!("cannot write {}", file.display())).map_err(|e| {
                unusable(e, "is there room on its disk, and may this account write there? nothing was started")
            })
        }
        Err(e) => {
            let e = anyhow::Error::new(e).context(format!("cannot read {}", file.display()));
            Err(unusable(e, "may this account read it? nothing was started"))
        }
    }
}

fn unusable(cause: anyhow::Error, hint: &str) -> CliError {
    CliError::new(Exit::Failed, cause).code(code::FILE_NOT_WRITTEN.as_str()).hint(hint)
}

struct Building<'a> {
    plan: &'a Plan,
    region: &'a Region,
    state_dir: &'a Path,
    ledger: Arc<Ledger>,
    gates: BTreeMap<Component, Vec<Arc<dyn Gate>>>,
}

impl Building<'_> {
    fn guarded<D: Driver + 'static>(&mut self, driver: D) -> Arc<dyn Driver> {
        Arc::new(Guarded::with(driver, self.ledger.clone()))
    }

    fn postgres(&mut self, name: &Component, postgres: &PostgresPlan) -> Result<Arc<dyn Driver>, CliError> {
        let password = postgres.password.as_ref().map(connect::secret).transpose()?;
        if let Some(server) = postgres.regions.get(self.region)
            && let Some(gate) = fence::of(name, self.region, postgres, server, self.state_dir)?
        {
            self.gates.entry(name.clone()).or_default().push(gate);
        }
        let driver = PostgresDriver::new(PostgresParts {
            component: name.clone(),
            region: self.region.clone(),
            plan: postgres.clone(),
            state_dir: self.state_dir.join(name.as_str()),
            confirmed: self.confirmed(name, postgres, password.as_deref())?,
            password,
            passphrase: postgres.rescue.passphrase.as_ref().map(connect::secret).transpose()?,
            clock: Arc::new(SystemClock),
        });
        let driver = driver.map_err(|e| CliError::new(Exit::Usage, e).code(code::NO_SUCH_NAME.as_str()))?;
        Ok(self.guarded(driver))
    }

    /// How the guarantee has its writes confirmed; the gate is this very program.
    fn confirmed(
        &mut self,
        name: &Component,
        postgres: &PostgresPlan,
        password: Option<&str>,
    ) -> Result<Confirmed, CliError> {
        let policy = &self.plan.policy;
        let waits = policy.guarantee != Guarantee::BestEffort;
        let (Guarantee::Bounded, Some(server)) = (policy.guarantee, postgres.regions.get(self.region)) else {
            return Ok(Confirmed { waits, gate: None });
        };
        let gate = PostgresGate::new(GateParts {
            program: std::env::current_exe().context("cannot find this program")?,
            // Whoever looks at the machine years later sees whose it is.
            args: vec!["gate".to_owned(), name.to_string(), self.region.to_string()],
            folder: self.state_dir.join(name.as_str()),
            component: name.to_string(),
            host: beside(server),
            port: server.port,
            user: postgres.user.clone(),
            password: password.map(str::to_owned),
            lease: policy.lease,
            stall_at: (policy.beyond_rpo == BeyondRpo::Stall).then_some(self.plan.objectives.rpo),
        });
        let gate = gate.context("cannot prepare the gate")?;
        self.gates.entry(name.clone()).or_default().push(gate.clone());
        Ok(Confirmed { waits, gate: Some(gate) })
    }

    fn process(
        &self,
        name: &Component,
        process: &ProcessPlan,
        probes: &ProbeDriver,
    ) -> Result<Guarded<ProcessDriver>, CliError> {
        let at_home = self.plan.home == *self.region;
        let command = process.regions.get(self.region).cloned();
        let driver = ProcessDriver::open(ProcessParts {
            application: self.plan.application.clone(),
            component: name.clone(),
            region: self.region.clone(),
            command: command.context("the region runs no such component")?,
            ready: process.ready.get(self.region).cloned(),
            initial: if at_home { process.active } else { process.standby },
            probes: probes.clone(),
            folder: self.state_dir.join(name.as_str()),
            withheld: secrets::withheld(self.plan),
        });
        Ok(Guarded::with(driver.context("cannot keep processes")?, self.ledger.clone()))
    }
}
