//! What belongs to a place and not to a component: commands and probes.

use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_driver::{Context, Driver};
use pilotlight_local::exec::ExecDriver;
use pilotlight_local::probe::ProbeDriver;

/// Commands and probes at one place, the controller or a region.
pub(crate) struct Place {
    pub(crate) commands: ExecDriver,
    pub(crate) probes: ProbeDriver,
}

impl Place {
    fn of(&self, effect: &Effect) -> &dyn Driver {
        match effect {
            Effect::Verify { .. } => &self.probes,
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
        self.of(effect).preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.of(effect).apply(effect, context).await
    }
}
