//! A data directory that is empty or away, where a database was: nothing is built there before a person says so.

use crate::pair::{Pair, component, target};
use crate::rejoins::assert_east_follows;
use nix::sys::signal::Signal;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_driver::Driver;
use std::path::PathBuf;
use std::time::Duration;

/// East dies with payments that never reached west, and its disk is not there when its machine is back. West took over.
async fn east_without_its_disk(pair: &Pair) -> PathBuf {
    pair.look("east").await;
    pair.sever().await;
    for number in 2..=20 {
        pair.pay("east", number).await.unwrap();
    }
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| matches!(role, Role::Down { was_writer: true, .. })).await;
    let aside = pair.root.path().join("aside");
    std::fs::rename(pair.data_dir("east"), &aside).unwrap();
    pair.promote("west").await.unwrap();
    pair.pay("west", 100).await.unwrap();
    aside
}

fn is_refused(answer: Result<Outcome, Failure>) {
    let failure = answer.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected, "{failure:?}");
    assert!(failure.message.starts_with("PL-0970: "), "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("pilotlight rejoin")), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_disk_is_away_is_not_built_anew_and_its_tail_is_kept_when_it_is_back() {
    let pair = Pair::started().await;
    let aside = east_without_its_disk(&pair).await;
    for made in [false, true] {
        if made {
            std::fs::create_dir(pair.data_dir("east")).unwrap();
        }
        // An agent that was started anew has nothing but its folder to know it from.
        let agent = pair.driver_with("east", |_| {});
        let seen = agent.observe(&target("east")).await.unwrap();
        assert_eq!((&seen.role, seen.is_gone(), seen.has_no_data()), (&Some(Role::Unknown), true, true), "{seen:?}");
        assert!(seen.says().is_some_and(|says| says.contains("PL-0970")), "{seen:?}");
        let effect = Effect::Rejoin { component: component(), region: "east".into(), upstream: "west".into() };
        let found = agent.preflight(&effect).await.unwrap();
        assert!(found.iter().any(|f| f.code == "PL-0970"), "{found:#?}");
        is_refused(agent.apply(&effect, &pair.context(Duration::from_secs(30))).await);
        is_refused(pair.rejoin("east", "west").await);
        is_refused(pair.capture(None).await);
        assert!(std::fs::read_dir(pair.data_dir("east")).map_or(true, |mut files| files.next().is_none()));
    }
    // A fence still holds there, and changes nothing of it.
    pair.fence("east").await.unwrap();
    let seen = pair.look("east").await;
    assert!(matches!(seen.role, Some(Role::Fenced { .. })) && seen.is_gone(), "{seen:?}");
    is_refused(pair.rejoin("east", "west").await);

    std::fs::remove_dir(pair.data_dir("east")).unwrap();
    std::fs::rename(&aside, pair.data_dir("east")).unwrap();
    assert!(!pair.look("east").await.is_gone());
    pair.rejoin("east", "west").await.unwrap();
    assert_east_follows(&pair).await;
    let bundles = pair.bundles("east").await;
    assert_eq!(bundles.iter().map(|b| b.about.commits).collect::<Vec<_>>(), [19], "{bundles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_gives_up_is_built_anew_and_remembered_again() {
    let pair = Pair::started().await;
    std::fs::remove_dir_all(east_without_its_disk(&pair).await).unwrap();
    is_refused(pair.rejoin("east", "west").await);
    let given_up = pair.capture(Some("mara")).await.unwrap();
    let Outcome::Warned { warning, .. } = &given_up else { panic!("{given_up:?}") };
    assert!(warning.starts_with("mara gives up what system "), "{warning}");
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    assert!(rejoined.output().unwrap().text.contains("built anew"), "{rejoined:?}");
    assert_east_follows(&pair).await;
    pair.look("east").await;
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| matches!(role, Role::Down { .. })).await;
    std::fs::remove_dir_all(pair.data_dir("east")).unwrap();
    is_refused(pair.rejoin("east", "west").await);
}

/// The old copy has stepped aside, the new one has not taken its place yet, and nobody came to put things right.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_was_cut_short_as_copies_changed_places_is_begun_again() {
    let pair = Pair::started().await;
    east_without_its_disk(&pair).await;
    pair.capture(Some("mara")).await.unwrap();
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
    pair.hit("east", Signal::SIGKILL);
    let down = pair.reaches("east", |role| matches!(role, Role::Down { .. })).await;
    assert!(!down.has_no_data(), "{down:?}");
    // What `change_places` leaves behind: the note went before it.
    let note = pair.state_dir("east").join("held-database");
    assert!(note.exists(), "the copy that was built is noted as soon as it is seen");
    std::fs::remove_file(note).unwrap();
    std::fs::rename(pair.data_dir("east"), pair.data_dir("east").with_extension("replaced")).unwrap();
    let seen = pair.look("east").await;
    assert_eq!((&seen.role, seen.is_gone()), (&Some(Role::Down { clean: true, was_writer: false }), false), "{seen:?}");
    pair.rejoin("east", "west").await.unwrap();
    assert_east_follows(&pair).await;
}
