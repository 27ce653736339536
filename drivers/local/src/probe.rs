//! Questions with a yes or no answer: HTTP, TCP, SQL, names, programs. They change nothing and never wait longer than they were told.
//!
//! Border: one look; how often, from where and what follows is decided elsewhere. Names are asked from a [`Names`], so
//! that a probe can see a name as the built-in authority publishes it, whatever the system's resolver believes.

mod dns;
mod http;
pub mod names;
mod sql;
mod tcp;
mod watch;

pub use names::{Names, SystemNames};
pub use tcp::port;

use crate::exec::ExecDriver;
use crate::redact::Redactor;
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Descriptor, Effect, Probe};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use std::time::Duration;

/// Asks from one place.
#[derive(Clone)]
pub struct ProbeDriver {
    client: reqwest::Client,
    names: Arc<dyn Names>,
    redactor: Redactor,
    commands: Option<ExecDriver>,
}

impl ProbeDriver {
    /// Asks with that client, which must resolve through the same names (see [`names::for_probes`]).
    pub fn new(client: reqwest::Client, names: Arc<dyn Names>, redactor: Redactor) -> Self {
        Self { client, names, redactor, commands: None }
    }

    /// Runs programs as probes as this does.
    #[must_use]
    pub fn running(self, commands: ExecDriver) -> Self {
        Self { commands: Some(commands), ..self }
    }

    /// Asks once. `Ok` holds what was seen; a failure says what was seen and what was expected.
    pub async fn ask(&self, probe: &Probe, at_most: Duration) -> Result<String, Failure> {
        let answer = match probe {
            Probe::Http { timeout_ms, .. } => self.in_time(*timeout_ms, at_most, http::ask(&self.client, probe)).await,
            Probe::Tcp { address, timeout_ms } => {
                self.in_time(*timeout_ms, at_most, tcp::ask(self.names.as_ref(), address)).await
            }
            Probe::Sql { dsn, query, expect, timeout_ms } => {
                let ask = sql::ask(self.names.as_ref(), dsn, query, expect.as_deref());
                self.in_time(*timeout_ms, at_most, ask).await
            }
            Probe::Dns { name, server, expect, timeout_ms } => {
                let ask = dns::ask(self.names.as_ref(), name, *server, expect, *timeout_ms);
                self.in_time(*timeout_ms, at_most, ask).await
            }
            Probe::Exec { command, timeout_ms } => match &self.commands {
                Some(commands) => commands.ask(command, (*timeout_ms).min(at_most)).await,
                None => Err(Failure::unsupported("no programs are run here")),
            },
        };
        answer.map(|seen| self.redactor.redact(&seen)).map_err(|failure| Failure {
            message: self.redactor.redact(&failure.message),
            output: self.redactor.redact(&failure.output),
            ..failure
        })
    }

    async fn in_time(
        &self,
        timeout: Duration,
        at_most: Duration,
        ask: impl Future<Output = Result<String, Failure>>,
    ) -> Result<String, Failure> {
        let limit = timeout.min(at_most);
        tokio::time::timeout(limit, ask).await.unwrap_or_else(|_| {
            let limit = pilotlight_core::time::show_duration(limit);
            Err(Failure::unreachable(format!("no answer within {limit}")))
        })
    }
}

/// How people call the thing that is asked; without a password.
fn name(probe: &Probe) -> String {
    match probe {
        Probe::Http { url, method, .. } => {
            let method = match method {
                pilotlight_core::effect::HttpMethod::Get => "GET",
                pilotlight_core::effect::HttpMethod::Post => "POST",
            };
            format!("{method} {}", http::without_password(url))
        }
        Probe::Tcp { address, .. } => format!("connect {address}"),
        Probe::Sql { dsn, .. } => format!("query {}", sql::without_password(dsn)),
        Probe::Dns { name, server: Some(server), .. } => format!("{name} at {server}"),
        Probe::Dns { name, .. } => name.clone(),
        Probe::Exec { command, .. } => format!("run {}", command.argv.first().map_or("", String::as_str)),
    }
}

#[async_trait]
impl Driver for ProbeDriver {
    fn describe(&self) -> Descriptor {
        Descriptor::caller_checked(Capability::Probe)
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        Err(Failure::unsupported(format!("{} is asked by probes; it has no state", target.component)))
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        match effect {
            Effect::Watch { .. } => Ok(Vec::new()),
            other => probe_of(other).map(|_| Vec::new()),
        }
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        if let Effect::Watch { watch } = effect {
            return self.watch(watch, context).await;
        }
        let probe = probe_of(effect)?;
        let asked = name(probe);
        match self.ask(probe, context.deadline).await {
            Ok(seen) => Ok(Outcome::done_with(format!("{asked}: {seen}"))),
            Err(failure) => Err(Failure { message: format!("{asked}: {}", failure.message), ..failure }),
        }
    }
}

fn probe_of(effect: &Effect) -> Result<&Probe, Failure> {
    match effect {
        Effect::Verify { probe, .. } => Ok(probe),
        other => Err(Failure::unsupported(format!("probes only, not {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
