//! What messages and decisions come to, as tables.

use super::*;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::placement::{Intent, Mode, Placement, Verb};
use pilotlight_engine::store::MemoryStore;
use pilotlight_server::api::view::ErrorBody;

fn news(state: AlarmState, changed: &str) -> News {
    News { name: "East".into(), arn: None, state, changed: changed.into(), why: "3 points".into() }
}

#[tokio::test]
async fn of_two_messages_the_newer_counts_in_whatever_order_they_come() {
    let alarms = Alarms(Arc::new(MemoryStore::default()));
    let take = async |state, changed| alarms.take_in("east", &news(state, changed), Wall(1)).await.unwrap();
    assert_eq!(take(AlarmState::On, "05").await, Taken::On);
    assert!(matches!(take(AlarmState::On, "05").await, Taken::Again(r) if r.is_open()));
    assert_eq!(take(AlarmState::On, "04").await, Taken::Overtaken);
    assert!(matches!(take(AlarmState::NoData, "06").await, Taken::Quiet(_)));
    assert!(matches!(take(AlarmState::On, "05").await, Taken::Again(r) if r.is_open()), "no data is no end");
    assert!(matches!(take(AlarmState::Off, "07").await, Taken::Quiet(_)));
    assert_eq!(take(AlarmState::On, "06").await, Taken::Overtaken);
    assert_eq!(take(AlarmState::On, "08").await, Taken::On);
}

#[tokio::test]
async fn what_is_over_stays_over_until_it_goes_off_anew() {
    let alarms = Alarms(Arc::new(MemoryStore::default()));
    let first = news(AlarmState::On, "05");
    alarms.take_in("east", &first, Wall(1)).await.unwrap();
    let record = Record { on: true, changed: "05".into(), why: "3 points".into(), heard: Wall(1), over: None };
    let over = Over { why: "moved".into(), run: Some("failover-1".into()) };
    // One that is newer than what was looked into is not closed with it.
    let newer = news(AlarmState::On, "06");
    alarms.take_in("east", &newer, Wall(2)).await.unwrap();
    alarms.close("east", &record, &over).await.unwrap();
    assert!(matches!(alarms.take_in("east", &newer, Wall(3)).await, Ok(Taken::Again(r)) if r.is_open()));
    alarms.close("east", &Record { changed: "06".into(), ..record }, &over).await.unwrap();
    assert!(
        matches!(alarms.take_in("east", &newer, Wall(3)).await, Ok(Taken::Again(r)) if r.over == Some(over.clone()))
    );
    assert_eq!(alarms.take_in("east", &news(AlarmState::On, "07"), Wall(4)).await, Ok(Taken::On));
}

fn alarm() -> AlarmPlan {
    AlarmPlan {
        alarm: "East".into(),
        region: "east".into(),
        unit: "pay".into(),
        least_fence: Some(FenceAssurance::None),
        look_for: Duration::from_secs(60),
    }
}

fn unit(writer: Option<&str>, run: Option<&str>, decision: DecisionView) -> UnitStatus {
    UnitStatus {
        unit: "pay".into(),
        epoch: None,
        writer: writer.map(Region::from),
        candidate: None,
        run: run.map(RunId::from),
        judgement: None,
        decision,
        lease: LeaseSight::Lapsed,
        cooling_down: None,
        led_elsewhere: Vec::new(),
        drill: None,
    }
}

#[test]
fn an_alarm_only_reads_what_the_controller_has_decided() {
    let hold = || DecisionView::Hold { why: "well".into(), code: Some("PL-0242".into()) };
    let start = |refused: Option<&str>| DecisionView::Start {
        intent: Intent {
            unit: "pay".into(),
            verb: Verb::Failover,
            mode: Mode::Ungraceful,
            target: Placement::in_region(&"west".into()),
        },
        asks: false,
        refused: refused.map(|code| ErrorBody {
            code: code.into(),
            message: "too weak".into(),
            hint: String::new(),
            evidence: Vec::new(),
        }),
    };
    let assess = |unit: &UnitStatus, looked: u64| {
        super::assess(&alarm(), unit, Duration::from_secs(looked), Duration::from_secs(20))
    };
    let here = Some("east");
    assert_eq!(assess(&unit(None, Some("run-1"), hold()), 99), Assessed::Moving("run-1".into()));
    assert!(matches!(assess(&unit(Some("west"), None, hold()), 0), Assessed::Elsewhere(_)));
    assert_eq!(assess(&unit(here, None, hold()), 19), Assessed::Looking);
    assert_eq!(assess(&unit(here, None, start(None)), 99), Assessed::Looking);
    let held = assess(&unit(here, None, hold()), 20);
    assert!(matches!(&held, Assessed::Held { code: Some(c), .. } if c == "PL-0242"), "{held:?}");
    let held = assess(&unit(here, None, start(Some("PL-0207"))), 20);
    assert!(
        matches!(&held, Assessed::Held { why, code: Some(c) } if why.contains("too weak") && c == "PL-0207"),
        "{held:?}"
    );
}
