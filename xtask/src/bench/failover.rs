//! `cargo xtask bench failover`: real moves of real PostgreSQL beside the floor, measured by the release binary itself.
//!
//! The measuring is in the binary (`pilotlight bench`) and not here, because it wires the drivers.

use anyhow::Context;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Builds the release binary and lets it measure.
pub(crate) fn run(repeat: usize, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut measure = Command::new(cargo);
    measure.args(["run", "--quiet", "--release", "--package", "pilotlight", "--", "bench", "--runs"]);
    measure.arg(repeat.to_string());
    if let Some(file) = json {
        measure.arg("--out").arg(std::path::absolute(file).context("the path of the JSON file")?);
    }
    let status = measure.status().context("starting cargo for a release build")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
