//! Looking from outside, from wherever somebody looks: dialling the ports of copies, asking probes.

use async_trait::async_trait;
use pilotlight_core::effect::Probe;
use pilotlight_core::health::Alarm;
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::Failure;
use pilotlight_core::verdict::PortAnswer;

/// Dials the port of a copy of replicated data.
#[async_trait]
pub trait PortLook: Send + Sync {
    /// Answers within a second; changes nothing.
    async fn look(&self, target: &Target) -> PortAnswer;

    /// Asks once and ends by the probe's own timeout; changes nothing. The failure says what was wrong with the answer. Who
    /// can only dial says so, which is no good answer.
    async fn ask(&self, _probe: &Probe) -> Result<String, Failure> {
        Err(Failure::unsupported("probes cannot be asked from here"))
    }

    /// What an alarm of a provider says, by its ARN; changes nothing. Who cannot ask says so, which says nothing of a service.
    async fn alarm(&self, _arn: &str) -> Result<Alarm, Failure> {
        Err(Failure::unsupported("alarms cannot be asked from here"))
    }
}
