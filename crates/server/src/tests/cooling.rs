//! What outlives a leader: how far a cool-down is, and what was exposed. One by one leaders end, by kill -9 or in order, and
//! whoever leads next goes on; the only controller, on its file, too.

use super::lab::Lab;
use super::several::Three;
use super::wait::until;
use crate::api::view::{
    AcknowledgeReply, AcknowledgeRequest, Action, ControlRequest, ControllerView, DecisionView, StatusView,
};
use pilotlight_core::exposed::Exposed;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::DecisionMode;
use pilotlight_core::remembered::{Ended, Remembered};
use pilotlight_core::run::{Condition, RunView};
use pilotlight_engine::store::Store;
use std::time::Duration;

const KEY: &str = "remembered/payments";
/// Longer than any of these tests, and short enough that what passed of it is kept every three seconds.
const COOL_DOWN: Duration = Duration::from_secs(60);

fn left(status: &StatusView) -> Option<Duration> {
    status.units[0].cooling_down.as_ref().map(|c| c.left_ms)
}

/// It holds still, and says for how long and what ends it.
fn holds(status: &StatusView) -> bool {
    match &status.units[0].decision {
        DecisionView::Hold { why, code } => {
            code.as_deref() == Some("PL-0224") && why.contains(" more, not counting") && why.contains("acknowledge`")
        }
        DecisionView::Start { .. } => false,
    }
}

impl Three {
    async fn kept(&self) -> Option<Remembered> {
        let found = self.ways["a"].store.get(KEY).await.unwrap()?;
        Some(serde_json::from_slice(&found.value).unwrap())
    }

    async fn until_kept(&self, what: &str, so: impl Fn(&Remembered) -> bool) -> Remembered {
        until(what, async || match self.kept().await {
            Some(kept) if so(&kept) => Ok(kept),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    async fn until_status(&self, what: &str, so: impl Fn(&StatusView) -> bool) -> StatusView {
        until(what, async || {
            let leader = self.leader().await;
            let status: StatusView = self.ask(leader, "/v1/status").await?;
            if so(&status) { Ok(status) } else { Err(format!("{status:#?}")) }
        })
        .await
    }

    /// The writer went from east to west by itself, and could go back.
    async fn failed_over(cool_down: Duration) -> Self {
        let mut three = Three::up_with(|plan| plan.policy.cool_down = cool_down).await;
        three.lab.lose("east");
        three.until_well("west").await;
        three.lab.world.heal("east");
        three.lab.start_agent("east");
        three
            .until_status("east is a standby again", |s| {
                s.is_well("west") && s.knows_exposure() && s.units[0].candidate.is_some()
            })
            .await;
        three
    }

    async fn verbs(&self) -> Vec<Verb> {
        self.runs().await.unwrap().runs.iter().rev().map(|r| r.verb).collect()
    }
}

fn counted(kept: &Remembered) -> Duration {
    kept.cool_down.as_ref().map_or(Duration::ZERO, |c| c.counted)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_holds_still_for_what_is_left_of_the_cool_down() {
    let mut three = Three::failed_over(COOL_DOWN).await;
    let kept = three.until_kept("some of it is kept", |kept| counted(kept) >= Duration::from_secs(3)).await;
    let run = three.runs().await.unwrap().runs.last().unwrap().run.clone();
    assert_eq!(kept.cool_down.as_ref().map(|c| (&c.run, c.ended)), Some((&run, None)));
    let old = three.leader().await;
    three.kill(old);
    three.successor(old).await;
    let status = three.until_status("it cools down on", |s| left(s).is_some_and(|l| l <= COOL_DOWN - counted(&kept)));
    let status = status.await;
    assert!(status.units[0].cooling_down.as_ref().is_some_and(|c| c.run == run), "{status:#?}");
    three
        .until_status("all is known to it", |s| {
            s.is_well("west") && s.knows_exposure() && s.units[0].candidate.is_some()
        })
        .await;
    three.lab.world.kill("database", "west");
    three.until_status("it holds still", holds).await;
    assert_eq!(three.verbs().await, [Verb::Failover, Verb::Rejoin]);
    let unit = status.units[0].unit.clone();
    let path = format!("/v1/units/{unit}/acknowledge");
    let by = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: false };
    let leader = three.leader().await;
    three.lab.send_at::<AcknowledgeReply>(three.addresses[leader], &path, &by).await.unwrap();
    three.until_well("east").await;
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_leaders_have_counted_together_ends_the_cool_down() {
    let hour = Duration::from_secs(3_600);
    let mut three = Three::failed_over(hour).await;
    let old = three.leader().await;
    three.running[old].end();
    // Far too soon for a leader that goes on: the last figure of one that ends in order.
    let kept = three.until_kept("the last figure is kept", |kept| !counted(kept).is_zero()).await;
    assert!(counted(&kept) < Duration::from_secs(3_000) && kept.cool_down.as_ref().is_some_and(|c| c.ended.is_none()));
    three.kill(old);
    for name in three.running.keys().copied().collect::<Vec<_>>() {
        three.kill(name);
    }
    // As if it had led for longer; two seconds are left.
    let mut longer = kept;
    longer.cool_down.as_mut().unwrap().counted = hour - Duration::from_secs(2);
    let store = three.ways["a"].store.clone();
    let version = store.get(KEY).await.unwrap().map(|found| found.version);
    store.put(KEY, serde_json::to_vec(&longer).unwrap(), version).await.unwrap();
    three.start("b");
    three
        .until_status("nothing bars the next", |s| {
            s.is_well("west") && left(s).is_none() && s.knows_exposure() && s.units[0].candidate.is_some()
        })
        .await;
    let ended = |kept: &Remembered| kept.cool_down.as_ref().is_some_and(|c| c.ended == Some(Ended::Passed));
    three.until_kept("the record says that it is over", ended).await;
    three.lab.world.kill("database", "west");
    three.until_well("east").await;
    assert_eq!(three.verbs().await[..3], [Verb::Failover, Verb::Rejoin, Verb::Failover]);
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_says_that_a_person_has_acknowledged() {
    let three = Three::failed_over(COOL_DOWN).await;
    let (leader, by) = (three.leader().await, AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: false });
    three
        .lab
        .send_at::<AcknowledgeReply>(three.addresses[leader], "/v1/units/payments/acknowledge", &by)
        .await
        .unwrap();
    let seen = |kept: &Remembered| kept.cool_down.as_ref().is_some_and(|c| c.ended == Some(Ended::Acknowledged));
    three.until_kept("it says so", seen).await;
    three.until_status("nothing bars the next", |s| left(s).is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_leader_goes_on_with_what_is_exposed() {
    let mut three = Three::up_with(|plan| plan.objectives.rpo = Duration::from_millis(400)).await;
    three.lab.world.set_lag("database", "west", 1_000_000, 0);
    let exposed = |s: &StatusView| s.units[0].exposed.first().cloned();
    let open = |e: &Exposed| !e.over;
    let status = three.until_status("it is exposed", |s| exposed(s).as_ref().is_some_and(open)).await;
    let first = exposed(&status).unwrap();
    three.until_kept("that is kept", |kept| kept.exposed.first().is_some_and(|e| e.since == first.since)).await;
    let old = three.leader().await;
    three.kill(old);
    three.successor(old).await;
    let status = three.until_status("it still is", |s| exposed(s).as_ref().is_some_and(open)).await;
    assert_eq!((exposed(&status).unwrap().since, status.units[0].exposed.len()), (first.since, 1));
    three.lab.world.set_lag("database", "west", 0, 0);
    three.until_status("it is over", |s| exposed(s).is_some_and(|e| e.over && e.since == first.since)).await;
    three.until_kept("that is kept too", |kept| kept.exposed.first().is_some_and(|e| e.over)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_controller_goes_on_with_its_cool_down_when_it_is_started_again() {
    let mut lab = Lab::up(|plan| plan.policy.cool_down = COOL_DOWN).await;
    lab.lose("east");
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.world.heal("east");
    lab.start_agent("east");
    lab.until_ended(2).await;
    // So much has passed that some of it was kept, which is every three seconds.
    let step = Duration::from_secs(3);
    lab.until("it cools down", |s| left(s).is_some_and(|l| l < COOL_DOWN - step * 2)).await;
    lab.kill_controller();
    let folder = lab.folder().join("controller");
    let kept: Remembered = until("what it kept can be read", async || {
        let (_, store) = pilotlight_engine::sqlite::open(&folder).map_err(|e| e.to_string())?;
        let found = store.get(KEY).await.map_err(|e| e.to_string())?.ok_or("nothing was kept")?;
        serde_json::from_slice(&found.value).map_err(|e| e.to_string())
    })
    .await;
    assert!(counted(&kept) >= step, "{kept:?}");
    lab.start_controller();
    // Killed, it lost the time since it was last kept, and nothing of what was kept.
    lab.until("it cools down on", |s| left(s).is_some_and(|l| l <= COOL_DOWN - counted(&kept))).await;
    lab.until("all is known to it", |s| s.is_well("west") && s.knows_exposure() && s.units[0].candidate.is_some())
        .await;
    lab.world.kill("database", "west");
    lab.until("it holds still", holds).await;
    assert_eq!(lab.runs().await.len(), 2);
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failover_is_not_acknowledged_before_anybody_knows_how_it_ends() {
    let mut lab = Lab::up(|p| p.policy.mode = DecisionMode::ApproveFirst).await;
    lab.lose("east");
    let waits = |s: &StatusView| s.open_runs.iter().any(|r| matches!(r.condition, Condition::Waiting { .. }));
    let status = lab.until("a failover waits", waits).await;
    let (run, unit) = (status.open_runs[0].run.clone(), status.units[0].unit.clone());
    let by = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: false };
    let path = format!("/v1/units/{unit}/acknowledge");
    let early = lab.send::<AcknowledgeReply>(&path, &by).await;
    let abort = ControlRequest { action: Action::Abort, step: None, by: "ada".to_owned(), why: String::new() };
    lab.send::<RunView>(&format!("/v1/runs/{run}/control"), &abort).await.unwrap();
    let decided = |s: &StatusView| !s.open_runs.iter().any(|r| r.run == run) && s.is("region lost");
    let status =
        lab.until("it is over, and decided anew", |s| decided(s) && (waits(s) || s.units[0].run.is_none())).await;
    assert_eq!(lab.runs().await.len(), 1, "one attempt: {status:#?}");
    let (code, refused) = early.unwrap_err();
    assert_eq!((code, refused.code.as_str()), (409, "PL-0221"), "{refused:?}");
    let failed = |s: &StatusView| match &s.units[0].decision {
        DecisionView::Hold { code, .. } => code.as_deref() == Some("PL-0244"),
        DecisionView::Start { .. } => false,
    };
    lab.until("it holds still after one attempt", failed).await;
    lab.send::<AcknowledgeReply>(&path, &by).await.unwrap();
    lab.until("the next one waits", waits).await;
    lab.no_rule_was_broken();
}

/// A plan that was copied, with the prefix of its store: the other application's units would be moved.
#[tokio::test(flavor = "multi_thread")]
async fn a_controller_of_another_application_does_not_lead_from_the_store() {
    let mut three = Three::up_with(|_| ()).await;
    three.kill("c");
    three.lab.plan.application = "ledger".into();
    three.start("c");
    three.kill("a");
    three.kill("b");
    until("it says whose store it is", async || {
        let view: ControllerView = three.ask("c", "/v1/controller").await?;
        let told =
            view.trouble.as_ref().is_some_and(|t| t.contains("of application payments") && t.contains("of ledger"));
        if told && !view.leads { Ok(()) } else { Err(format!("{view:?}")) }
    })
    .await;
    // Its name may stand there: of the time when it was a controller of this application.
    assert_eq!(three.record().await.application, Some("payments".into()), "it did not take the lead");
}
