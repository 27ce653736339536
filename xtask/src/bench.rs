//! `cargo xtask bench`: measures, prints a table, writes JSON where asked. Never part of the tests.
//!
//! Every figure comes with its range over at least ten repetitions, and with what the machine itself took meanwhile.

mod aws;
mod engine;
mod failover;
mod figures;
mod safety;

use anyhow::{Context, bail};

use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// What was asked for.
struct Options {
    repeat: usize,
    json: Option<PathBuf>,
}

/// Runs a benchmark; exit code 1 when a target is missed.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let Some((name, rest)) = arguments.split_first() else {
        bail!("which one? there are: aws, engine, failover, safety")
    };
    if name == "aws" {
        return aws::run(rest);
    }
    if name == "safety" {
        return safety::run(rest);
    }
    let options = read(rest)?;
    if name == "failover" {
        return failover::run(options.repeat, options.json.as_deref());
    }
    if cfg!(debug_assertions) {
        return again_in_release(arguments);
    }
    let table = match name.as_str() {
        "engine" => engine::run(options.repeat)?,
        other => bail!("there is no benchmark {other}; there are: aws, engine, failover, safety"),
    };
    print!("{table}");
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&table).context("the figures could not be written as JSON")?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(if table.all_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(mut arguments: &[String]) -> anyhow::Result<Options> {
    let mut options = Options { repeat: 10, json: None };
    while let [name, value, rest @ ..] = arguments {
        match name.as_str() {
            "--repeat" => options.repeat = value.parse().with_context(|| format!("--repeat {value}"))?,
            "--json" => options.json = Some(value.into()),
            other => bail!("unknown option {other}"),
        }
        arguments = rest;
    }
    match arguments {
        [] if options.repeat > 0 => Ok(options),
        [] => bail!("--repeat must be at least 1"),
        [left, ..] => bail!("{left} lacks its value"),
    }
}

/// Figures of a debug build say nothing.
fn again_in_release(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench"])
        .args(arguments)
        .status()
        .context("starting cargo for a release build")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}
