//! `pilotlight gate`: the gate of one PostgreSQL server, started by the agent beside it.

use crate::error::{CliError, Exit};
use std::process::ExitCode;

/// Runs until it is told to end. No runtime: nothing else may run in the process that confirms commits.
pub(crate) fn run() -> Result<ExitCode, CliError> {
    pilotlight_gate::run().map_err(|e| CliError::new(Exit::Failed, e))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Verb};
    use clap::Parser;

    #[test]
    fn it_may_say_whose_it_is_and_an_older_agent_does_not() {
        for words in [&["pilotlight", "gate", "database", "east"][..], &["pilotlight", "gate"]] {
            let cli = Cli::try_parse_from(words).expect("it is understood");
            assert!(matches!(cli.verb, Verb::Gate(_)), "{words:?}");
        }
    }
}
