//! `cargo xtask bench safety`: real faults of real PostgreSQL, played by the release binary itself (`pilotlight safety`).

use anyhow::Context;
use std::process::{Command, ExitCode};

/// Builds the release binary and lets it measure. What is asked for goes to it as it is, but for the file's option.
pub(crate) fn run(words: &[String]) -> anyhow::Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut measure = Command::new(cargo);
    measure.args(["run", "--quiet", "--release", "--package", "pilotlight", "--", "safety"]);
    measure.args(words.iter().map(|word| if word == "--json" { "--out" } else { word }));
    let status = measure.status().context("starting cargo for a release build")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
