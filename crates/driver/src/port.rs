//! Dialling the ports of copies, from wherever somebody looks.

use async_trait::async_trait;
use pilotlight_core::observation::Target;
use pilotlight_core::verdict::PortAnswer;

/// Dials the port of a copy of replicated data.
#[async_trait]
pub trait PortLook: Send + Sync {
    /// Answers within a second; changes nothing.
    async fn look(&self, target: &Target) -> PortAnswer;
}
