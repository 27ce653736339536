//! `pilotlight bench`: the failover benchmarks; `cargo xtask bench failover` builds the release binary and calls it.

use crate::args::{BenchArgs, BenchCase};
use crate::bench::figure::Figure;
use crate::bench::leader;
use crate::bench::series::{Series, head};
use crate::bench::{aws, crash, failback, idle, region, switchover};
use crate::command::interrupt_or_hangup;
use crate::demo::DemoError;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::time::parse_duration;
use serde::Serialize;
use std::process::ExitCode;
use std::time::Duration;

/// Measures, prints a table. Exit 1 when a figure is missed.
pub(crate) async fn run(args: BenchArgs) -> Result<ExitCode, CliError> {
    let lease = parse_duration(&args.lease).ok_or_else(|| {
        CliError::say(Exit::Usage, format!("{} is not a duration", args.lease)).hint("for example 3s")
    })?;
    let measured = tokio::select! {
        measured = measure(&args, lease) => measured?,
        () = interrupt_or_hangup() => return Ok(Exit::Interrupted.into()),
    };
    if !measured.series.is_empty() {
        println!("{}", head());
        measured.series.iter().for_each(|one| println!("{}", one.line()));
    }
    if !measured.figures.is_empty() {
        println!("{}", Figure::head());
        measured.figures.iter().for_each(|one| println!("{}", one.line()));
    }
    if let Some(file) = &args.out {
        let text = serde_json::to_string_pretty(&measured).context("cannot write the measurements as JSON")?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let reached = measured.series.iter().all(Series::is_reached) && measured.figures.iter().all(|f| f.met);
    Ok(if reached { ExitCode::SUCCESS } else { Exit::Failed.into() })
}

/// What was measured, as the JSON file has it.
#[derive(Serialize)]
struct Measured {
    series: Vec<Series>,
    figures: Vec<Figure>,
}

async fn measure(args: &BenchArgs, lease: Duration) -> Result<Measured, DemoError> {
    let progress = |text: &str| eprintln!("  {text}");
    let (runs, guarantee) = (args.runs, args.guarantee.word());
    let of_aws = aws::Asked { runs, speed: args.speed };
    let (mut series, mut figures) = (Vec::new(), Vec::new());
    for case in &args.cases {
        match case {
            BenchCase::Crash => series.push(crash::measure(runs, guarantee, &progress).await?),
            BenchCase::Region => series.extend(region::measure(runs, guarantee, lease, &progress).await?),
            BenchCase::Switchover => series.push(switchover::measure(runs, guarantee, false, &progress).await?),
            BenchCase::Leader => {
                let asked = leader::Asked { runs, lease, guarantee };
                series.extend(leader::measure(asked, args.store.into(), &progress).await?);
            }
            BenchCase::Idle => figures.push(idle::measure(runs, guarantee, &progress).await?),
            BenchCase::Dirty => series.push(switchover::measure(runs, guarantee, true, &progress).await?),
            BenchCase::Aws => figures.extend(aws::measure(of_aws, &progress).await?),
            BenchCase::AwsMany => figures.extend(aws::many(of_aws, &progress).await?),
            BenchCase::Size => figures.push(aws::size()?),
            BenchCase::Failback => series.extend(failback::measure(runs, guarantee, &progress).await?),
        }
    }
    Ok(Measured { series, figures })
}
