//! The findings of settings, from tables.

use super::*;
use pilotlight_core::id::{Component, Region};

fn good() -> Settings {
    let pairs = [
        ("wal_log_hints", "on"),
        ("data_checksums", "off"),
        ("full_page_writes", "on"),
        ("wal_keep_size", "256"),
        ("max_wal_senders", "10"),
        ("senders", "1"),
        ("superuser", "true"),
        ("restart_after_crash", "off"),
        ("fsync", "on"),
        ("synchronous_standby_names", ""),
        ("wal_sender_timeout", "5000"),
        ("wal_retrieve_retry_interval", "100"),
        ("wal_receiver_timeout", "5000"),
        ("primary_conninfo", "host=a keepalives_idle=2"),
        ("recovery_min_apply_delay", "0"),
        ("recovery_target_timeline", "latest"),
        ("recovering", "true"),
        ("wal_level", "replica"),
    ];
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
}

fn promote() -> Effect {
    Effect::Promote { component: Component::from("db"), region: Region::from("west") }
}

#[test]
fn good_settings_have_no_finding() {
    assert_eq!(of_server("db in west", &good(), &promote()), []);
    let writer = Settings::from_iter(good().into_iter().chain([("recovering".to_owned(), "false".to_owned())]));
    assert_eq!(of_upstream("db in east", &writer), []);
}

#[test]
fn each_bad_setting_has_its_finding() {
    for (name, value, code, severity) in [
        ("wal_log_hints", "off", "PL-0302", Severity::Warning),
        ("full_page_writes", "off", "PL-0303", Severity::Warning),
        ("wal_keep_size", "0", "PL-0304", Severity::Warning),
        ("superuser", "false", "PL-0305", Severity::Blocker),
        ("restart_after_crash", "on", "PL-0306", Severity::Warning),
        ("fsync", "off", "PL-0307", Severity::Warning),
        ("synchronous_standby_names", "ANY 1 (x)", "PL-0308", Severity::Warning),
        ("wal_sender_timeout", "60000", "PL-0309", Severity::Warning),
        ("max_wal_senders", "3", "PL-0310", Severity::Warning),
        ("wal_retrieve_retry_interval", "5000", "PL-0313", Severity::Warning),
        ("wal_receiver_timeout", "60000", "PL-0314", Severity::Warning),
        ("primary_conninfo", "host=a", "PL-0315", Severity::Note),
        ("clock_behind_ms", "10000", "PL-0325", Severity::Warning),
        ("clock_behind_ms", "-10000", "PL-0325", Severity::Warning),
        ("recovery_min_apply_delay", "60000", "PL-0316", Severity::Blocker),
        ("recovery_target_lsn", "0/1", "PL-0317", Severity::Blocker),
        ("recovery_target_timeline", "current", "PL-0318", Severity::Warning),
    ] {
        let mut settings = good();
        settings.insert(name.to_owned(), value.to_owned());
        let found = of_server("db in west", &settings, &promote());
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!((found[0].code.as_str(), found[0].severity), (code, severity), "{name}");
        assert!(!found[0].hint.is_empty());
    }
}

#[test]
fn an_upstream_must_be_a_writer_that_replicates() {
    let found: Vec<String> = of_upstream("db in east", &good()).into_iter().map(|f| f.code).collect();
    assert_eq!(found, ["PL-0319"]);
    let minimal = Settings::from([
        ("wal_level".to_owned(), "minimal".to_owned()),
        ("max_wal_senders".to_owned(), "9".to_owned()),
    ]);
    assert_eq!(of_upstream("db in east", &minimal)[0].code, "PL-0320");
}

#[test]
fn a_proxy_that_may_open_too_few_files_is_told_before_it_turns_anybody_away() {
    let settings = Settings::from([("max_connections".to_owned(), "501".to_owned())]);
    let found = of_proxy("database in east", &settings, 500).expect("one client is too many");
    assert!(found.code == "PL-0338" && found.message.contains("501") && found.message.contains("500"), "{found:?}");
    assert_eq!(of_proxy("database in east", &settings, 501), None);
}
