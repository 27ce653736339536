//! `pilotlight gate`: the gate of one PostgreSQL server, started by the agent beside it.

use crate::error::{CliError, Exit};
use std::process::ExitCode;

/// Runs until it is told to end. No runtime: nothing else may run in the process that confirms commits.
pub(crate) fn run() -> Result<ExitCode, CliError> {
    pilotlight_gate::run().map_err(|e| CliError::new(Exit::Failed, e))?;
    Ok(ExitCode::SUCCESS)
}
