//! What belongs to a place and not to a component: commands and probes.

use super::names::PlanNames;
use super::secrets;
use crate::error::CliError;
use anyhow::Context as _;
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::plan::Plan;
use pilotlight_driver::{Context, Driver};
use pilotlight_local::exec::ExecDriver;
use pilotlight_local::probe::{ProbeDriver, names};
use pilotlight_local::redact::Redactor;

/// Commands and probes at one place, the controller or a region.
pub(crate) struct Place {
    commands: ExecDriver,
    pub(crate) probes: ProbeDriver,
}

impl Place {
    /// What runs commands and asks questions in a region, or at the controller.
    pub(crate) fn of(plan: &Plan, region: Option<&Region>) -> Result<Self, CliError> {
        Self::with(plan, region, secrets::redactor(plan, region)?)
    }

    /// What an observer asks with: it need not know any secret but its token.
    pub(crate) fn of_observer(plan: &Plan) -> Result<Self, CliError> {
        Self::with(plan, None, secrets::redactor_of_known(plan))
    }

    fn with(plan: &Plan, region: Option<&Region>, redactor: Redactor) -> Result<Self, CliError> {
        let resolver = PlanNames::of(plan)?;
        let client = names::for_probes(reqwest::Client::builder(), resolver.clone()).build();
        let client = client.context("cannot make the client of the probes")?;
        let commands = ExecDriver {
            application: plan.application.clone(),
            region: region.cloned(),
            redactor: redactor.clone(),
            withheld: secrets::withheld(plan),
        };
        let probes = ProbeDriver::new(client, resolver, redactor).running(commands.clone());
        Ok(Self { commands, probes })
    }

    fn who_does(&self, effect: &Effect) -> &dyn Driver {
        match effect {
            Effect::Verify { .. } | Effect::Watch { .. } => &self.probes,
            _ => &self.commands,
        }
    }
}

#[async_trait]
impl Driver for Place {
    fn describe(&self) -> Descriptor {
        let mut both = self.commands.describe();
        both.capabilities.extend(self.probes.describe().capabilities);
        both
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.commands.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.who_does(effect).preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.who_does(effect).apply(effect, context).await
    }
}
