//! `pilotlight measure`: the outside client of the plan, as a process of its own.
//!
//! Run it where users are, not in a region of the plan: what it sees is what they would have felt.

use crate::args::MeasureArgs;
use crate::command::interrupt;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::narrator::{Narrator, Voice};
use pilotlight_core::code;
use pilotlight_core::measure::{self, Traffic};
use pilotlight_core::plan::{Kind, Plan};
use pilotlight_core::time::{as_ms, show_duration};
use pilotlight_driver::clock::SystemClock;
use pilotlight_engine::measure::{Client, ClientError, ClientHandle, ClientLog, ClientParts, LastFailure, client};
use serde::Serialize;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// A request that takes longer has failed for a user.
const USER_PATIENCE: Duration = Duration::from_secs(1);

/// What to do about a log that is not whole.
const LOG_HINT: &str =
    "free space on its disk, or name another file with --log, and measure again for a log of the whole";

/// What was felt, for programs. Times in milliseconds.
#[derive(Debug, Serialize)]
struct Felt {
    #[serde(flatten)]
    traffic: Traffic,
    /// The longest time from a first failed to a first good request, or to the end; 0 when none failed.
    #[serde(with = "as_ms")]
    outage_ms: Duration,
    /// Whether that outage was not over at the end, so that nobody knows how long it is.
    outage_open: bool,
    /// Requests that could not be sent because too many were under way.
    skipped: u64,
    /// Requests that the request log has.
    logged: u64,
}

/// Sends until Ctrl-C or the end of `--for`; exit 1 when a request failed, or when the log does not have them all.
pub(crate) async fn run(args: &MeasureArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.view.plan.plan)?;
    let time = args.duration;
    let client = start(&plan, args).await?;
    let mut narrator = Narrator::new(if args.view.json { Voice::Stderr } else { Voice::Stdout });
    narrator.line(&beginning(&plan, args));
    tokio::select! {
        () = tell(&client, args, &mut narrator) => {}
        () = interrupt() => {}
        () = async { match time { Some(time) => tokio::time::sleep(time).await, None => std::future::pending().await } } => {}
    }
    narrator.done_waiting();
    let log = client.stop().await;
    let felt = felt(&log);
    if args.view.json {
        println!("{}", serde_json::to_string_pretty(&felt).map_err(|e| CliError::new(Exit::Bug, e))?);
    } else {
        show(&felt, args);
    }
    if let Some(why) = log.file_error {
        let ended = log.samples.len() as u64 + log.forgotten;
        let said = format!("the request log {} has {} of {ended} requests: {why}", args.log.display(), log.logged);
        return Err(CliError::say(Exit::Failed, said).code(code::FILE_NOT_WRITTEN.as_str()).hint(LOG_HINT));
    }
    Ok(if felt.traffic.failed == 0 { ExitCode::SUCCESS } else { Exit::Failed.into() })
}

/// What it does from now on: its requests are as real as those of users.
fn beginning(plan: &Plan, args: &MeasureArgs) -> String {
    let Some(measure) = &plan.measure else { return String::new() };
    let until = args.duration.map_or("until Ctrl-C".to_owned(), |time| format!("for {}", show_duration(time)));
    format!(
        "sends {} requests a second to {} {until}; they are real: what they write is written",
        measure.rate, measure.url
    )
}

async fn start(plan: &Plan, args: &MeasureArgs) -> Result<ClientHandle, CliError> {
    let measure = plan.measure.as_ref().ok_or_else(|| {
        CliError::say(Exit::Usage, "the plan has no `measure:` section")
            .code(code::PLAN_KEY_MISSING.as_str())
            .hint("it says where users go and how often to try")
    })?;
    let dns_server = name_server(plan, &measure.url).ok_or_else(|| {
        CliError::say(Exit::Usage, format!("no DNS component of the plan answers the name in {}", measure.url))
            .code(code::PLAN_CONTRADICTION.as_str())
            .hint("name one of the plan's DNS names in `measure.url`")
    })?;
    let parts = ClientParts {
        url: measure.url.clone(),
        dns_server,
        rate: measure.rate,
        timeout: USER_PATIENCE,
        log_path: args.log.clone(),
        keep: client::KEEP,
        clock: Arc::new(SystemClock),
    };
    Client::start(parts).await.map_err(|e| {
        let (code, hint) = match &e {
            ClientError::Log { .. } => (code::FILE_NOT_WRITTEN, "name another file with --log"),
            ClientError::Url { .. } => (code::PLAN_VALUE, "look at `measure.url` in the plan"),
            ClientError::Resolver(_) | ClientError::Http(_) => (code::MACHINE, "PILOTLIGHT_LOG=debug says more"),
        };
        CliError::new(code.exit().into(), e).code(code.as_str()).hint(hint)
    })
}

fn name_server(plan: &Plan, url: &str) -> Option<SocketAddr> {
    let host = reqwest::Url::parse(url).ok()?.host_str()?.to_ascii_lowercase();
    plan.components.values().find_map(|component| match &component.kind {
        Kind::Dns(dns) if dns.name.eq_ignore_ascii_case(&host) => Some(dns.server),
        _ => None,
    })
}

/// One line per change: served, not served, served elsewhere.
async fn tell(client: &ClientHandle, args: &MeasureArgs, narrator: &mut Narrator) {
    let mut live = client.watch();
    let (mut told, mut log_is_whole) = (String::new(), true);
    while live.changed().await.is_ok() {
        let now = live.borrow_and_update().clone();
        if let (Some(why), true) = (&now.file_error, log_is_whole) {
            log_is_whole = false;
            let (code, log) = (code::FILE_NOT_WRITTEN, args.log.display());
            narrator.event(&format!("{code}: nothing more is written to the request log {log}: {why}"));
            narrator
                .line("             measuring goes on; for a log of the whole, free space on its disk and start again");
        }
        let region = now.region.as_ref().map_or("nobody", |r| r.as_str());
        let state = match (now.acked_last_second, now.failed_last_second) {
            (0, 0) => continue,
            (_, 0) => format!("served by {region}"),
            (0, _) => {
                let why = now.last_failure.as_ref().map_or_else(String::new, LastFailure::words);
                format!("not served: {why}")
            }
            _ => continue,
        };
        if state != told {
            narrator.event(&state);
            told = state;
        }
        narrator
            .waiting(&format!("{} good, {} failed in the last second", now.acked_last_second, now.failed_last_second));
    }
}

fn felt(log: &ClientLog) -> Felt {
    let outage = measure::outage(&log.samples);
    let end = log.samples.iter().map(|s| s.end).max().unwrap_or_default();
    Felt {
        traffic: measure::traffic(&log.samples),
        outage_ms: outage.as_ref().map(|o| o.until.unwrap_or(end).since(o.from)).unwrap_or_default(),
        outage_open: outage.is_some_and(|o| o.until.is_none()),
        skipped: log.skipped,
        logged: log.logged,
    }
}

fn show(felt: &Felt, args: &MeasureArgs) {
    let Felt { traffic, outage_ms, outage_open, .. } = felt;
    let until = if *outage_open { "and not over when this ended" } else { "(first failed to first good request)" };
    println!("\n  requests        {}", traffic.requests);
    println!("  acknowledged    {}", traffic.acked);
    println!("  failed          {}", traffic.failed);
    println!("  longest outage  {} {until}", show_duration(*outage_ms));
    println!(
        "  longest gap     {} (without a good answer)",
        traffic.longest_gap_ms.map_or_else(|| "not measured".to_owned(), show_duration)
    );
    println!("  request log     {}", args.log.display());
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::time::{Mono, Wall};

    fn log(answers: &[bool]) -> ClientLog {
        let at = |i: usize| Mono(Duration::from_millis(i as u64 * 100));
        let sample = |(i, ok): (usize, &bool)| measure::Sample {
            id: i as u64,
            start: at(i),
            end: at(i + 1),
            wall: Wall(i as u64 * 100),
            ok: *ok,
            region: None,
        };
        ClientLog { samples: answers.iter().enumerate().map(sample).collect(), ..Default::default() }
    }

    #[test]
    fn an_outage_that_goes_on_is_as_long_as_was_looked() {
        let never = felt(&log(&[false; 30]));
        assert_eq!((never.outage_ms, never.outage_open), (Duration::from_secs(3), true));
        let over = felt(&log(&[true, false, false, true]));
        assert_eq!((over.outage_ms, over.outage_open), (Duration::from_millis(300), false));
        let none = felt(&log(&[true, true]));
        assert_eq!((none.outage_ms, none.outage_open), (Duration::ZERO, false));
    }
}
