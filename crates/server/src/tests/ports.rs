//! Ports of a fake world.

use crate::PortLook;
use async_trait::async_trait;
use pilotlight_core::effect::Probe;
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::Failure;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::Driver;
use pilotlight_driver::fake::{FakeDriver, World};

/// Dials the fake world: what writes or follows answers.
pub(super) struct FakePorts(pub(super) World);

#[async_trait]
impl PortLook for FakePorts {
    async fn look(&self, target: &Target) -> PortAnswer {
        match FakeDriver::everything(&self.0).observe(target).await.map(|s| s.role) {
            Ok(Some(Role::Writer | Role::Standby { .. })) => PortAnswer::Answers,
            Ok(_) => PortAnswer::Refused,
            Err(_) => PortAnswer::Unreachable,
        }
    }

    async fn ask(&self, probe: &Probe) -> Result<String, Failure> {
        self.0.asked(probe).map(|()| "answered".to_owned())
    }
}
