//! The plan's names are asked at the plan's own DNS server, all others at the system's resolver.

use crate::error::CliError;
use anyhow::Context;
use async_trait::async_trait;
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_driver::clock::SystemClock;
use pilotlight_engine::measure::{NameResolver, ResolveError};
use pilotlight_local::probe::names::{Names, SystemNames};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Resolvers by name.
pub(crate) struct PlanNames(BTreeMap<String, Arc<NameResolver>>);

impl PlanNames {
    /// The names of a plan.
    pub(crate) fn of(plan: &Plan) -> Result<Arc<Self>, CliError> {
        let mut names = BTreeMap::new();
        for component in plan.components.values() {
            if let Kind::Dns(dns) = &component.kind {
                let resolver = NameResolver::new(dns.server, Arc::new(SystemClock))
                    .with_context(|| format!("cannot ask the DNS server {}", dns.server))?;
                names.insert(dns.name.to_ascii_lowercase(), resolver);
            }
        }
        Ok(Arc::new(Self(names)))
    }
}

#[async_trait]
impl Names for PlanNames {
    async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Failure> {
        match self.0.get(&name.to_ascii_lowercase()) {
            Some(resolver) => resolver.addresses(name).await.map_err(|e| failure(name, &e)),
            None => SystemNames.resolve(name).await,
        }
    }
}

/// A server that refuses runs; what is wrong is the name, or its zone.
fn failure(name: &str, error: &ResolveError) -> Failure {
    let why = format!("cannot resolve {name}: {error}");
    match error {
        ResolveError::Refused { .. } => Failure::rejected(why).hint(
            "the DNS server runs and refuses this name: compare the name in the plan with the `--zone` that it was started with",
        ),
        ResolveError::Setup { .. } | ResolveError::NoAddress { .. } | ResolveError::NoAnswer { .. } => {
            Failure::unreachable(why)
        }
    }
}
