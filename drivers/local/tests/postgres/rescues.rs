//! What a lost writer acknowledged and never sent is kept before the copy may follow again, whatever happens meanwhile.

use crate::pair::{Pair, component, eventually, target};
use crate::rejoins::{assert_east_follows, lose_east_with_a_tail};
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_core::rescue::{Answer, Bundle, Question, Rows, Shown};
use pilotlight_driver::Driver;
use std::path::PathBuf;
use std::process::Stdio;

fn root(pair: &Pair) -> PathBuf {
    pair.state_dir("east").join("rescue")
}

/// The one bundle that is there.
async fn bundle(pair: &Pair) -> Bundle {
    let mut bundles = pair.bundles("east").await;
    assert_eq!(bundles.len(), 1, "{bundles:?}");
    bundles.remove(0).about
}

async fn shown(pair: &Pair, about: &Bundle) -> Shown {
    let question = Question::Show { bundle: about.bundle.clone(), from: 0, most: 1_000 };
    match pair.east.rescue(&target("east"), &question).await {
        Ok(Answer::Bundle(shown)) => *shown,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_is_kept_with_its_commits_times_and_tables() {
    let pair = Pair::started().await;
    let east = pair.client("east").await.unwrap();
    east.batch_execute("CREATE SCHEMA pilotlight; CREATE TABLE pilotlight.sentinel (n int)").await.unwrap();
    lose_east_with_a_tail(&pair).await;
    let outcome = pair.capture(None).await.unwrap();
    let Outcome::Done { output } = &outcome else { panic!("{outcome:?}") };
    println!("{}", output.text);
    let about = bundle(&pair).await;
    assert_eq!(output.rescue.as_deref(), Some(&about), "the outcome names what is on disk");
    assert_eq!((about.commits, about.missing.clone(), about.sealed), (49, None, false));
    let [paid] = about.touched.as_slice() else { panic!("{about:?}") };
    assert_eq!((paid.table.as_str(), paid.inserted), ("public.paid", 49));
    assert!(about.first <= about.last && about.first.is_some() && about.horizon.is_some(), "{about:?}");
    let shown = shown(&pair, &about).await;
    assert_eq!(shown.lost.len(), 49);
    assert!(shown.lost.iter().all(|c| c.tables == ["public.paid"] && c.at.is_some()), "{:?}", shown.lost);
    assert!(matches!(pair.capture(None).await, Ok(Outcome::Skipped { .. })), "kept already");
    assert!(matches!(pair.rejoin("east", "west").await, Ok(Outcome::Done { .. })));
    assert_east_follows(&pair).await;
    assert_eq!(bundle(&pair).await, about, "a rejoin uses the bundle that is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_wrote_before_the_kept_log_is_in_the_bundle() {
    let pair = Pair::started().await;
    let (before, partly) = (pair.client("east").await.unwrap(), pair.client("east").await.unwrap());
    before.batch_execute("BEGIN; INSERT INTO paid VALUES (70)").await.unwrap();
    partly.batch_execute("BEGIN; INSERT INTO paid VALUES (80)").await.unwrap();
    // The fork comes to lie in a segment that names the running transactions and holds nothing of what they wrote.
    let other = pair.client("east").await.unwrap();
    other.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    other.batch_execute("CHECKPOINT").await.unwrap();
    pair.pay("east", 1).await.unwrap();
    eventually("the payment arrives", || async {
        if pair.paid("west").await.contains(&1) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    pair.sever().await;
    before.batch_execute("COMMIT").await.unwrap();
    partly.batch_execute("INSERT INTO paid VALUES (81); COMMIT").await.unwrap();
    pair.hit("east", nix::sys::signal::Signal::SIGKILL);
    pair.fence("east").await.unwrap();
    pair.promote("west").await.unwrap();
    assert!(matches!(pair.capture(None).await, Ok(Outcome::Done { .. })));
    let about = bundle(&pair).await;
    assert_eq!((about.commits, about.missing.clone()), (2, None), "{about:?}");
    let tables: Vec<Vec<String>> = shown(&pair, &about).await.lost.into_iter().map(|c| c.tables).collect();
    assert_eq!(tables, [["unknown: it wrote before the kept log, or where it cannot be read"], ["public.paid"]]);
    assert!(about.notes.iter().any(|n| n.contains("before the kept log")), "{:?}", about.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_was_changed_holds_the_rewind_until_somebody_waives_it() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    pair.capture(None).await.unwrap();
    damage_a_segment(&pair, &bundle(&pair).await);
    for refused in [pair.capture(None).await, pair.rejoin("east", "west").await] {
        let failure = refused.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(failure.message.contains("PL-0239"), "{failure}");
    }
    let waived = pair.capture(Some("mara")).await.unwrap();
    assert!(matches!(&waived, Outcome::Warned { warning, .. } if warning.contains("waived by mara")), "{waived:?}");
    assert!(pair.rejoin("east", "west").await.is_ok(), "the waiver is remembered");
    assert_east_follows(&pair).await;
    assert_eq!(pair.bundles("east").await[0].waiver.as_ref().unwrap().by, "mara");
}

/// Changes a byte in the middle of one of the bundle's segments.
fn damage_a_segment(pair: &Pair, about: &Bundle) -> PathBuf {
    let wal = root(pair).join(about.bundle.as_str()).join("wal");
    let segment = std::fs::read_dir(wal).unwrap().map(|e| e.unwrap().path()).min().unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    segment
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waived_what_is_missing_has_not_waived_what_is_damaged_later() {
    let pair = Pair::started().await;
    let more = format!("{} INSERT INTO paid VALUES (60)", marked());
    crate::rejoins::lose_east_with_a_tail_of(&pair, &more).await;
    damage_the_mark(&pair);
    let waived = pair.capture(Some("mara")).await.unwrap();
    assert!(matches!(&waived, Outcome::Warned { warning, .. } if warning.contains("PL-0238")), "{waived:?}");
    assert!(matches!(pair.capture(None).await, Ok(Outcome::Warned { .. })), "the waiver is remembered");
    let damaged = damage_a_segment(&pair, &bundle(&pair).await);
    for refused in [pair.capture(None).await, pair.rejoin("east", "west").await] {
        let failure = refused.unwrap_err();
        assert!(failure.message.contains("PL-0239"), "{failure}");
    }
    let waived = pair.capture(Some("nora")).await.unwrap();
    let told = |warning: &str| warning.contains("waived by nora: PL-0239");
    assert!(matches!(&waived, Outcome::Warned { warning, .. } if told(warning)), "{waived:?}");
    std::fs::remove_file(&damaged).unwrap();
    let failure = pair.rejoin("east", "west").await.unwrap_err();
    assert!(failure.message.contains("is gone"), "more is damaged than was waived: {failure}");
    assert!(matches!(pair.capture(Some("nora")).await, Ok(Outcome::Warned { .. })));
    pair.rejoin("east", "west").await.unwrap();
    assert_east_follows(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_from_before_a_rewind_that_was_cut_short_is_for_what_was_known_then() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    pair.capture(None).await.unwrap();
    let damaged = damage_a_segment(&pair, &bundle(&pair).await);
    assert!(matches!(pair.capture(Some("mara")).await, Ok(Outcome::Warned { .. })));
    crate::rejoins::cut_a_rewind(&pair).await;
    let kept = pair.capture(None).await.unwrap();
    assert!(format!("{kept:?}").contains("waived by mara: PL-0239"), "{kept:?}");
    let aside = damaged.with_extension("aside");
    std::fs::rename(&damaged, &aside).unwrap();
    let failure = pair.rejoin("east", "west").await.unwrap_err();
    assert!(failure.message.starts_with("PL-0970: ") && failure.message.contains("is gone"), "{failure}");
    std::fs::rename(&aside, &damaged).unwrap();
    pair.rejoin("east", "west").await.unwrap();
    assert_east_follows(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_whose_beginning_was_recycled_is_named_and_holds_the_rewind() {
    let pair = Pair::started().await;
    // Two segments after the fork, with a checkpoint in the second, then the first is gone as after a long absence.
    crate::rejoins::lose_east_with_a_tail_of(&pair, "SELECT pg_switch_wal(); CHECKPOINT; INSERT INTO paid VALUES (60)")
        .await;
    let fork = std::fs::read_to_string(pair.data_dir("west").join("pg_wal/00000002.history")).unwrap();
    let fork = fork.split_whitespace().nth(1).unwrap().to_owned();
    let wal = pair.data_dir("east").join("pg_wal");
    let mut segments: Vec<String> = std::fs::read_dir(&wal)
        .unwrap()
        .filter_map(|e| e.unwrap().file_name().into_string().ok())
        .filter(|n| n.len() == 24 && n.starts_with("00000001"))
        .collect();
    segments.sort();
    let low = u64::from_str_radix(fork.split_once('/').unwrap().1, 16).unwrap() / (16 << 20);
    let holding = segments.iter().find(|n| u64::from_str_radix(&n[16..], 16).unwrap() == low).unwrap();
    std::fs::remove_file(wal.join(holding)).unwrap();
    for refused in [pair.capture(None).await, pair.rejoin("east", "west").await] {
        let failure = refused.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected);
        assert!(
            failure.message.contains("PL-0238") && failure.message.contains(&format!("incomplete from {fork}")),
            "{failure}"
        );
    }
    let about = bundle(&pair).await;
    assert_eq!(about.missing.as_ref().unwrap().from.value, fork);
    assert_eq!(about.commits, 1, "what is there is kept: {about:?}");
    assert!(pair.data_dir("east").join("pg_wal").join(segments.last().unwrap()).exists(), "nothing was rewound");
    assert!(matches!(pair.capture(Some("mara")).await, Ok(Outcome::Warned { .. })));
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
}

/// Writes what is found again in the log, and more than a page after it.
const MARK: &str = "a mark in the log that nothing else looks like";

fn marked() -> String {
    let message = |text: &str| format!("SELECT pg_logical_emit_message(false, 'test', {text});");
    format!("{}{} CHECKPOINT;", message(&format!("'{MARK}'")), message("repeat('-', 20000)"))
}

/// Changes a byte of the mark in the log of the stopped east. Answers the segment.
fn damage_the_mark(pair: &Pair) -> PathBuf {
    let files = std::fs::read_dir(pair.data_dir("east").join("pg_wal")).unwrap().map(|e| e.unwrap().path());
    for path in files.filter(|p| p.is_file()) {
        let mut bytes = std::fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(MARK.len()).position(|w| w == MARK.as_bytes()) {
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            return path;
        }
    }
    panic!("the mark is in no segment");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_with_a_record_that_cannot_be_read_is_kept_around_it_and_waits_for_a_person() {
    let pair = Pair::started().await;
    let more = format!("{} INSERT INTO paid VALUES (60)", marked());
    crate::rejoins::lose_east_with_a_tail_of(&pair, &more).await;
    let damaged = damage_the_mark(&pair);
    for refused in [pair.capture(None).await, pair.rejoin("east", "west").await] {
        let failure = refused.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
        assert!(failure.message.contains("PL-0238") && failure.hint.is_some(), "{failure}");
    }
    let about = bundle(&pair).await;
    let missing = about.missing.as_ref().unwrap();
    assert!(missing.until.is_some(), "the log goes on after it: {missing:?}");
    assert_eq!(about.commits, 49 + 1, "what is before and after it is told: {about:?}");
    assert!(about.first.is_some() && shown(&pair, &about).await.lost.len() == 50);
    let kept = root(&pair).join(about.bundle.as_str()).join("wal").join(damaged.file_name().unwrap());
    assert_eq!(std::fs::read(kept).unwrap(), std::fs::read(&damaged).unwrap(), "the log is kept as it is");
    let waived = pair.capture(Some("mara")).await.unwrap();
    assert!(matches!(&waived, Outcome::Warned { warning, .. } if warning.contains("waived by mara")), "{waived:?}");
    let rejoined = pair.rejoin("east", "west").await.unwrap();
    let text = &rejoined.output().unwrap().text;
    assert!(text.contains("waived by mara: PL-0238") && text.contains("built anew"), "{text}");
    assert_east_follows(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_rows_are_wanted_of_a_log_that_cannot_be_read_a_waiver_keeps_the_rest() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    pair.keep_ready().await;
    pair.sever().await;
    pair.keep_ready().await;
    pair.pay("east", 1).await.unwrap();
    pair.client("east").await.unwrap().batch_execute(&marked()).await.unwrap();
    pair.pay("east", 2).await.unwrap();
    crate::rows::fail_over(&pair).await;
    damage_the_mark(&pair);
    for failure in [pair.capture(None).await.unwrap_err(), pair.rejoin("east", "west").await.unwrap_err()] {
        assert!(failure.message.contains("PL-0240") && failure.hint.is_some(), "{failure}");
    }
    let waived = pair.capture(Some("mara")).await.unwrap();
    assert!(matches!(&waived, Outcome::Warned { warning, .. } if warning.contains("PL-0238")), "{waived:?}");
    let about = bundle(&pair).await;
    assert_eq!((about.commits, about.missing.is_some()), (2, true), "{about:?}");
    assert!(matches!(&about.rows, Rows::Left { why } if why.contains("waived by mara")), "{about:?}");
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_is_whole_though_the_log_before_it_cannot_be_read() {
    let pair = Pair::started().await;
    pair.client("east").await.unwrap().batch_execute(&marked()).await.unwrap();
    lose_east_with_a_tail(&pair).await;
    damage_the_mark(&pair);
    assert!(matches!(pair.capture(None).await, Ok(Outcome::Done { .. })));
    let about = bundle(&pair).await;
    assert_eq!((about.commits, about.missing.clone()), (49, None), "{about:?}");
    pair.rejoin("east", "west").await.unwrap();
    assert_east_follows(&pair).await;
}

/// The number of the segment in which west left east's log.
fn segment_of_the_fork(pair: &Pair) -> u64 {
    let history = std::fs::read_to_string(pair.data_dir("west").join("pg_wal/00000002.history")).unwrap();
    let fork = history.split_whitespace().nth(1).unwrap();
    u64::from_str_radix(fork.strip_prefix("0/").unwrap(), 16).unwrap() / (16 << 20)
}

fn segment(pair: &Pair, number: u64) -> PathBuf {
    pair.data_dir("east").join(format!("pg_wal/0000000100000000{number:08X}"))
}

fn begin(segment: u64) -> String {
    format!("0/{:X}", segment * (16 << 20))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_with_two_gaps_is_kept_around_both() {
    let pair = Pair::started().await;
    let more = "SELECT pg_switch_wal(); INSERT INTO paid VALUES (60); SELECT pg_switch_wal(); INSERT INTO paid VALUES (61);
        SELECT pg_switch_wal(); INSERT INTO paid VALUES (62); SELECT pg_switch_wal(); CHECKPOINT; INSERT INTO paid VALUES (63)";
    crate::rejoins::lose_east_with_a_tail_of(&pair, more).await;
    let low = segment_of_the_fork(&pair);
    for number in [low + 1, low + 3] {
        std::fs::remove_file(segment(&pair, number)).unwrap();
    }
    let failure = pair.capture(None).await.unwrap_err();
    assert!(failure.message.contains("PL-0238"), "{failure}");
    let about = bundle(&pair).await;
    let missing = about.missing.clone().unwrap();
    assert_eq!((missing.from.value, missing.until.unwrap().value), (begin(low + 1), begin(low + 4)));
    assert_eq!(about.commits, 49 + 1 + 1, "before, between and after: {about:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_with_a_segment_that_is_too_short_is_kept_around_its_end() {
    let pair = Pair::started().await;
    let more = "SELECT pg_switch_wal(); INSERT INTO paid VALUES (60);
        SELECT pg_logical_emit_message(false, 'test', repeat('-', 20000)); INSERT INTO paid VALUES (61);
        SELECT pg_switch_wal(); CHECKPOINT; INSERT INTO paid VALUES (62)";
    crate::rejoins::lose_east_with_a_tail_of(&pair, more).await;
    let low = segment_of_the_fork(&pair);
    std::fs::File::options().write(true).open(segment(&pair, low + 1)).unwrap().set_len(8_192 + 100).unwrap();
    let failure = pair.capture(None).await.unwrap_err();
    assert!(failure.message.contains("PL-0238"), "{failure}");
    let about = bundle(&pair).await;
    let until = about.missing.clone().unwrap().until.unwrap();
    assert_eq!((about.commits, until.value), (49 + 1 + 1, begin(low + 2)), "{about:?}");
    assert!(matches!(pair.capture(Some("mara")).await, Ok(Outcome::Warned { .. })));
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_whose_manifest_is_gone_holds_the_rewind_until_somebody_waives_it() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    pair.capture(None).await.unwrap();
    let manifest = root(&pair).join(bundle(&pair).await.bundle.as_str()).join("manifest.json");
    std::fs::remove_file(&manifest).unwrap();
    for refused in [pair.capture(None).await, pair.rejoin("east", "west").await] {
        let failure = refused.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
        assert!(failure.message.contains("PL-0239") && failure.message.contains("manifest.json is gone"), "{failure}");
    }
    assert!(!manifest.exists(), "it is not replaced");
    let waived = pair.capture(Some("mara")).await.unwrap();
    assert!(matches!(&waived, Outcome::Warned { warning, .. } if warning.contains("waived by mara")), "{waived:?}");
    assert!(pair.rejoin("east", "west").await.is_ok(), "the waiver is remembered");
    assert_east_follows(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bundle_is_made_without_names_because_the_new_writer_was_silent_for_a_moment() {
    let pair = Pair::started().await;
    for database in ["slow", "shut"] {
        pair.client("east").await.unwrap().batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
        let client = pair.client_of("east", database).await.unwrap();
        client.batch_execute(&format!("CREATE TABLE {database} (n int)")).await.unwrap();
    }
    pair.pay("east", 1).await.unwrap();
    eventually("the payment arrives", || async {
        if pair.paid("west").await.contains(&1) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    pair.sever().await;
    for database in ["slow", "shut"] {
        let client = pair.client_of("east", database).await.unwrap();
        client.batch_execute(&format!("INSERT INTO {database} VALUES (1)")).await.unwrap();
    }
    pair.pay("east", 2).await.unwrap();
    crate::rows::fail_over(&pair).await;
    let rules = pair.data_dir("west").join("pg_hba.conf");
    let text = format!("host shut all all reject\n{}", std::fs::read_to_string(&rules).unwrap());
    std::fs::write(&rules, text).unwrap();
    let west = pair.client("west").await.unwrap();
    west.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    eventually("nobody is let in", || async {
        if pair.client_of("west", "shut").await.is_err() { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let somebody = pair.client_of("west", "slow").await.unwrap();
    somebody.batch_execute("BEGIN; LOCK TABLE pg_class IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let failure = pair.capture(None).await.unwrap_err();
    assert!(failure.kind == FailureKind::Transient && failure.message.contains("\"slow\""), "{failure}");
    assert_eq!(pair.bundles("east").await, [], "it is no bundle yet");
    somebody.batch_execute("ROLLBACK").await.unwrap();
    assert!(matches!(pair.capture(None).await, Ok(Outcome::Done { .. })));
    let about = bundle(&pair).await;
    let told: Vec<&str> = about.touched.iter().map(|t| t.table.as_str()).collect();
    assert_eq!((&told[..2], told.len()), (&["public.paid", "public.slow"][..], 3), "{about:?}");
    assert!(told[2].starts_with("unknown.file"), "{about:?}");
    assert!(about.notes.iter().any(|n| n.contains("database \"shut\" are told by the numbers")), "{:?}", about.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_bundle_has_no_room_nothing_is_rewound() {
    let pair = Pair::started().await;
    lose_east_with_a_tail(&pair).await;
    std::fs::create_dir_all(root(&pair)).unwrap();
    let mount = |size: &str, options: &str| {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("{options}size={size}"), "tmpfs"]).arg(root(&pair));
        mount.stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    if !mount("4m", "") {
        pilotlight_lab::required::skip(pilotlight_lab::required::Need::Mounts, "this account may not mount one");
        return;
    }
    let before = std::fs::read(pair.data_dir("east").join("global/pg_control")).unwrap();
    let refused = [pair.capture(None).await, pair.capture(Some("mara")).await, pair.rejoin("east", "west").await];
    let after = std::fs::read(pair.data_dir("east").join("global/pg_control")).unwrap();
    let roomy = mount("200m", "remount,");
    let captured = pair.capture(None).await;
    let rejoined = pair.rejoin("east", "west").await;
    let unmounted = std::process::Command::new("umount").arg("-l").arg(root(&pair)).status();
    for failure in refused.map(Result::unwrap_err) {
        assert_eq!(failure.kind, FailureKind::Transient);
        assert!(failure.message.contains("PL-0345"), "{failure}");
    }
    assert!(before == after && roomy && unmounted.is_ok());
    assert!(matches!(captured, Ok(Outcome::Done { .. })), "with room it goes on: {captured:?}");
    assert!(rejoined.is_ok(), "{rejoined:?}");
    pair.streams("east").await;
}

/// The other half of the next test: captures in a process that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn capture_in_a_process_of_its_own() {
    let Ok(told) = std::env::var("PILOTLIGHT_TEST_CAPTURE") else { return };
    let (root, plan) = told.split_once('\n').unwrap();
    let driver = crate::pair::driver_at(std::path::Path::new(root), plan);
    let region = "east".into();
    let effect = pilotlight_core::effect::Effect::CaptureRescue {
        component: component(),
        region,
        upstream: "west".into(),
        waived_by: None,
    };
    println!("{:?}", driver.apply(&effect, &crate::pair::context()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_was_killed_is_taken_up_again() {
    let pair = Pair::started().await;
    let segment = |n| format!("INSERT INTO paid SELECT generate_series({n}000, {n}999); SELECT pg_switch_wal();");
    let more: String = (2..9).map(segment).collect();
    crate::rejoins::lose_east_with_a_tail_of(&pair, &more).await;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rescues::capture_in_a_process_of_its_own", "--nocapture"])
        .env("PILOTLIGHT_TEST_CAPTURE", format!("{}\n{}", pair.root.path().display(), pair.ports()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let partial = || {
        let mut all = std::fs::read_dir(root(&pair)).into_iter().flatten().flatten().map(|e| e.path());
        all.find(|p| p.extension().is_some_and(|e| e == "partial"))
    };
    let kept = |folder: PathBuf| std::fs::read_dir(folder.join("wal")).map_or(0, Iterator::count);
    eventually("the capture is in the middle", || async {
        let count = partial().map_or(0, kept);
        if count >= 2 { Ok(()) } else { Err(format!("{count} segments")) }
    })
    .await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(partial().is_some(), "it was killed before its end");
    assert_eq!(pair.bundles("east").await, [], "what is not whole is no bundle");
    assert!(matches!(pair.capture(None).await, Ok(Outcome::Done { .. })));
    assert!(partial().is_none());
    let about = bundle(&pair).await;
    assert_eq!((about.commits, about.missing), (49 + 7, None));
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
}
