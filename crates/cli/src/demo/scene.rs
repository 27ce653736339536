//! The demo while it runs: the stage, the controller's view of it and the story told about it.

use super::DemoError;
use super::stage::Stage;
use super::watch::Snapshot;
use crate::error::CliError;
use crate::narrator::Narrator;
use crate::operator::Operator;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_server::api::view::RunsView;
use std::time::Duration;

/// How often the demo looks at what it waits for.
const LOOK: Duration = Duration::from_millis(25);

/// Everything an act needs.
pub(crate) struct Scene<'a> {
    pub(crate) stage: &'a mut Stage,
    pub(crate) narrator: &'a mut Narrator,
    pub(crate) operator: Operator,
}

impl Scene<'_> {
    /// Time now.
    pub(crate) fn now(&self) -> Mono {
        SystemClock.mono()
    }

    /// The controller's view, or why there is none.
    pub(crate) async fn look(&self) -> Result<Snapshot, String> {
        let failed = |e: CliError| format!("{:#}", e.cause);
        let status = self.operator.get("/v1/status").await.map_err(failed)?;
        let runs: RunsView = self.operator.get("/v1/runs").await.map_err(failed)?;
        Ok(Snapshot::of(status, runs.runs))
    }

    /// Waits until the controller's view gives an answer. `ask` says what it saw when it is not yet so.
    pub(crate) async fn until<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut ask: impl FnMut(&Snapshot) -> Result<T, String>,
    ) -> Result<T, DemoError> {
        self.narrator.waiting(what);
        let end = self.now() + within;
        loop {
            let seen = match self.look().await {
                Ok(snapshot) => match ask(&snapshot) {
                    Ok(answer) => {
                        self.narrator.done_waiting();
                        return Ok(answer);
                    }
                    Err(seen) => seen,
                },
                Err(unreachable) => unreachable,
            };
            if let Some(dead) = self.stage.first_dead() {
                return Err(DemoError::Ended(dead));
            }
            if self.now() > end {
                return Err(DemoError::Waited { what: what.to_owned(), seconds: within.as_secs(), seen });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets time pass while the story's last line moves.
    pub(crate) async fn pass(&mut self, what: &str, time: Duration) {
        self.narrator.waiting(what);
        tokio::time::sleep(time).await;
        self.narrator.done_waiting();
    }
}
