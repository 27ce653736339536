//! Aurora after a detach: the old writer is silenced, kept, and its region follows again.

use crate::aurora::Group;
use crate::ground::{EAST, Ground, WEST, context};
use pilotlight_core::effect::{Effect, FenceAssurance};
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_driver::Driver;
use pilotlight_driver::battery::fence;
use serde_json::{Value, json};

fn silence() -> Effect {
    Effect::Fence { component: "database".into(), region: EAST.into() }
}

fn rejoin() -> Effect {
    Effect::Rejoin { component: "database".into(), region: EAST.into(), upstream: WEST.into() }
}

/// Both write: the copy was promoted alone while the global API failed. Gives a number that only the old side holds.
async fn detached(group: &Group<'_>) -> u64 {
    let fault = json!({"kind": "error", "service": "rds", "action": "FailoverGlobalCluster", "times": 1});
    group.ground.server.tell("faults", fault).await.unwrap();
    let outcome = group.done(&Group::switch(true), &context(1, "switch")).await.unwrap();
    assert!(matches!(outcome, Outcome::Warned { .. }), "{outcome:?}");
    group.write(WEST).await.unwrap();
    group.write(EAST).await.unwrap()
}

async fn lose(group: &Group<'_>, action: &str) {
    let fault = json!({"kind": "lose-reply", "service": "rds", "action": action, "times": 1});
    group.ground.server.tell("faults", fault).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn aurora_keeps_the_laws_of_fencing() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, true).await;
    fence(&group).await.assert_kept();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_region_is_kept_joins_again_and_can_be_gone_home_to() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, true).await;
    let only_here = detached(&group).await;
    let early = group.driver.apply(&rejoin(), &context(2, "early")).await.unwrap_err();
    assert_eq!(early.kind, FailureKind::Rejected, "{early}");
    let found = group.driver.preflight(&rejoin()).await.unwrap();
    assert!(found.len() == 1 && found[0].code == "PL-0948", "{found:?}");

    let fenced = group.done(&silence(), &context(3, "fence")).await.unwrap();
    assert_eq!(fenced.output().unwrap().assurance, Some(FenceAssurance::ConnectionsCut));
    group.write(EAST).await.unwrap_err();
    let since = ground.now().await;
    let outcome = group.done(&rejoin(), &context(3, "rejoin")).await.unwrap();
    assert!(outcome.output().unwrap().text.contains("before-3"), "{outcome:?}");
    let phases = ground.server.ask(&format!("phases?since={since}")).await.unwrap();
    let phases: Vec<&str> = phases.as_array().unwrap().iter().filter_map(|p| p["phase"].as_str()).collect();
    let expected = ["snapshot", "detach", "rename", "rename", "modify", "create-cluster", "create-instance", "resync"];
    let mut sorted = phases.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        {
            let mut e = expected;
            e.sort_unstable();
            e
        },
        "{phases:?}"
    );

    // What only the old side held is in the cluster that is kept, and AWS's own client sees all of it.
    let kept = format!("{}-before-3", group.cluster(EAST));
    let held = ground.server.ask(&format!("held?region={EAST}&name={kept}")).await.unwrap();
    assert!(held["numbers"].as_array().unwrap().contains(&json!(only_here)), "{held}");
    let shown = ground.awscli(EAST, &["rds", "describe-db-clusters", "--db-cluster-identifier", &kept]);
    let names = |of: &Value| -> Vec<String> {
        let members = of["DBClusterMembers"].as_array().unwrap();
        members.iter().map(|m| m["DBInstanceIdentifier"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&shown["DBClusters"][0]), [format!("{}-1-before-3", group.cluster(EAST))]);
    let words = ["rds", "describe-db-cluster-snapshots", "--db-cluster-snapshot-identifier", &kept];
    let shown = ground.awscli(EAST, &words);
    assert_eq!(shown["DBClusterSnapshots"][0]["Status"], "available", "{shown}");
    let shown = ground.awscli(EAST, &["rds", "describe-db-clusters", "--db-cluster-identifier", &group.cluster(EAST)]);
    let made = &shown["DBClusters"][0];
    assert_eq!(names(made), [format!("{}-1", group.cluster(EAST))]);
    assert_eq!(made["VpcSecurityGroups"][0]["VpcSecurityGroupId"], "sg-open", "{made}");
    assert_eq!(made["DeletionProtection"], true);

    let again = group.driver.apply(&rejoin(), &context(4, "again")).await.unwrap();
    assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
    let written = group.write(WEST).await.unwrap();
    let home = Effect::Switch {
        component: "database".into(),
        from: WEST.into(),
        to: EAST.into(),
        allow_loss: false,
        least: FenceAssurance::None,
    };
    group.done(&home, &context(5, "home")).await.unwrap();
    assert!(group.held(EAST).await.contains(&written));
    group.write(EAST).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lost_reply_on_the_way_back_is_looked_after() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, true).await;
    detached(&group).await;
    let mut lost = 0;
    let changes = [
        "ModifyDBCluster",
        "RebootDBInstance",
        "AddTagsToResource",
        "CreateDBClusterSnapshot",
        "RemoveFromGlobalCluster",
        "ModifyDBInstance",
        "ModifyGlobalCluster",
        "CreateGlobalCluster",
        "CreateDBCluster",
        "CreateDBInstance",
    ];
    for action in changes {
        lose(&group, action).await;
    }
    for (step, effect) in [("fence", silence()), ("rejoin", rejoin())] {
        for turn in 0.. {
            assert!(turn < 20, "{effect:?} does not end");
            match group.done(&effect, &context(3, &format!("{step}-{turn}"))).await {
                Ok(_) => break,
                Err(failure) => {
                    assert_eq!(failure.kind, FailureKind::OutcomeUnknown, "{failure}");
                    lost += 1;
                }
            }
        }
    }
    assert_eq!(lost, changes.len());
    assert!(matches!(group.role(EAST).await, Some(Role::Standby { streaming: true, .. })));
    let all = ground.awscli(EAST, &["rds", "describe-db-clusters"]);
    let clusters = all["DBClusters"].as_array().unwrap();
    assert_eq!(clusters.len(), 2, "nothing was made twice: {all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ended_in_the_middle_is_finished_by_the_next_one() {
    let Some(ground) = Ground::find().await else { return };
    let group = Group::make(&ground, true).await;
    detached(&group).await;
    group.done(&silence(), &context(3, "fence")).await.unwrap();
    let deny = json!({"kind": "deny", "service": "rds", "action": "CreateDBCluster", "times": 1});
    ground.server.tell("faults", deny).await.unwrap();
    let denied = group.done(&rejoin(), &context(3, "rejoin")).await.unwrap_err();
    assert_eq!(denied.kind, FailureKind::Rejected, "{denied}");
    assert!(matches!(group.role(EAST).await, Some(Role::Down { was_writer: false, .. })));
    let outcome = group.done(&rejoin(), &context(9, "rejoin")).await.unwrap();
    assert!(outcome.output().unwrap().text.contains("before-3"), "{outcome:?}");
    assert!(matches!(group.role(EAST).await, Some(Role::Standby { streaming: true, .. })));
}
