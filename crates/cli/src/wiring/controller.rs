//! The drivers of the controller.

use super::Wired;
use super::aws::Aws;
use super::ledger;
use super::place::Place;
use crate::connect;
use crate::error::CliError;
use async_trait::async_trait;
use pilotlight_core::effect::Probe;
use pilotlight_core::health::Alarm;
use pilotlight_core::id::Component;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::{DnsPlan, Kind, Plan, WebhookPlan};
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::Driver;
use pilotlight_driver::guard::{Guarded, Ledger};
use pilotlight_engine::router::Router;
use pilotlight_local::dns::DnsDriver;
use pilotlight_local::probe::{ProbeDriver, port};
use pilotlight_local::redact::Redactor;
use pilotlight_local::webhook::WebhookDriver;
use pilotlight_local::{postgres, process};
use pilotlight_server::PortLook;
use pilotlight_server::hub::{Hub, RemoteAgent};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The memory of what this controller has done itself, in its own folder.
pub(crate) fn ledger(state: &Path) -> Result<Arc<Ledger>, CliError> {
    Ok(Arc::new(ledger::open(state, "the controller")?))
}

/// Makes the drivers of the controller; touches nothing.
pub(crate) fn wire(plan: &Plan, hub: &Arc<Hub>, ledger: &Arc<Ledger>) -> Result<Wired, CliError> {
    let building = Building { plan, ledger: ledger.clone(), aws: Aws::of(plan) };
    let here = Place::of(plan, None)?;
    let at_place = here.describe();
    let mut router = Router::new().here(building.guarded(here));
    let mut descriptors = BTreeMap::new();
    for region in &plan.regions {
        let remote = RemoteAgent::new(hub.clone(), region.clone(), at_place.clone());
        router = router.region(region, Arc::new(remote));
    }
    for (name, component) in &plan.components {
        let (regions, remote) = match &component.kind {
            Kind::Postgres(p) => (p.regions.keys().collect::<Vec<_>>(), postgres::descriptor()),
            Kind::Process(p) => (p.regions.keys().collect(), process::descriptor()),
            Kind::Dns(dns) => {
                let driver = building.dns(name, dns)?;
                descriptors.insert(name.clone(), driver.describe());
                router = router.component(name, None, driver);
                continue;
            }
            Kind::Webhook(webhook) => {
                let driver = building.webhook(name, webhook)?;
                descriptors.insert(name.clone(), driver.describe());
                router = router.component(name, None, driver);
                continue;
            }
            Kind::Exec(_) => {
                descriptors.insert(name.clone(), at_place.clone());
                continue;
            }
            Kind::Aws(aws) => {
                let driver = building.guarded(building.aws.driver(name, aws)?);
                descriptors.insert(name.clone(), driver.describe());
                router = router.component(name, None, driver);
                continue;
            }
        };
        for region in regions {
            let agent = RemoteAgent::new(hub.clone(), region.clone(), remote.clone());
            router = router.component(name, Some(region), Arc::new(agent));
        }
        descriptors.insert(name.clone(), remote);
    }
    Ok(Wired { driver: Arc::new(router), descriptors })
}

struct Building<'a> {
    plan: &'a Plan,
    ledger: Arc<Ledger>,
    aws: Aws,
}

impl Building<'_> {
    fn guarded<D: Driver + 'static>(&self, driver: D) -> Arc<dyn Driver> {
        Arc::new(Guarded::with(driver, self.ledger.clone()))
    }

    fn dns(&self, name: &Component, dns: &DnsPlan) -> Result<Arc<dyn Driver>, CliError> {
        let token = connect::secret(self.plan.controller.token_of_dns())?;
        let client = connect::http_client(self.plan)?;
        let driver = DnsDriver::new(name.clone(), dns.clone(), token, client).with_rto(self.plan.objectives.rto);
        Ok(self.guarded(driver))
    }

    fn webhook(&self, name: &Component, webhook: &WebhookPlan) -> Result<Arc<dyn Driver>, CliError> {
        let url = connect::secret(&webhook.url)?;
        let redactor = Redactor::new([url.clone()]);
        Ok(self.guarded(WebhookDriver::new(name.clone(), connect::public_client()?, url, redactor)))
    }
}

/// Looks from outside: the ports of databases, and whatever a health check asks.
pub(crate) struct Ports {
    addresses: BTreeMap<Target, String>,
    probes: Option<ProbeDriver>,
    aws: Aws,
}

impl Ports {
    /// Every copy of replicated data in the plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut ports = BTreeMap::new();
        for (component, kind) in plan.components.iter().map(|(name, c)| (name, &c.kind)) {
            if let Kind::Aws(aws) = kind {
                for (region, address) in aws.addresses() {
                    let target = Target { component: component.clone(), region: Some(region.clone()) };
                    ports.insert(target, address.to_owned());
                }
            }
            if let Kind::Postgres(postgres) = kind {
                for (region, server) in &postgres.regions {
                    let target = Target { component: component.clone(), region: Some(region.clone()) };
                    ports.insert(target, format!("{}:{}", server.host, server.port));
                }
            }
        }
        Self { addresses: ports, probes: None, aws: Aws::of(plan) }
    }

    /// The same, asking health checks too.
    pub(crate) fn asking(self, probes: ProbeDriver) -> Self {
        Self { probes: Some(probes), ..self }
    }

    /// Every copy with its address.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Target, &str)> {
        self.addresses.iter().map(|(target, address)| (target, address.as_str()))
    }
}

#[async_trait]
impl PortLook for Ports {
    async fn look(&self, target: &Target) -> PortAnswer {
        let Some(address) = self.addresses.get(target) else { return PortAnswer::Unreachable };
        port(address, Duration::from_millis(800)).await
    }

    async fn alarm(&self, arn: &str) -> Result<Alarm, Failure> {
        self.aws.alarm(arn).await
    }

    async fn ask(&self, probe: &Probe) -> Result<String, Failure> {
        match &self.probes {
            Some(probes) => probes.ask(probe, probe.timeout()).await,
            None => Err(Failure::unsupported("probes cannot be asked from here")),
        }
    }
}
