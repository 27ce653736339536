//! What users felt of a run, out of the log of the outside client.
//!
//! The client may have run on another machine: its requests and the run's records are laid on one axis by wall clocks. What
//! was lost is not in it, because nobody here asks the database.

use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::id::RunId;
use pilotlight_core::measure::Sample;
use pilotlight_core::plan::Plan;
use pilotlight_core::run::RunView;
use pilotlight_core::time::{Mono, Wall, show_wall};
use pilotlight_engine::RunSummary;
use pilotlight_engine::measure::{LogLine, read_log};
use pilotlight_engine::report::{Origin, Report, Session};
use pilotlight_server::api::view::RunsView;
use std::path::Path;
use std::time::Duration;

/// How long before the first sign of trouble users may have felt it.
const BEFORE: Duration = Duration::from_secs(60);

/// How long after its end a run's change may take to reach users.
const AFTER: Duration = Duration::from_secs(300);

/// The log of the outside client.
pub(super) fn read(requests: &Path) -> Result<Vec<LogLine>, CliError> {
    read_log(requests).map_err(|e| unreadable(requests, e))
}

/// The report of an ended run with what the requests of a log say.
pub(super) async fn report(
    plan: &Plan,
    operator: &Operator,
    run: &RunId,
    (requests, lines): (&Path, &[LogLine]),
) -> Result<Report, CliError> {
    let view: RunView = operator.get(&format!("/v1/runs/{run}")).await?;
    let Some(ended) = view.ended else {
        return Err(CliError::say(Exit::Failed, format!("run {run} has not ended, so its report is not whole"))
            .code(code::NO_SUCH_RUN.as_str())
            .hint(format!("`pilotlight run watch {run}` follows it to its end")));
    };
    let others: RunsView = operator.get("/v1/runs").await?;
    let samples = between(lines, window(&view, ended, &others.runs));
    if !samples.iter().any(|s| s.wall <= ended) || !samples.iter().any(|s| s.wall >= view.started) {
        let (from, until) = (show_wall(view.started), show_wall(ended));
        let why =
            anyhow::anyhow!("the run went on from {from} to {until}, and no request was sent before and after that");
        return Err(unfit(requests, why));
    }
    Ok(make(plan, &view, &samples, requests))
}

fn unfit(requests: &Path, why: anyhow::Error) -> CliError {
    let what = format!("{} says nothing of this run", requests.display());
    CliError::new(Exit::Usage, why.context(what))
        .code(code::REQUESTS_UNFIT.as_str())
        .hint("name the log that `pilotlight measure` wrote while the run went on")
}

/// What is no log of ours says nothing; what cannot be read may say much.
fn unreadable(requests: &Path, why: std::io::Error) -> CliError {
    if why.kind() == std::io::ErrorKind::InvalidData {
        return unfit(requests, why.into());
    }
    let what = format!("the request log {} cannot be read", requests.display());
    CliError::new(Exit::Usage, anyhow::Error::new(why).context(what))
        .code(code::REQUESTS_UNFIT.as_str())
        .hint("is the name right? it is the file that `pilotlight measure --log` wrote")
}

/// The time around a run, as far as no other move has a claim to it: an outage begins before the run it leads to, and lasts
/// longer.
fn window(run: &RunView, ended: Wall, others: &[RunSummary]) -> (Wall, Wall) {
    let moves = || others.iter().filter(|o| o.unit == run.unit && o.run != run.run && o.from != o.to);
    let before = moves().filter_map(|o| o.ended).filter(|ended| *ended <= run.started).max();
    let after = moves().map(|o| o.started).filter(|started| *started > run.started).min();
    let from = Wall(seen(run).0.saturating_sub(ms(BEFORE)));
    let until = Wall(ended.0.saturating_add(ms(AFTER)));
    (before.map_or(from, |at| at.max(from)), after.map_or(until, |at| at.min(until)))
}

/// The first sign of trouble, or the start.
fn seen(run: &RunView) -> Wall {
    run.cause.first_seen.unwrap_or(run.started).min(run.started)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn between(lines: &[LogLine], (from, until): (Wall, Wall)) -> Vec<Sample> {
    lines.iter().filter_map(LogLine::sample).filter(|s| from <= s.wall && s.wall < until).collect()
}

fn make(plan: &Plan, view: &RunView, samples: &[Sample], requests: &Path) -> Report {
    let first = samples.iter().min_by_key(|s| s.wall);
    let wall = first.map_or(seen(view), |s| s.wall.min(seen(view)));
    // The same moment on the client's steady clock.
    let mono = first.map_or(Mono::default(), |s| Mono(s.start.0.saturating_sub(s.wall.since(wall))));
    let note = format!(
        "What users felt is in {}, laid beside the run by wall clocks: as exact as the two machines' clocks agree. Whether \
         acknowledged requests were lost was not looked at.",
        requests.display()
    );
    Session::of_run(plan, view, Origin { wall, mono }, samples, note).report()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::SAMPLE;
    use pilotlight_engine::measure::RequestOutcome;
    use serde_json::json;

    /// A failover from 100 s to 103 s that was first seen to be needed at 99 s.
    fn run() -> RunView {
        let value = json!({
            "run": "failover-2", "unit": "payments", "epoch": 2, "application": "payments", "from": "east",
            "intent": { "unit": "payments", "verb": "failover", "mode": "ungraceful",
                        "target": { "writer": "west", "traffic": { "west": 100 } } },
            "cause": { "by": "pilotlight", "automatic": true, "why": "lost", "evidence": [], "first_seen": 99_000 },
            "started": 100_000, "ended": 103_000, "condition": { "is": "ended", "result": "done" },
            "past_return": true, "seq": 20, "steps": [],
        });
        serde_json::from_value(value).unwrap()
    }

    fn other(name: &str, started: u64, ended: u64) -> RunSummary {
        let value = json!({
            "run": name, "unit": "payments", "application": "payments", "verb": "switchover", "from": "west", "to": "east",
            "epoch": 1, "by": "ada", "automatic": false, "why": "", "started": started, "ended": ended,
            "condition": { "is": "ended", "result": "done" },
        });
        serde_json::from_value(value).unwrap()
    }

    /// One request each half second of a client whose steady clock stands at 7 s when it is second 0; none works from 98 s
    /// to 104 s.
    fn lines() -> Vec<LogLine> {
        let line = |n: u64| LogLine {
            id: format!("c-{n}"),
            start_us: 7_000_000 + n * 500_000,
            end_us: 7_001_000 + n * 500_000,
            wall_ms: n * 500,
            outcome: if (196..208).contains(&n) { RequestOutcome::Error } else { RequestOutcome::Acked },
            region: None,
            address: None,
            error: None,
        };
        (0..2_000).map(line).collect()
    }

    #[test]
    fn a_log_that_cannot_be_read_is_not_said_to_say_nothing() {
        let path = tempfile::tempdir().unwrap().path().join("nofile");
        let error = unreadable(&path, read_log(&path).unwrap_err());
        assert!(format!("{:#}", error.cause).contains("nofile cannot be read: "), "{error:?}");
        let nonsense = unreadable(&path, std::io::Error::from(std::io::ErrorKind::InvalidData));
        assert!(nonsense.cause.to_string().contains("says nothing of this run"), "{nonsense:?}");
    }

    #[test]
    fn what_users_felt_stands_in_the_report() {
        let (view, plan) = (run(), Plan::read(SAMPLE, "sample.yaml").unwrap());
        let samples = between(&lines(), window(&view, Wall(103_000), &[]));
        let report = make(&plan, &view, &samples, Path::new("requests.jsonl"));
        let outage = report.moves[0].impact.as_ref().and_then(|i| i.outage).expect("an outage");
        assert_eq!(outage.length_ms(), 6_001, "from the first failed to the first good request");
        assert_eq!(report.rto.measured_ms, Some(6_001));
        let axis = |at: u64| at - report.origin.0;
        assert_eq!(outage.from_ms, axis(98_000), "on the run's axis");
    }

    #[test]
    fn a_request_belongs_to_the_move_it_was_sent_around() {
        let span = |others: &[RunSummary]| window(&run(), Wall(103_000), others);
        assert_eq!(span(&[]), (Wall(39_000), Wall(403_000)));
        let near = [other("a", 10_000, 60_000), other("b", 200_000, 210_000), other("c", 300_000, 310_000)];
        assert_eq!(span(&near), (Wall(60_000), Wall(200_000)));
    }
}
