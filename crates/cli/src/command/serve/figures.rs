//! Figures of Pilotlight itself for CloudWatch: what `status` and `run list` show, as numbers.
//!
//! Border: a task of its own that asks the API like everybody. Nothing waits for it, and what it cannot publish is lost.

use crate::operator::Operator;
use crate::wiring::aws::Aws;
use pilotlight_core::plan::aws::{AwsMetrics, Figure};
use pilotlight_core::plan::{Member, Plan};
use pilotlight_core::run::Condition;
use pilotlight_core::time::Wall;
use pilotlight_core::verdict::Verdict;
use pilotlight_server::api::view::{RunsView, StatusView};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Publishes until shutdown, where the plan says so, what this member says while it leads.
pub(super) async fn run(plan: Arc<Plan>, member: Member, token: String, shutdown: CancellationToken) {
    let Some(to) = plan.aws.metrics.clone() else { return };
    let operator = match Operator::with_token(&plan, token) {
        Ok(operator) => others(&plan, &member).fold(operator, Operator::without),
        Err(e) => return tracing::warn!("no figures are published: {:#}", e.cause),
    };
    let aws = Aws::of(&plan);
    let mut told = None;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(to.every) => {}
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = publish(&operator, &aws, &to, &mut told) => {}
        }
    }
}

fn others<'a>(plan: &'a Plan, member: &'a Member) -> impl Iterator<Item = &'a str> {
    plan.controller.members.iter().filter(|m| m.name != member.name).map(|m| m.url.trim_end_matches('/'))
}

/// `told`: until when ended runs were told.
async fn publish(operator: &Operator, aws: &Aws, to: &AwsMetrics, told: &mut Option<Wall>) {
    // Whoever does not lead has nothing to say.
    let (Ok(status), Ok(runs)) = (operator.get::<StatusView>("/v1/status").await, operator.get("/v1/runs").await)
    else {
        return;
    };
    let since = told.replace(status.at).unwrap_or(status.at);
    if let Err(failure) = aws.publish(to, &figures(&status, &runs, since)).await {
        tracing::warn!(region = to.region, "figures are not published: {failure}");
    }
}

/// What is published: `since` is when it was done last.
fn figures(status: &StatusView, runs: &RunsView, since: Wall) -> Vec<Figure> {
    let application = ("Application", status.application.to_string());
    let mut all = Vec::new();
    let mut add = |name, is_seconds, value, more: &[(&'static str, String)]| {
        let of = std::iter::once(application.clone()).chain(more.iter().cloned()).collect();
        all.push(Figure { name, is_seconds, value, of });
    };
    let flag = |is: bool| f64::from(u8::from(is));
    add("RpoObjective", true, status.rpo_ms.as_secs_f64(), &[]);
    add("Held", false, flag(status.hold.is_some()), &[]);
    add("OpenRuns", false, f64::from(u32::try_from(status.open_runs.len()).unwrap_or(u32::MAX)), &[]);
    for unit in &status.units {
        let well = unit.judgement.as_ref().is_some_and(|j| j.verdict == Verdict::Healthy);
        let of = ("Unit", unit.unit.to_string());
        add("Healthy", false, flag(well), std::slice::from_ref(&of));
        let open = unit.exposed.first().filter(|e| !e.over);
        let (lasted, risk) = open.map_or_else(Default::default, |e| (e.lasted_ms, e.at_risk_ms));
        add("ExposedFor", true, lasted.as_secs_f64(), std::slice::from_ref(&of));
        add("AtRisk", true, risk.as_secs_f64(), &[of]);
    }
    for region in &status.regions {
        let place = ("Region", region.region.to_string());
        add("Heard", false, flag(region.heard), std::slice::from_ref(&place));
        for seen in &region.components {
            let Some(lag) = seen.state.lag.as_ref().and_then(|lag| lag.seconds_ms) else { continue };
            add("Lag", true, lag.as_secs_f64(), &[place.clone(), ("Component", seen.component.to_string())]);
        }
    }
    let ended = runs.runs.iter().filter_map(|run| Some((run, run.ended.filter(|at| *at > since && *at <= status.at)?)));
    for (run, at) in ended {
        let verb = ("Verb", run.verb.to_string());
        let is_done = matches!(run.condition, Condition::Ended { result } if result.is_done());
        add("RunDuration", true, at.since(run.started).as_secs_f64(), std::slice::from_ref(&verb));
        add("RunFailed", false, flag(!is_done), &[verb]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_region_with_its_lag_and_a_run_that_ended_since_are_told_once() {
        let lag = json!({"seconds_ms": 1500, "quality": "provider-metric", "age_ms": 0});
        let copy = json!({"component": "db", "state": {"lag": lag}, "age_ms": 0});
        let status: StatusView = serde_json::from_value(json!({
            "application": "pay", "home": "east", "rto_ms": 60_000, "rpo_ms": 30_000, "version": "1", "uptime_ms": 1,
            "at": 10_000, "units": [], "shared": [], "open_runs": [],
            "regions": [{"region": "west", "heard_ms": 10, "heard": true, "components": [copy]}],
        }))
        .expect("a status");
        let runs: RunsView = serde_json::from_value(json!({"runs": [{
            "run": "r-1", "application": "pay", "unit": "pay", "verb": "failover", "from": "east", "to": "west", "epoch": 2,
            "by": "ann", "automatic": false, "why": "drill", "started": 4_000, "ended": 7_000,
            "condition": {"is": "ended", "result": "failed"},
        }]}))
        .expect("runs");
        let told = figures(&status, &runs, Wall(5_000));
        let value = |name| told.iter().find(|f| f.name == name).map(|f| f.value);
        assert_eq!((value("Lag"), value("Heard"), value("RpoObjective")), (Some(1.5), Some(1.0), Some(30.0)));
        assert_eq!((value("RunDuration"), value("RunFailed")), (Some(3.0), Some(1.0)));
        assert!(told.iter().all(|f| f.of[0] == ("Application", "pay".to_owned())), "{told:?}");
        let later = figures(&status, &runs, Wall(7_000));
        assert!(later.iter().all(|f| f.name != "RunDuration"), "it was told already");
    }
}
