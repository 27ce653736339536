//! `pilotlight completions SHELL`.

use crate::args::Cli;
use clap::CommandFactory;
use std::process::ExitCode;

/// Prints the completion script of a shell.
pub(crate) fn print(shell: clap_complete::Shell) -> ExitCode {
    clap_complete::generate(shell, &mut Cli::command(), "pilotlight", &mut std::io::stdout());
    ExitCode::SUCCESS
}
