//! Rows that a failover lost: read out of the old writer's log, compared with the new writer, applied again.

use crate::pair::{PASSPHRASE, Pair, component, eventually, target};
use nix::sys::signal::Signal;
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::rescue::{Answer, Bundle, Class, Judged, Listed, Question, Rows};
use pilotlight_driver::Driver;
use pilotlight_local::postgres::rescue::bundle::Folder;
use std::path::PathBuf;
use tokio_postgres::SimpleQueryMessage;

const TABLES: &str = r#"
    CREATE TABLE account (id serial PRIMARY KEY, name text NOT NULL UNIQUE, balance numeric(12,2), info jsonb,
        at timestamptz, raw bytea, note text, tags text[], ok boolean);
    CREATE TABLE "or der" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account int REFERENCES account (id),
        total numeric, "dou""ble" numeric GENERATED ALWAYS AS (total * 2) STORED);
    CREATE TABLE pair (a int, b uuid, v text, PRIMARY KEY (a, b));
    CREATE TABLE whole (id int PRIMARY KEY, v text); ALTER TABLE whole REPLICA IDENTITY FULL;
    CREATE TABLE journal (line text);
    INSERT INTO account (name, balance, info, at, raw, note, ok) SELECT 'a' || n, n * 1.10, '{"n": [1, null]}',
        '2026-01-01 00:00:00+02', '\xdeadbeef', NULL, n % 2 = 0 FROM generate_series(1, 60) n;
    INSERT INTO "or der" (account, total) SELECT n, n FROM generate_series(1, 60) n;
    INSERT INTO whole SELECT n, 'w' FROM generate_series(1, 20) n;
"#;

const ALL: [&str; 4] = ["account", "\"or der\"", "pair", "whole"];

pub(crate) async fn run(pair: &Pair, region: &str, sql: &str) {
    let client = pair.client(region).await.unwrap();
    client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
}

async fn content(pair: &Pair, region: &str) -> Vec<String> {
    content_of(&ALL, pair, region).await
}

/// Everything that is in the tables, as text.
pub(crate) async fn content_of(tables: &[&str], pair: &Pair, region: &str) -> Vec<String> {
    let client = pair.client(region).await.unwrap();
    let mut all = Vec::new();
    for table in tables {
        let sql = format!("SELECT '{0} ' || t::text FROM {1} t ORDER BY 1", table.replace('"', ""), table);
        for message in client.simple_query(&sql).await.unwrap() {
            if let SimpleQueryMessage::Row(row) = message {
                all.push(row.get(0).unwrap().to_owned());
            }
        }
    }
    all
}

async fn parted(pair: &Pair) {
    parted_with(pair, TABLES, "whole", 20).await;
}

/// A pair with those tables on both sides, which is so when `from` has that many rows; from now on west hears nothing, and is ready
/// to be told what it missed.
pub(crate) async fn parted_with(pair: &Pair, tables: &str, from: &str, rows: i64) {
    run(pair, "east", tables).await;
    eventually("the tables arrive", || async {
        let client = pair.client("west").await.unwrap();
        let sql = format!("SELECT count(*) FROM {from}");
        let count = client.query_one(&sql, &[]).await.map(|r| r.get::<_, i64>(0));
        if matches!(count, Ok(n) if n == rows) { Ok(()) } else { Err(format!("{count:?}")) }
    })
    .await;
    pair.keep_ready().await;
    pair.sever().await;
    pair.keep_ready().await;
}

/// East dies, west takes over.
pub(crate) async fn fail_over(pair: &Pair) {
    pair.hit("east", Signal::SIGKILL);
    pair.fence("east").await.unwrap();
    pair.promote("west").await.unwrap();
}

pub(crate) async fn captured(pair: &Pair) -> Bundle {
    match pair.capture(None).await.unwrap() {
        Outcome::Done { output } => *output.rescue.unwrap(),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn apply(pair: &Pair, about: &Bundle, by: Option<&str>) -> Result<Outcome, Failure> {
    let (component, region, upstream, bundle) = (component(), "east".into(), "west".into(), about.bundle.clone());
    let effect = match by {
        Some(by) => Effect::ApplyRescue { component, region, upstream, bundle, by: by.to_owned() },
        None => Effect::ClassifyRescue { component, region, upstream, bundle },
    };
    pair.apply("east", &effect).await
}

async fn listed(pair: &Pair) -> Listed {
    pair.bundles("east").await.remove(0)
}

pub(crate) async fn judged(pair: &Pair, about: &Bundle) -> Vec<Judged> {
    let question = Question::Show { bundle: about.bundle.clone(), from: 0, most: 10_000 };
    match pair.east.rescue(&target("east"), &question).await {
        Ok(Answer::Bundle(shown)) => shown.changes,
        other => panic!("{other:?}"),
    }
}

/// Hundreds of transactions over all tables.
fn busy() -> Vec<String> {
    let mut all = Vec::new();
    for n in 100..420 {
        all.push(match n % 6 {
            0 => format!(
                "BEGIN; INSERT INTO account (name, balance, info, at, raw, note, tags) VALUES ('it''s {n} \\', {n}.50, \
                 '{{\"k\": \"v\\\"{n}\"}}', '2026-02-0{} 12:00:00.123456+05', '\\x00ff', NULL, '{{a,\"b c\"}}'); \
                 INSERT INTO \"or der\" (account, total) VALUES (currval('account_id_seq'), {n}); COMMIT",
                n % 9 + 1
            ),
            1 => format!("UPDATE account SET balance = balance + 1, note = 'x{n}', info = NULL WHERE id = {}", n % 50 + 1),
            2 => format!("INSERT INTO pair VALUES ({n}, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', repeat(md5('{n}'), 200))"),
            3 => format!("UPDATE whole SET v = v || '{n}' WHERE id = {}", n % 20 + 1),
            4 => format!("BEGIN; SAVEPOINT a; INSERT INTO whole VALUES ({n}, NULL); RELEASE a; UPDATE pair SET v = v WHERE a = {}; COMMIT", n - 2),
            _ => format!("DELETE FROM pair WHERE a = {}", n - 33),
        });
    }
    all.push("UPDATE pair SET a = a + 10000 WHERE a > 350".to_owned());
    all.push("DELETE FROM \"or der\" WHERE id = 60; DELETE FROM account WHERE id = 60".to_owned());
    all.push("BEGIN; INSERT INTO whole VALUES (9999, 'taken back'); ROLLBACK".to_owned());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_lost_transactions_come_back_exactly_once() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted(&pair).await;
    let east = pair.client("east").await.unwrap();
    for sql in busy() {
        east.batch_execute(&sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
    let expected = content(&pair, "east").await;
    fail_over(&pair).await;
    let before = content(&pair, "west").await;
    let about = captured(&pair).await;
    println!("{about:?}");
    assert!(about.commits >= 300 && about.sealed, "{about:?}");
    let Rows::Kept { changes, transactions } = about.rows else { panic!("{about:?}") };
    assert_eq!(transactions, about.commits, "every lost transaction is told");
    assert!(!pair.data_dir("east").with_extension("rescue").exists(), "the copy is gone");
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;

    apply(&pair, &about, None).await.unwrap();
    assert_eq!(content(&pair, "west").await, before, "comparing changes nothing");
    let told = judged(&pair, &about).await.into_iter();
    let held = told.filter(|j| j.judgement.as_ref().unwrap().class.holds());
    let held: Vec<_> = held.map(|j| (j.change.key, j.judgement.unwrap().why)).collect();
    assert_eq!(held, [], "nothing stands in the way");
    let outcome = apply(&pair, &about, Some("mara")).await.unwrap();
    println!("{:?}", outcome.output().map(|o| &o.text));
    assert_eq!(content(&pair, "west").await, expected, "west holds what east had acknowledged");
    // Rows that came and went within the tail need nothing to be done.
    let applied_count = listed(&pair).await.applied;
    assert!(applied_count > 200 && applied_count < transactions, "{applied_count}");
    assert_eq!(listed(&pair).await.left().collect::<Vec<_>>(), [], "nothing is left");

    let applied = PathBuf::from(listed(&pair).await.folder).join("applied.json");
    for forgotten in [false, true] {
        if forgotten {
            std::fs::remove_file(&applied).unwrap();
        }
        let again = apply(&pair, &about, Some("mara")).await;
        assert!(matches!(again, Ok(Outcome::Skipped { .. })), "{again:?}");
        assert_eq!(content(&pair, "west").await, expected, "applied twice it changes nothing");
    }
    run(&pair, "west", "INSERT INTO account (name) VALUES ('new'); INSERT INTO \"or der\" (total) VALUES (1)").await;
    let west = pair.client("west").await.unwrap();
    let noted = west.query_one("SELECT count(*), sum(changes) FROM pilotlight.rescue", &[]).await.unwrap();
    let counts = (noted.get::<_, i64>(0).unsigned_abs(), noted.get::<_, i64>(1).unsigned_abs());
    assert!(counts.0 == applied_count && counts.1 <= changes, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_new_writer_has_changed_since_is_never_overwritten() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted(&pair).await;
    for sql in [
        "UPDATE account SET balance = 1 WHERE id = 1",
        "BEGIN; UPDATE account SET balance = 2 WHERE id = 2; UPDATE account SET balance = 2 WHERE id = 3; COMMIT",
        "INSERT INTO account (id, name) VALUES (500, 'lost')",
        "INSERT INTO \"or der\" (account, total) VALUES (4, 77)",
        "DELETE FROM whole WHERE id = 1",
        "UPDATE whole SET v = 'first' WHERE id = 2",
        "UPDATE whole SET v = 'second' WHERE id = 2",
        "INSERT INTO whole VALUES (700, 'same')",
        "INSERT INTO account (id, name) VALUES (501, 'unique')",
        "INSERT INTO journal VALUES ('no key')",
        "UPDATE account SET balance = 5 WHERE id = 5",
    ] {
        run(&pair, "east", sql).await;
    }
    fail_over(&pair).await;
    run(
        &pair,
        "west",
        "UPDATE account SET balance = 100 WHERE id = 1; UPDATE account SET balance = 300 WHERE id = 3; \
         INSERT INTO account (id, name) VALUES (500, 'new'); DELETE FROM \"or der\" WHERE account = 4; \
         DELETE FROM account WHERE id = 4; UPDATE whole SET v = 'kept' WHERE id = 1; \
         UPDATE whole SET v = 'second' WHERE id = 2; INSERT INTO whole VALUES (700, 'same'); \
         INSERT INTO account (name) VALUES ('unique')",
    )
    .await;
    let about = captured(&pair).await;
    assert!(about.notes.iter().any(|n| n.contains("public.journal")), "{:?}", about.notes);
    apply(&pair, &about, None).await.unwrap();
    let told: Vec<(String, Class)> = judged(&pair, &about)
        .await
        .into_iter()
        .map(|j| (format!("{} {:?}", j.change.table, j.change.kind), j.judgement.unwrap().class))
        .collect();
    let expected = [
        ("account Update", Class::Conflicting),
        ("account Update", Class::Absent),
        ("account Update", Class::Conflicting),
        ("account Insert", Class::Conflicting),
        ("or der Insert", Class::ForeignKeyMissing),
        ("whole Delete", Class::Conflicting),
        ("whole Update", Class::Superseded),
        ("whole Update", Class::Identical),
        ("whole Insert", Class::Identical),
        ("account Insert", Class::Conflicting),
        ("journal Insert", Class::NotCovered),
        ("account Update", Class::Absent),
    ];
    let told: Vec<(&str, Class)> = told.iter().map(|(what, class)| (what.as_str(), *class)).collect();
    assert_eq!(told, expected);
    let before = content(&pair, "west").await;
    let outcome = apply(&pair, &about, Some("mara")).await.unwrap();
    assert!(outcome.output().unwrap().text.contains("applied 1 changes of 1 lost transactions"), "{outcome:?}");
    let after = content(&pair, "west").await;
    let changed: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    assert_eq!(changed.len(), 1, "one row was written, and only that: {changed:?}");
    assert!(changed[0].starts_with("account (5,a5,5.00,"), "{changed:?}");
    let left: Vec<_> = listed(&pair).await.left().collect();
    let held = [(Class::Absent, 1), (Class::Conflicting, 5), (Class::ForeignKeyMissing, 1), (Class::NotCovered, 1)];
    assert_eq!(left, held, "one is held back by its transaction");
}

/// Waits until a comparison or an apply waits for a row that somebody holds.
pub(crate) async fn waits_for_a_row(pair: &Pair) {
    let looks = pair.client("west").await.unwrap();
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pilotlight_rescue' AND wait_event_type = 'Lock'";
    eventually("an apply that waits", || async {
        let count = looks.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0);
        if count == 1 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
}

/// Three lost transactions, of which the first and the last change the same row; the row of the second is held by a client that
/// is answered, too, once the first was applied and the second waits.
async fn lost_around_a_held_row(pair: &Pair) -> (Bundle, tokio_postgres::Client) {
    parted(pair).await;
    for (value, id) in [("first", 1), ("second", 2), ("third", 1)] {
        run(pair, "east", &format!("UPDATE whole SET v = '{value}' WHERE id = {id}")).await;
    }
    fail_over(pair).await;
    let about = captured(pair).await;
    let somebody = pair.client("west").await.unwrap();
    somebody.batch_execute("BEGIN; SELECT FROM whole WHERE id = 2 FOR UPDATE").await.unwrap();
    (about, somebody)
}

/// The first two rows of that table.
async fn both(pair: &Pair) -> String {
    let west = pair.client("west").await.unwrap();
    let sql = "SELECT string_agg(v, ' ' ORDER BY id) FROM whole WHERE id <= 2";
    west.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_writes_between_two_lost_transactions_is_never_overwritten() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let (about, somebody) = lost_around_a_held_row(&pair).await;
    let client = async {
        waits_for_a_row(&pair).await;
        assert_eq!(both(&pair).await, "first w", "the first was applied, the second waits");
        run(&pair, "west", "UPDATE whole SET v = 'client' WHERE id = 1").await;
        somebody.batch_execute("ROLLBACK").await.unwrap();
    };
    let (applied, ()) = tokio::join!(apply(&pair, &about, Some("mara")), client);
    assert!(matches!(applied, Ok(Outcome::Done { .. })), "{applied:?}");
    assert_eq!(both(&pair).await, "client second");
    for by in [None, Some("mara")] {
        let told: Vec<Class> = judged(&pair, &about).await.into_iter().map(|j| j.judgement.unwrap().class).collect();
        assert_eq!(told, [Class::Identical, Class::Identical, Class::Conflicting]);
        apply(&pair, &about, by).await.unwrap();
        assert_eq!(both(&pair).await, "client second", "applied again it is left alone, too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_was_cut_short_is_completed_by_the_next() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let (about, somebody) = lost_around_a_held_row(&pair).await;
    let cut = async {
        waits_for_a_row(&pair).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'pilotlight_rescue'";
        run(&pair, "west", end).await;
    };
    let (applied, ()) = tokio::join!(apply(&pair, &about, Some("mara")), cut);
    assert!(applied.is_err(), "{applied:?}");
    assert_eq!(both(&pair).await, "first w", "it stopped half way");
    somebody.batch_execute("ROLLBACK").await.unwrap();
    apply(&pair, &about, None).await.unwrap();
    let told: Vec<Class> = judged(&pair, &about).await.into_iter().map(|j| j.judgement.unwrap().class).collect();
    assert_eq!(told, [Class::Identical, Class::Absent, Class::Absent]);
    assert!(matches!(apply(&pair, &about, Some("mara")).await, Ok(Outcome::Done { .. })));
    assert_eq!(both(&pair).await, "third second");
}

/// What was applied later does not count as left by what was lost before it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_held_back_does_not_take_back_what_was_applied_after_it() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted(&pair).await;
    for sql in [
        "BEGIN; UPDATE whole SET v = 'older' WHERE id = 1; INSERT INTO account (id, name) VALUES (500, 'lost'); COMMIT",
        "UPDATE whole SET v = 'newer' WHERE id = 1",
        "BEGIN; UPDATE whole SET v = 'last' WHERE id = 1; INSERT INTO account (id, name) VALUES (501, 'lost too'); COMMIT",
    ] {
        run(&pair, "east", sql).await;
    }
    fail_over(&pair).await;
    run(&pair, "west", "INSERT INTO account (id, name) VALUES (500, 'new'), (501, 'new too')").await;
    let about = captured(&pair).await;
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert_eq!(both(&pair).await, "newer w");
    run(&pair, "west", "DELETE FROM account WHERE id = 500").await;
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert_eq!(both(&pair).await, "newer w");
    run(&pair, "west", "DELETE FROM account WHERE id = 501").await;
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert_eq!(both(&pair).await, "last w", "nobody else has written it since");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_logical_log_the_bundle_says_what_it_cannot_tell() {
    let pair = Pair::bare_rescuing(Pair::rows()).await;
    pair.start_writer().await;
    run(&pair, "east", "ALTER SYSTEM SET wal_level = replica").await;
    pair.stop("east").await.unwrap();
    pair.resume("east").await.unwrap();
    pilotlight_local::postgres::cluster::clone(&pair.new_server("west"), "127.0.0.1", pair.server("east").port)
        .await
        .unwrap();
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
    let findings =
        pair.east.preflight(&Effect::Checkpoint { component: component(), region: "east".into() }).await.unwrap();
    assert!(findings.iter().any(|f| f.code == "PL-0346"), "{findings:?}");
    pair.keep_ready().await;
    pair.sever().await;
    for number in 1..=5 {
        pair.pay("east", number).await.unwrap();
    }
    fail_over(&pair).await;
    let about = captured(&pair).await;
    assert_eq!((about.commits, about.touched[0].inserted), (5, 5));
    assert!(matches!(&about.rows, Rows::Left { why } if why.contains("wal_level")), "{about:?}");
    let refused = apply(&pair, &about, Some("mara")).await.unwrap_err();
    assert!(refused.message.contains("PL-0604"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_many_savepoints_is_told_whole() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted(&pair).await;
    let many = |from: u32, to: u32| {
        format!(
            "DO $$ BEGIN FOR n IN {from}..{to} LOOP BEGIN INSERT INTO whole VALUES (n, 's'); EXCEPTION WHEN others THEN RAISE; \
             END; END LOOP; END $$"
        )
    };
    run(&pair, "east", &many(1_001, 1_063)).await;
    run(&pair, "east", &many(2_001, 2_100)).await;
    run(&pair, "east", "BEGIN; INSERT INTO whole VALUES (3000, 's'); CREATE TABLE late (n int); COMMIT").await;
    let expected = content(&pair, "east").await;
    fail_over(&pair).await;
    let about = captured(&pair).await;
    let whole = about.touched.iter().find(|t| t.table == "public.whole").unwrap();
    assert_eq!((about.commits, whole.inserted), (3, 63 + 100 + 1), "{about:?}");
    assert_eq!(about.rows, Rows::Kept { changes: 63 + 100 + 1, transactions: 3 });
    assert!(!about.notes.iter().any(|n| n.contains("could not be told")), "{:?}", about.notes);
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert!(content(&pair, "west").await == expected, "west holds what east had acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn long_rows_are_told_in_part_and_applied_whole() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted(&pair).await;
    run(&pair, "east", "INSERT INTO whole VALUES (900, repeat('a\"\\ü', 2000000))").await;
    run(&pair, "east", "INSERT INTO whole SELECT n, repeat(md5(n::text), 600) FROM generate_series(1001, 1060) n")
        .await;
    let expected = content(&pair, "east").await;
    fail_over(&pair).await;
    let about = captured(&pair).await;
    pair.rejoin("east", "west").await.unwrap();
    let (mut from, mut told) = (0, Vec::new());
    loop {
        let question = Question::Show { bundle: about.bundle.clone(), from, most: 1_000 };
        let answer = pair.east.rescue(&target("east"), &question).await.unwrap();
        let bytes = serde_json::to_vec(&answer).unwrap().len();
        assert!(bytes < 2 << 20, "{bytes} bytes");
        let Answer::Bundle(shown) = answer else { panic!("{answer:?}") };
        told.extend(shown.changes);
        let Some(next) = shown.next else { break };
        assert!(next > from && next == told.len() as u64);
        from = next;
    }
    assert!(from > 0 && told.len() == 61, "{from}: {}", told.len());
    let lengths: Vec<u64> = told.iter().map(|j| j.cut["v"]).collect();
    assert_eq!((lengths[0], lengths[1], lengths[60]), (10_000_000, 19_200, 19_200));
    apply(&pair, &about, None).await.unwrap();
    assert!(judged(&pair, &about).await.iter().all(|j| j.judgement.as_ref().unwrap().class == Class::Absent));
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert!(content(&pair, "west").await == expected, "west holds what east had acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_bundle_tells_nothing_without_its_passphrase() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted(&pair).await;
    run(&pair, "east", "INSERT INTO whole VALUES (800, 'a very private word')").await;
    fail_over(&pair).await;
    let about = captured(&pair).await;
    let folder = PathBuf::from(listed(&pair).await.folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.extend(std::fs::read_dir(folder.join("wal")).unwrap().map(|e| e.unwrap().path()));
    let needle = b"a very private word";
    for file in files.iter().filter(|f| f.is_file()) {
        let bytes = std::fs::read(file).unwrap();
        assert!(!bytes.windows(needle.len()).any(|w| w == needle), "{} is readable", file.display());
    }
    let shown = Folder::open(&folder, Some(PASSPHRASE)).unwrap().shown(0, 10).unwrap();
    assert!(shown.changes.iter().any(|j| format!("{:?}", j.change.new).contains("a very private word")));
    assert!(Folder::open(&folder, Some("open")).unwrap().shown(0, 10).is_err(), "another passphrase");
    assert!(Folder::open(&folder, None).unwrap().shown(0, 10).is_err(), "none");

    let sealed = folder.join("changes.jsonl.sealed");
    let mut bytes = std::fs::read(&sealed).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&sealed, bytes).unwrap();
    let refused = apply(&pair, &about, Some("mara")).await.unwrap_err();
    assert_eq!(refused.kind, FailureKind::Rejected);
    assert!(refused.message.contains("PL-0239"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_found_whatever_the_application_set() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let sets = r#"CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('glad', 'sad');
        CREATE TABLE odd (id citext PRIMARY KEY, c char(6), a inet, m mood, v text, ok boolean);
        CREATE TABLE child (n int PRIMARY KEY, odd citext REFERENCES odd (id));
        CREATE FUNCTION public.liar(mood) RETURNS text LANGUAGE sql AS 'SELECT (1/0)::text';
        CREATE CAST (mood AS text) WITH FUNCTION public.liar(mood);
        CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT NULL::regclass';
        INSERT INTO odd VALUES ('Old', 'a', '10.0.0.1', 'glad', 'as it was', true);
        ALTER DATABASE postgres SET search_path = public, pg_catalog"#;
    run(&pair, "east", sets).await;
    parted(&pair).await;
    let lost = r"SET standard_conforming_strings = on; SET search_path = public;
        UPDATE odd SET v = '\'', v = (SELECT ''taken'') --' WHERE id = 'Old';
        INSERT INTO odd VALUES ('New\', 'b', '10.0.0.2', 'sad', '\', false); INSERT INTO child VALUES (1, 'NEW\')";
    run(&pair, "east", lost).await;
    fail_over(&pair).await;
    run(&pair, "west", "ALTER DATABASE postgres SET standard_conforming_strings = off").await;
    let about = captured(&pair).await;
    pair.rejoin("east", "west").await.unwrap();
    apply(&pair, &about, None).await.unwrap();
    let held: Vec<_> = judged(&pair, &about).await.into_iter().filter_map(|j| j.judgement).collect();
    assert!(held.iter().all(|j| j.class == Class::Absent), "{held:?}");
    apply(&pair, &about, Some("mara")).await.unwrap();
    let west = pair.client("west").await.unwrap();
    let found = west.query("SELECT id::text, v, c::text, a::text, ok FROM odd ORDER BY 1", &[]).await.unwrap();
    let rows: Vec<(&str, &str, bool)> = found.iter().map(|r| (r.get(0), r.get(1), r.get(4))).collect();
    assert_eq!(rows, [(r"New\", r"\", false), ("Old", r"\', v = (SELECT 'taken') --", true)]);
    let child = west.query_one("SELECT odd::text FROM child", &[]).await.unwrap();
    assert_eq!(child.get::<_, &str>(0), r"NEW\");
}
