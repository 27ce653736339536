//! Ports of a fake world.

use crate::PortLook;
use async_trait::async_trait;
use pilotlight_core::effect::{HttpMethod, Probe};
use pilotlight_core::health::Alarm;
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::Failure;
use pilotlight_core::verdict::PortAnswer;
use pilotlight_driver::Driver;
use pilotlight_driver::fake::{FakeDriver, World};
use std::time::Duration;

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

    /// An alarm is raised while the probe of its ARN does not work.
    async fn alarm(&self, arn: &str) -> Result<Alarm, Failure> {
        let (url, method, timeout_ms) = (arn.to_owned(), HttpMethod::Get, Duration::from_secs(1));
        let probe = Probe::Http { url, method, status: None, body_contains: None, timeout_ms };
        Ok(match self.0.asked(&probe) {
            Ok(()) => Alarm::Quiet("alarm is OK".to_owned()),
            Err(_) => Alarm::Raised("alarm has gone off".to_owned()),
        })
    }
}
