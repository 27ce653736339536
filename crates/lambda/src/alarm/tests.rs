//! What messages and decisions come to, as tables.

use super::*;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::Region;
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::placement::{Intent, Mode, Placement, Verb};
use pilotlight_core::plan::SAMPLE;
use pilotlight_engine::store::MemoryStore;
use pilotlight_server::api::view::ErrorBody;

/// 2026-11-26T18:30:00Z.
const NOW: Wall = Wall(1_795_717_800_000);

/// In that hour, at that minute.
fn at(minute: &str) -> String {
    format!("2026-11-26T18:{minute}:00.000")
}

fn news(state: AlarmState, minute: &str) -> News {
    News { arn: "arn".into(), state, changed: at(minute), why: "3 points".into() }
}

fn in_memory() -> Alarms {
    Alarms(Arc::new(MemoryStore::default()))
}

#[tokio::test]
async fn of_two_messages_the_newer_counts_in_whatever_order_they_come() {
    let alarms = in_memory();
    let take = async |state, minute| alarms.take_in("east", &alarm(), &news(state, minute), NOW).await.unwrap();
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
    let alarms = in_memory();
    let first = news(AlarmState::On, "05");
    alarms.take_in("east", &alarm(), &first, NOW).await.unwrap();
    let record = Record { on: true, changed: at("05"), why: "3 points".into(), heard: NOW, over: None };
    let over = Over { why: "moved".into(), run: Some("failover-1".into()) };
    // One that is newer than what was looked into is not closed with it.
    let newer = news(AlarmState::On, "06");
    alarms.take_in("east", &alarm(), &newer, NOW).await.unwrap();
    alarms.close("east", &record, &over).await.unwrap();
    assert!(matches!(alarms.take_in("east", &alarm(), &newer, NOW).await, Ok(Taken::Again(r)) if r.is_open()));
    alarms.close("east", &Record { changed: at("06"), ..record }, &over).await.unwrap();
    assert!(
        matches!(alarms.take_in("east", &alarm(), &newer, NOW).await, Ok(Taken::Again(r)) if r.over == Some(over.clone()))
    );
    assert_eq!(alarms.take_in("east", &alarm(), &news(AlarmState::On, "07"), NOW).await, Ok(Taken::On));
}

#[tokio::test]
async fn a_message_that_is_not_of_this_time_is_not_taken_in() {
    let alarms = in_memory();
    let take = async |state, changed: &str| {
        let news = News { changed: changed.into(), ..news(state, "00") };
        alarms.take_in("east", &alarm(), &news, NOW).await.unwrap()
    };
    for (state, changed) in [
        (AlarmState::On, "2026-11-26T17:29:59.999"),
        (AlarmState::On, "2026-11-20T18:30:00.000"),
        (AlarmState::On, "2026-11-26T18:35:00.001"),
        (AlarmState::On, "9999-12-31T23:59:59.999"),
        (AlarmState::Off, "9999-12-31T23:59:59.999"),
    ] {
        let taken = take(state, changed).await;
        assert!(matches!(&taken, Taken::Refused(why) if why.contains(changed)), "{state:?} {changed}: {taken:?}");
        assert_eq!(alarms.0.get("alarm/east").await.unwrap(), None, "nothing is kept of it");
    }
    assert_eq!(take(AlarmState::On, "2026-11-26T17:30:00.000").await, Taken::On);
    assert_eq!(take(AlarmState::On, "2026-11-26T18:35:00.000").await, Taken::On);
    // That it ended is worth knowing at any age.
    assert_eq!(take(AlarmState::Off, "2026-11-20T18:30:00.000").await, Taken::Overtaken);
}

#[tokio::test]
async fn what_was_kept_out_of_the_future_makes_nobody_deaf() {
    let alarms = in_memory();
    let kept =
        Record { on: true, changed: "9999-12-31T23:59:59.999".into(), why: String::new(), heard: NOW, over: None };
    alarms.0.put("alarm/east", write(&kept), None).await.unwrap();
    let taken = alarms.take_in("east", &alarm(), &news(AlarmState::Off, "29"), NOW).await.unwrap();
    assert!(matches!(taken, Taken::Quiet(_)), "{taken:?}");
}

#[tokio::test]
async fn an_alarm_that_is_too_old_is_closed_before_anything_stands_by_it() {
    let plan = plan();
    let alarms = in_memory();
    alarms.take_in("east", &plan.alarms["east"], &news(AlarmState::On, "29"), NOW).await.unwrap();
    let after = |ms: u64| Wall(NOW.0 + ms);
    let open = async |now| alarms.open(&plan, now).await.unwrap().len();
    assert_eq!(open(after(0)).await, 1);
    assert_eq!(open(after(3_599_999)).await, 1);
    assert_eq!(open(after(3_600_000)).await, 0);
    let found = alarms.0.get("alarm/east").await.unwrap().unwrap();
    let over = read("east", &found).unwrap().over.expect("it is closed");
    assert!(over.why.contains("looked into for 1 h 00 min"), "{over:?}");
    assert_eq!(open(after(0)).await, 0, "for good");
    // A machine whose clock was ahead heard it.
    let ahead = Record { on: true, changed: at("29"), why: String::new(), heard: after(300_001), over: None };
    alarms.0.put("alarm/east", write(&ahead), Some(found.version)).await.unwrap();
    assert_eq!(open(NOW).await, 0);
}

fn plan() -> Plan {
    let mut plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
    plan.alarms = [("east".to_owned(), alarm())].into();
    plan
}

fn alarm() -> AlarmPlan {
    AlarmPlan {
        alarm: "arn".into(),
        alarm_region: None,
        region: "east".into(),
        unit: "pay".into(),
        least_fence: Some(FenceAssurance::None),
        look_for: Duration::from_secs(3_600),
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
        drift: Vec::new(),
        exposed: Vec::new(),
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
            findings: Vec::new(),
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
