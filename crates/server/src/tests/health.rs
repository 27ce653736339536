//! Health checks from several places: shown, part of the evidence, and never by themselves a reason to move a writer.

use super::lab::Lab;
use crate::api::view::{DecisionView, StatusView};
use pilotlight_core::effect::{HttpMethod, Probe};
use pilotlight_core::health::Health;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{HealthPlan, Plan};
use pilotlight_core::verdict::Witness;
use std::time::Duration;

fn front(plan: &mut Plan, move_after: Option<Duration>) {
    let timeout_ms = Duration::from_secs(1);
    let probe = |url: &str| Probe::Http {
        url: url.to_owned(),
        method: HttpMethod::Get,
        status: None,
        body_contains: None,
        timeout_ms,
    };
    let check = HealthPlan {
        unit: plan.units().into_iter().next().expect("one unit").clone(),
        probe: None,
        regions: [("east".into(), probe("http://front-east/")), ("west".into(), probe("http://front-west/"))].into(),
        every: Duration::from_millis(100),
        failures: 3,
        recoveries: 2,
        latency: None,
        from: Vec::new(),
        quorum: None,
        move_after,
        alarms: std::collections::BTreeMap::new(),
    };
    plan.health.insert("front".into(), check);
}

fn health(status: &StatusView, region: &str) -> Option<Health> {
    let all = &status.units[0].judgement.as_ref()?.health;
    all.iter().find(|h| h.question.region == Some(region.into())).map(|h| h.health)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sick_service_is_seen_from_elsewhere_and_its_healthy_writer_stays() {
    let lab = Lab::up(|plan| front(plan, None)).await;
    let well = |s: &StatusView| ["east", "west"].iter().all(|r| health(s, r) == Some(Health::Healthy));
    let status = lab.until("both fronts are healthy", well).await;
    let of_east = &status.units[0].judgement.as_ref().unwrap().health[0];
    let asked: Vec<&Witness> = of_east.voices.iter().map(|v| &v.by).collect();
    assert_eq!(asked, [&Witness::Agent("west".into()), &Witness::Controller], "all but its own agent");
    lab.world.probe_works("http://front-east/", false);
    let status = lab.until("the service is unhealthy", |s| s.is("service unhealthy")).await;
    let evidence = format!("{:?}", status.units[0].judgement.as_ref().unwrap().evidence);
    assert!(evidence.contains("front in east is unhealthy") && evidence.contains("does not work"), "{evidence}");
    let DecisionView::Hold { why, code } = &status.units[0].decision else { panic!("{status:#?}") };
    assert!(why.contains("leaves that to a person") && code.as_deref() == Some("PL-0226"), "{why}");
    lab.world.probe_works("http://front-east/", true);
    lab.until("all is well again", |s| s.is_well("east")).await;
    assert_eq!(lab.runs().await, vec![]);
    assert_eq!(lab.world.writers("database"), ["east".into()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_heard_as_one_more_voice_and_makes_nothing_unhealthy_alone() {
    const ALARM: &str = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:front";
    let lab = Lab::up(|plan| {
        front(plan, None);
        let front = plan.health.get_mut(&"front".into()).expect("there");
        front.from = vec!["controller".to_owned()];
        front.alarms = [("east".into(), ALARM.to_owned())].into();
    })
    .await;
    let voices = |s: &StatusView| s.units[0].judgement.as_ref().map(|j| j.health[0].voices.clone()).unwrap_or_default();
    lab.until("both are asked and well", |s| health(s, "east") == Some(Health::Healthy)).await;
    lab.world.probe_works(ALARM, false);
    let raised = |s: &StatusView| voices(s).iter().any(|v| v.health == Health::Unhealthy);
    let status = lab.until("the alarm is heard", raised).await;
    assert_eq!(voices(&status).len(), 2, "the controller and the alarm");
    assert_eq!(health(&status, "east"), Some(Health::Healthy), "one of two is no quorum");
    lab.world.probe_works("http://front-east/", false);
    lab.until("both say so", |s| health(s, "east") == Some(Health::Unhealthy)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_plan_says_so_the_writer_moves_with_its_service_and_only_once() {
    let lab = Lab::up(|plan| front(plan, Some(Duration::from_secs(1)))).await;
    lab.world.probe_works("http://front-east/", false);
    assert_eq!(lab.until_ended(1).await, [Verb::Switchover]);
    lab.until("the writer is in west and all is well", |s| s.is_well("west")).await;
    // Sick there too: the move before bars another.
    lab.world.probe_works("http://front-west/", false);
    let bars = |s: &StatusView| match &s.units[0].decision {
        DecisionView::Hold { code, .. } => code.as_deref() == Some("PL-0224"),
        DecisionView::Start { .. } => false,
    };
    lab.until("the cool-down holds", bars).await;
    assert_eq!(lab.runs().await.len(), 1);
    lab.no_rule_was_broken();
}
