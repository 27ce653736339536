//! What would stand in the way on the worst day is found on an ordinary one.

use crate::pair::{Pair, component, eventually};
use crate::rows::{fail_over, run};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::{Finding, Outcome, Severity};
use pilotlight_core::rescue::Rows;
use pilotlight_driver::Driver;

fn fence(region: &str) -> Effect {
    Effect::Fence { component: component(), region: region.into() }
}

fn promote() -> Effect {
    Effect::Promote { component: component(), region: "west".into() }
}

/// What the driver of a region finds of one code.
async fn found(pair: &Pair, region: &str, effect: &Effect, code: &str) -> Vec<Finding> {
    let all = pair.driver(region).preflight(effect).await.unwrap();
    all.into_iter().filter(|f| f.code == code).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_somebody_else_is_named_by_every_copy_in_the_same_words() {
    let pair = Pair::started().await;
    let stop = Effect::StopWrites { component: component(), region: "east".into() };
    assert_eq!(found(&pair, "east", &stop, "PL-0980").await, []);
    let theirs =
        "DROP SCHEMA IF EXISTS pilotlight CASCADE; CREATE ROLE app; CREATE SCHEMA pilotlight AUTHORIZATION app";
    run(&pair, "east", theirs).await;
    let on_writer = found(&pair, "east", &stop, "PL-0980").await;
    let [one] = on_writer.as_slice() else { panic!("{on_writer:?}") };
    assert_eq!(one.severity, Severity::Warning);
    assert!(one.message.contains("the schema pilotlight belongs to app") && !one.message.contains("PL-"), "{one:?}");
    eventually("the standby says the same", || async {
        let found = found(&pair, "west", &promote(), "PL-0980").await;
        if found == on_writer { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    run(&pair, "east", "ALTER SCHEMA pilotlight OWNER TO pilot").await;
    assert_eq!(found(&pair, "east", &stop, "PL-0980").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_keeps_the_role_of_a_rescue_out_is_found_before_there_is_a_role() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let (effect, code) = (fence("east"), "PL-0967");
    assert_eq!(found(&pair, "east", &effect, code).await, [], "the rule asks for a password");
    let file = pair.data_dir("west").join("pg_hba.conf");
    let rules = std::fs::read_to_string(&file).unwrap();
    let with = async |rule: &str| {
        std::fs::write(&file, format!("{rule}\n{rules}")).unwrap();
        run(&pair, "west", "SELECT pg_reload_conf()").await;
    };
    for shut in ["host all pilotlight_rescue all reject", "host all pilotlight_rescue all ident"] {
        with(shut).await;
        let refused = eventually(shut, || async {
            let found = found(&pair, "east", &effect, code).await;
            if found.len() == 1 { Ok(found[0].clone()) } else { Err(format!("{found:?}")) }
        })
        .await;
        assert_eq!(refused.severity, Severity::Warning);
        assert!(
            refused.message.contains("in west would not let") && refused.hint.contains("pg_hba.conf"),
            "{refused:?}"
        );
        // What is done at east, the other direction, is not touched by west's rules.
        assert_eq!(found(&pair, "west", &fence("west"), code).await, []);
        with("host all pilotlight_rescue all trust").await;
        eventually("nobody is asked for a password", || async {
            let found = found(&pair, "east", &effect, code).await;
            if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
    // Only what would need the role asks, and only where rows are wanted.
    with("host all pilotlight_rescue all reject").await;
    let stop = Effect::StopWrites { component: component(), region: "east".into() };
    assert_eq!(found(&pair, "east", &stop, code).await, []);
    pair.fence("west").await.unwrap();
    let untried = found(&pair, "east", &effect, code).await;
    let [one] = untried.as_slice() else { panic!("{untried:?}") };
    assert_eq!(one.severity, Severity::Note);
    assert!(one.message.contains("could not be tried"), "{one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_read_hold_the_rewind_until_somebody_waives_them() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    pair.keep_ready().await;
    pair.sever().await;
    pair.keep_ready().await;
    pair.pay("east", 1).await.unwrap();
    fail_over(&pair).await;
    // Every server needs this folder to start, and no log does.
    let (folder, away) = (pair.data_dir("east").join("pg_twophase"), pair.root.path().join("pg_twophase"));
    std::fs::rename(&folder, &away).unwrap();
    for failure in [pair.capture(None).await.unwrap_err(), pair.rejoin("east", "west").await.unwrap_err()] {
        assert!(failure.message.contains("PL-0240") && failure.message.contains("ended while it started"), "{failure}");
        assert!(failure.output.contains("pg_twophase"), "{failure:?}");
    }
    let waived = pair.capture(Some("mara")).await.unwrap();
    std::fs::rename(&away, &folder).unwrap();
    let Outcome::Done { output } = waived else { panic!("{waived:?}") };
    let about = output.rescue.unwrap();
    assert_eq!(about.commits, 1, "the log is kept all the same: {about:?}");
    let Rows::Left { why } = &about.rows else { panic!("{about:?}") };
    assert!(why.contains("waived by mara") && why.contains("PL-0240"), "{why}");
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
}
