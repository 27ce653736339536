//! What people ask for: planned moves, dry runs, pauses, acknowledgements, reports.

use super::lab::{Lab, reports};
use super::wait::{LONGEST, until};
use crate::api::view::{
    AcknowledgeReply, AcknowledgeRequest, Action, ControlRequest, DecisionView, MoveReply, RecordsView, StatusView,
};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::RunId;
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{DecisionMode, RejoinMode};
use pilotlight_core::run::{Condition, Event, RunResult, RunView};
use pilotlight_core::runbook::Runbook;
use pilotlight_driver::fake::{Applied, Misbehaviour};
use std::time::Duration;

pub(super) fn started(reply: MoveReply) -> RunId {
    match reply {
        MoveReply::Started { run } => run,
        MoveReply::DryRun { .. } => panic!("a dry run was not asked for"),
    }
}

/// Starts a move once it is allowed: right after another one the unit may still change, as when it gets its candidate.
pub(super) async fn begun(lab: &Lab, verb: Verb, to: Option<&str>) -> RunId {
    let ask = async || lab.start_move(verb, to, false).await.map(started).map_err(|e| format!("{e:?}"));
    until("the move is allowed", ask).await
}

#[tokio::test(flavor = "multi_thread")]
async fn there_and_back_without_a_loss() {
    let lab = Lab::up(|_| ()).await;
    for _ in 0..50 {
        lab.world.write("database", "east").unwrap();
    }
    started(lab.start_move(Verb::Switchover, None, false).await.unwrap());
    lab.until("west is well", |s| s.is_well("west")).await;
    assert_eq!(lab.world.missing("database", "west"), vec![]);
    lab.world.write("database", "west").unwrap();
    begun(&lab, Verb::Failback, None).await;
    lab.until("east is well", |s| s.is_well("east")).await;
    assert_eq!(lab.world.missing("database", "east"), vec![]);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_and_a_runbook_touch_nothing() {
    let lab = Lab::up(|_| ()).await;
    let sentinels = |a: &pilotlight_driver::fake::Applied| !matches!(a.effect, Effect::WriteSentinel { .. });
    let before = lab.world.journal().into_iter().filter(sentinels).count();
    let reply = lab.start_move(Verb::Failover, Some("west"), true).await.unwrap();
    let MoveReply::DryRun { runbook, steps, findings } = reply else { panic!("it was started") };
    assert_eq!(findings.iter().map(|f| f.code.as_str()).collect::<Vec<_>>(), ["PL-0232"], "east is not lost");
    assert_eq!(steps.len(), runbook.steps.len());
    let shown: Runbook = lab.ask("/v1/runbook?verb=failover&target=west").await.unwrap();
    assert_eq!(shown, *runbook);
    assert_eq!(lab.world.journal().into_iter().filter(sentinels).count(), before);
    assert_eq!(lab.runs().await, vec![]);
    assert_eq!(lab.status().await.unwrap().units[0].epoch.map(|e| e.0), Some(1));
}

/// The refusal says what the copy is; only its driver knows more.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_dry_run_says_what_drivers_find_all_the_same() {
    let lab = Lab::up(|p| p.policy.rejoin = RejoinMode::Manual).await;
    let (code, message, hint) = ("PL-0701".to_owned(), "it is gone".to_owned(), String::new());
    lab.world.findings(vec![Finding { code, severity: Severity::Blocker, message, hint }]);
    lab.world.set_role("database", "west", |_| Role::Unresponsive);
    let body = until("west is seen to hang", async || match lab.start_move(Verb::Switchover, None, true).await {
        Err((409, body)) if body.code == "PL-0207" => Ok(body),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(body.findings.iter().any(|f| f.code == "PL-0701" && f.severity == Severity::Blocker), "{body:?}");
    let (_, body) = lab.start_move(Verb::Switchover, None, false).await.unwrap_err();
    assert_eq!(body.findings, vec![], "drivers are asked for a dry run only");
    assert_eq!(lab.runs().await, vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_with_code_and_evidence() {
    let lab = Lab::up(|_| ()).await;
    let (status, body) = lab.start_move(Verb::Switchover, Some("east"), false).await.unwrap_err();
    assert_eq!((status, body.code.as_str()), (409, "PL-0201"), "{body:?}");
    assert!(!body.hint.is_empty() && !body.evidence.is_empty(), "{body:?}");
    let (_, body) = lab.start_move(Verb::Failover, Some("mars"), true).await.unwrap_err();
    assert_eq!(body.code, "PL-0202", "{body:?}");
    let control = ControlRequest { action: Action::Pause, step: None, by: "ada".to_owned(), why: String::new() };
    let (status, body) = lab.send::<RunView>("/v1/runs/failover-1/control", &control).await.unwrap_err();
    assert_eq!((status, body.code.as_str()), (404, "PL-0601"), "{body:?}");
    let error = lab.ask::<RunView>("/v1/runs/failover-1").await.unwrap_err();
    assert!(error.contains("404") && error.contains("PL-0601"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_cannot_be_seen_is_refused_and_told_with_its_reason() {
    let lab = Lab::up(|_| ()).await;
    let says = "PL-0701: pg_controldata is not in /nowhere";
    let of = |region: &str| Target { component: "database".into(), region: Some(region.into()) };
    let missing = || Some(Failure::rejected(says).hint("install it"));
    lab.world.blind(&of("west"), missing());
    let refused = until("the standby is not seen any more", async || {
        match lab.start_move(Verb::Switchover, Some("west"), true).await {
            Err((_, body)) if body.code == "PL-0860" => Ok(body),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert!(refused.message.contains(says) && refused.message.contains("install it"), "{refused:?}");
    assert!(refused.hint.contains("mend") && !refused.hint.contains("rejoin"), "{refused:?}");

    lab.world.blind(&of("east"), missing());
    let status = lab.until("the writer is not seen", |s| s.is("unknown")).await;
    let evidence = format!("{:?}", status.units[0].judgement.as_ref().unwrap().evidence);
    assert!(evidence.contains(says), "{evidence}");
    let DecisionView::Hold { code, why } = &status.units[0].decision else { panic!("{status:#?}") };
    assert_eq!(code.as_deref(), Some("PL-0860"));
    assert!(why.contains("mend what the evidence names") && why.contains("`pilotlight failover`"), "{why}");
    lab.world.blind(&of("east"), None);
    lab.world.blind(&of("west"), None);
    lab.until("all is seen again", |s| s.is_well("east")).await;
    assert_eq!(lab.runs().await, vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejoin_to_the_region_that_came_back_is_refused_and_touches_nothing() {
    let lab = Lab::up(|p| p.policy.rejoin = RejoinMode::Manual).await;
    let named = async |dry_run| lab.start_move(Verb::Rejoin, Some("west"), dry_run).await.unwrap_err();
    assert_eq!(named(true).await.1.code, "PL-0217", "while it follows");
    // The old writer was started by hand: until its agent has silenced it, two seem to write.
    lab.world.set_role("database", "west", |_| Role::Writer);
    for dry_run in [true, false] {
        let (status, refused) = named(dry_run).await;
        assert_eq!((status, refused.code.as_str()), (409, "PL-0217"), "{refused:?}");
        assert!(refused.hint.contains("`pilotlight switchover`"), "{refused:?}");
    }
    let error = lab.ask::<Runbook>("/v1/runbook?verb=rejoin&target=west").await.unwrap_err();
    assert!(error.contains("PL-0217"), "{error}");
    let status = lab.until("what came back is silent", |s| s.is_well("east")).await;
    assert_eq!(status.units[0].writer, Some("east".into()));
    assert_eq!(lab.runs().await, vec![]);
    let fenced = |a: &Applied| matches!(&a.effect, Effect::Fence { region, .. } if region.as_str() == "east");
    assert!(!lab.world.journal().iter().any(fenced), "{:?}", lab.world.journal());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failback_goes_nowhere_but_home() {
    let lab = Lab::up(|_| ()).await;
    for dry_run in [true, false] {
        let (status, refused) = lab.start_move(Verb::Failback, Some("west"), dry_run).await.unwrap_err();
        assert_eq!((status, refused.code.as_str()), (400, "PL-0602"), "{refused:?}");
        assert!(refused.hint.contains("pilotlight switchover --to west"), "{refused:?}");
    }
    assert_eq!(lab.runs().await, vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_the_plan_does_not_have_is_told_with_those_it_has() {
    let lab = Lab::up(|_| ()).await;
    let error = lab.ask::<Runbook>("/v1/runbook?verb=switchover&unit=nothing").await.unwrap_err();
    assert!(error.contains("PL-0871") && error.contains("the plan has no unit nothing"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_paused_and_resumed() {
    let lab = Lab::up(|_| ()).await;
    // Slow enough to be met on the way, on a busy machine too.
    lab.world.on_effect(|e| matches!(e, Effect::Checkpoint { .. }), 1, Misbehaviour::Delay(Duration::from_secs(6)));
    let run = started(lab.start_move(Verb::Switchover, Some("west"), false).await.unwrap());
    let early = lab.ask::<serde_json::Value>(&format!("/v1/runs/{run}/report.json")).await.unwrap_err();
    assert!(early.contains("PL-0601"), "{early}");
    let (status, body) = lab.start_move(Verb::Failover, Some("west"), false).await.unwrap_err();
    assert_eq!((status, body.code.as_str()), (409, "PL-0221"), "{body:?}");
    let control = |action| ControlRequest { action, step: None, by: "ada".to_owned(), why: "lunch".to_owned() };
    let path = format!("/v1/runs/{run}/control");
    lab.send::<RunView>(&path, &control(Action::Pause)).await.unwrap();
    until("it waits", async || match lab.run(&run).await.condition {
        Condition::Waiting { why } if why[0].contains("lunch") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    lab.send::<RunView>(&path, &control(Action::Resume)).await.unwrap();

    let (mut from, mut seqs) = (1, Vec::new());
    let ended = tokio::time::timeout(LONGEST, async {
        loop {
            let path = format!("/v1/runs/{run}/records?from={from}&wait_ms=5000");
            let view: RecordsView = lab.ask(&path).await.unwrap();
            seqs.extend(view.records.iter().map(|r| r.seq));
            from = seqs.last().copied().unwrap_or(0) + 1;
            if view.ended {
                return;
            }
        }
    });
    ended.await.unwrap_or_else(|_| panic!("the run did not end: {seqs:?}"));
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "every record once");
    lab.until("west is well", |s| s.is_well("west")).await;

    let path = format!("/v1/runs/{run}/report.json");
    let report: serde_json::Value = lab.ask(&path).await.unwrap();
    assert_eq!(report["moves"][0]["run"], run.as_str(), "{report}");
    // The controller may have died before it could write it.
    std::fs::remove_dir_all(reports(&lab.folder().join("controller")).join(run.as_str())).unwrap();
    assert_eq!(lab.ask::<serde_json::Value>(&path).await.unwrap(), report);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failover_by_itself_then_a_person_acknowledges() {
    let mut lab = Lab::up(|_| ()).await;
    let by = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: false };
    let unit = lab.status().await.unwrap().units[0].unit.clone();
    let path = format!("/v1/units/{unit}/acknowledge");
    let reply: AcknowledgeReply = lab.send(&path, &by).await.unwrap();
    assert!(!reply.was_open, "nothing has failed over yet");
    lab.lose("east");
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.world.heal("east");
    lab.start_agent("east");
    lab.until_ended(2).await;
    let cools = |s: &crate::api::view::StatusView| s.units[0].cooling_down.is_some() && s.units[0].candidate.is_some();
    lab.until("it is cooling down", |s| s.is_well("west") && s.knows_exposure() && cools(s)).await;
    lab.world.kill("database", "west");
    let holds = |s: &crate::api::view::StatusView| match &s.units[0].decision {
        DecisionView::Hold { why, .. } => why.contains("acknowledge`"),
        DecisionView::Start { .. } => false,
    };
    lab.until("it holds still", holds).await;
    let reply: AcknowledgeReply = lab.send(&path, &by).await.unwrap();
    assert!(reply.was_open);
    lab.until("east is well", |s| s.is_well("east")).await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn right_after_a_move_nobody_is_said_to_be_led_elsewhere_and_the_same_move_again_is_refused() {
    let lab = Lab::up(|_| ()).await;
    // So that the newest look is one from before for as long as it takes to ask.
    lab.world.looks_take(&Target { component: "name".into(), region: None }, Duration::from_millis(700));
    for (number, (verb, to)) in [(Verb::Switchover, "west"), (Verb::Failback, "east")].into_iter().enumerate() {
        begun(&lab, verb, Some(to)).await;
        lab.until_ended(number + 1).await;
        let over = |s: &crate::api::view::StatusView| s.units[0].run.is_none();
        let status = lab.until("the unit is let go of", over).await;
        assert!(status.units[0].led_elsewhere.is_empty(), "{status:#?}");
        let (code, body) = lab.start_move(verb, Some(to), false).await.unwrap_err();
        assert_eq!((code, body.code.as_str()), (409, "PL-0201"), "{body:?}");
        assert_eq!(lab.runs().await.len(), number + 1);
    }
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_lost_moves_nothing_until_a_person_has_looked_and_leases_go_on() {
    let mut lab = Lab::up(|_| ()).await;
    started(lab.start_move(Verb::Switchover, None, false).await.unwrap());
    lab.until_ended(1).await;
    lab.until("west is well", |s| s.is_well("west") && s.knows_exposure()).await;
    lab.kill_controller();
    lab.forget_the_store();
    lab.start_controller();
    let behind = |s: &crate::api::view::StatusView| match &s.units[0].decision {
        DecisionView::Hold { code, why } => code.as_deref() == Some("PL-0874") && why.contains("--raise-epoch"),
        DecisionView::Start { .. } => false,
    };
    let held = |s: &crate::api::view::StatusView| matches!(s.units[0].lease, LeaseSight::Held { .. });
    lab.until("it holds still and the lease goes on", |s| behind(s) && held(s)).await;
    let (status, body) = lab.start_move(Verb::Failback, None, false).await.unwrap_err();
    assert_eq!((status, body.code.as_str()), (409, "PL-0874"), "{body:?}");
    let dry = lab.start_move(Verb::Failback, None, true).await;
    let Ok(MoveReply::DryRun { findings, .. }) = &dry else { panic!("{dry:?}") };
    assert!(findings.iter().any(|f| f.code == "PL-0874" && f.severity == Severity::Blocker), "{findings:?}");
    let unit = lab.status().await.unwrap().units[0].unit.clone();
    let word = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: true };
    lab.send::<AcknowledgeReply>(&format!("/v1/units/{unit}/acknowledge"), &word).await.unwrap();
    lab.until("west is well", |s| s.is_well("west") && !behind(s)).await;
    begun(&lab, Verb::Failback, None).await;
    lab.until("east is well", |s| s.is_well("east")).await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_failover_is_not_approved_once_the_writer_works_again() {
    let mut lab = Lab::up(|p| p.policy.mode = DecisionMode::ApproveFirst).await;
    lab.kill_agent("east");
    lab.world.cut("east");
    let waits = |s: &StatusView| s.open_runs.iter().any(|r| matches!(r.condition, Condition::Waiting { .. }));
    let run = lab.until("a run waits", waits).await.open_runs[0].run.clone();
    lab.world.heal("east");
    lab.start_agent("east");
    lab.until("east is healthy again", |s| s.is("healthy")).await;
    let asks = lab.run(&run).await.steps.into_iter().find(|s| s.status.to_string() == "awaiting approval").unwrap().id;
    let control = |action, step| ControlRequest { action, step, by: "ada".to_owned(), why: String::new() };
    let path = format!("/v1/runs/{run}/control");
    let (status, refused) = lab.send::<RunView>(&path, &control(Action::Approve, Some(asks))).await.unwrap_err();
    assert_eq!(status, 409, "{refused:?}");
    assert!(refused.message.contains("east works again") && refused.hint.contains("run abort"), "{refused:?}");
    assert!(!refused.evidence.is_empty());
    lab.send::<RunView>(&path, &control(Action::Abort, None)).await.unwrap();
    lab.until("east is well", |s| s.is_well("east")).await;
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prepared_failover_is_withdrawn_once_the_writer_works_and_is_not_in_the_way_of_the_next() {
    let mut lab = Lab::up(|p| {
        p.policy.mode = DecisionMode::ApproveFirst;
        p.policy.withdraw_after = Duration::from_millis(500);
    })
    .await;
    let waiting = |s: &StatusView| {
        let waits = s.open_runs.iter().find(|r| matches!(r.condition, Condition::Waiting { .. }));
        waits.map(|r| r.run.clone())
    };
    lab.kill_agent("east");
    lab.world.cut("east");
    let first = waiting(&lab.until("a run waits", |s| waiting(s).is_some()).await).unwrap();
    lab.world.heal("east");
    lab.start_agent("east");
    let over = |s: &StatusView| s.is("healthy") && s.units[0].run.is_none() && s.units[0].cooling_down.is_none();
    lab.until("the unit is free again, and nothing bars the next", over).await;
    assert_eq!(lab.run(&first).await.condition, Condition::Ended { result: RunResult::Withdrawn });
    let records: RecordsView = lab.ask(&format!("/v1/runs/{first}/records?from=1")).await.unwrap();
    let evidence = records.records.iter().find_map(|r| match &r.event {
        Event::Withdrawn { why, evidence } => Some((why.clone(), evidence.clone())),
        _ => None,
    });
    let (why, evidence) = evidence.expect("it says why");
    assert!(why.starts_with("east has worked for") && !evidence.is_empty(), "{why} {evidence:?}");
    lab.world.set_role("database", "west", |_| Role::Standby { upstream: Some("east".into()), streaming: true });
    lab.until("east is well", |s| s.is_well("east") && s.knows_exposure()).await;
    lab.lose("east");
    let second = waiting(&lab.until("the next one waits", |s| waiting(s).is_some()).await).unwrap();
    assert_ne!(first, second);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn approve_first_asks_before_it_moves() {
    let mut lab = Lab::up(|p| p.policy.mode = DecisionMode::ApproveFirst).await;
    lab.lose("east");
    let status = lab
        .until("a run waits", |s| s.open_runs.iter().any(|r| matches!(r.condition, Condition::Waiting { .. })))
        .await;
    let run = status.open_runs[0].run.clone();
    assert_eq!(lab.world.copy("database", "west").unwrap().lineage, 1, "nothing was promoted");
    let asks = lab.run(&run).await.steps.into_iter().find(|s| s.status.to_string() == "awaiting approval").unwrap().id;
    let approve =
        ControlRequest { action: Action::Approve, step: Some(asks), by: "ada".to_owned(), why: String::new() };
    lab.send::<RunView>(&format!("/v1/runs/{run}/control"), &approve).await.unwrap();
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.no_rule_was_broken();
}
