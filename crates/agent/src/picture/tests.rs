//! What a look may and may not say while effects run.

use super::{Copy, Inner, Picture, Signals};
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::{Epoch, Unit};
use pilotlight_core::observation::{Newest, Role, Sentinel, State, Target};
use pilotlight_core::protocol::UnitView;
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::level::Level;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

fn picture() -> (Picture, Target) {
    let target = Target { component: "database".into(), region: Some("east".into()) };
    let copies = BTreeMap::from([(target.clone(), Copy::new(Unit::from("payments"), true))]);
    let picture = Picture {
        inner: Mutex::new(Inner { copies, ..Inner::default() }),
        beat: Arc::default(),
        heard: Level::default(),
        looks: Level::default(),
        signals: BTreeMap::from([(target.clone(), Signals::default())]),
    };
    (picture, target)
}

fn sees(picture: &Picture, target: &Target, role: Role) {
    let generation = picture.generation(target);
    picture.looked(target, generation, Mono::default(), State { role: Some(role), ..State::default() });
}

const STANDBY: Role = Role::Standby { upstream: None, streaming: true };

#[test]
fn a_copy_may_write_until_a_look_says_otherwise() {
    let (picture, target) = picture();
    assert!(picture.may_write(&target));
    sees(&picture, &target, Role::Unknown);
    assert!(picture.may_write(&target));
    sees(&picture, &target, Role::Fenced { assurance: FenceAssurance::Proven });
    assert!(!picture.may_write(&target));
    sees(&picture, &target, Role::Unresponsive);
    assert!(!picture.may_write(&target), "what hangs is what it was");
    sees(&picture, &target, Role::Writer);
    sees(&picture, &target, Role::Unresponsive);
    assert!(picture.may_write(&target));
}

#[test]
fn a_look_during_a_promotion_does_not_make_the_copy_harmless() {
    let (picture, target) = picture();
    sees(&picture, &target, STANDBY);
    assert!(!picture.may_write(&target));
    let early = picture.generation(&target);
    let running = picture.begin(&target, true);
    assert!(picture.may_write(&target));
    sees(&picture, &target, STANDBY);
    assert!(picture.may_write(&target));
    assert!(picture.situation(&target).is_none(), "nothing is decided while an effect runs");
    drop(running);
    picture.looked(&target, early, Mono::default(), State { role: Some(STANDBY), ..State::default() });
    assert!(picture.may_write(&target), "the look began before the promotion");
    assert!(picture.situation(&target).is_none());
    sees(&picture, &target, Role::Writer);
    assert!(picture.situation(&target).is_some());
}

#[test]
fn the_epoch_is_the_newest_met_anywhere() {
    let (picture, target) = picture();
    let unit = Unit::from("payments");
    picture.heard(vec![UnitView {
        unit: unit.clone(),
        epoch: Epoch(4),
        writer: None,
        lease_ms: None,
        candidate: None,
        candidacy: 0,
        offered: vec![],
    }]);
    picture.raise(&unit, Epoch(3));
    assert_eq!(picture.epoch(&unit), Epoch(4));
    picture.looked(&target, 0, Mono::default(), State { epoch: Some(Epoch(6)), ..State::default() });
    assert_eq!(picture.epoch(&unit), Epoch(6));
}

#[test]
fn each_component_has_its_own_newest_sentinel() {
    let (picture, _) = picture();
    let newest = |number, steady_from| Newest { sentinel: Sentinel { number, written: Wall(1) }, steady_from };
    picture.note_sentinel(&"orders".into(), newest(1_000_000, 1));
    picture.note_sentinel(&"billing".into(), newest(500, 400));
    picture.note_sentinel(&"billing".into(), newest(501, 400));
    let (_, told) = picture.seen(Mono::default());
    let both = [("billing", newest(501, 400)), ("orders", newest(1_000_000, 1))];
    assert_eq!(told, both.map(|(component, newest)| (component.into(), newest)).into());
}

#[tokio::test]
async fn only_a_change_of_what_counts_asks_for_a_heartbeat() {
    let (picture, target) = picture();
    sees(&picture, &target, STANDBY);
    picture.beat.notified().await;
    sees(&picture, &target, STANDBY);
    tokio::select! {
        biased;
        () = picture.beat.notified() => panic!("nothing changed"),
        () = std::future::ready(()) => {}
    }
    sees(&picture, &target, Role::Writer);
    picture.beat.notified().await;
}

#[test]
fn a_decision_shows_whether_something_was_done_to_the_copy_since() {
    let (picture, target) = picture();
    sees(&picture, &target, Role::Down { clean: false, was_writer: true });
    let decided = picture.situation(&target).expect("nothing runs").generation;
    assert_eq!(picture.begin(&target, true).generation, decided + 1, "nothing came in between");
    sees(&picture, &target, Role::Down { clean: false, was_writer: true });
    let decided = picture.situation(&target).expect("nothing runs").generation;
    drop(picture.begin(&target, false));
    assert_ne!(picture.begin(&target, true).generation, decided + 1, "the guard has fenced it meanwhile");
}
