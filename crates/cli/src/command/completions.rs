//! `pilotlight completions SHELL`.

use crate::args::Cli;
use crate::error::CliError;
use clap::CommandFactory;
use std::io::Write;
use std::process::ExitCode;

/// Prints the completion script of a shell.
pub(crate) fn print(shell: clap_complete::Shell) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "pilotlight", &mut script);
    std::io::stdout().write_all(&script).map_err(CliError::unprintable)?;
    Ok(ExitCode::SUCCESS)
}
