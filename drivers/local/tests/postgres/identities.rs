//! Lost changes of unusual tables, keys and logs: what of them comes back, and what is left to a person.

use crate::pair::{PATIENCE, Pair, component, eventually, moment};
use crate::rows::{apply, captured, content_of, fail_over, judged, parted_with, run, waits_for_a_row};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::Outcome;
use pilotlight_core::plan::RescuePlan;
use pilotlight_core::rescue::{Change, Class, Kind, Rows};
use pilotlight_driver::Driver;
use std::path::PathBuf;
use std::time::Duration;

const TABLES: &str = "
    CREATE TABLE loose (a int, b text, c text); ALTER TABLE loose REPLICA IDENTITY FULL;
    INSERT INTO loose VALUES (1, 'x', NULL), (1, 'x', 'other'), (2, 'twice', 'v'), (2, 'twice', 'v'), (3, 'y', NULL), (3, 'y', 'z');
    CREATE TABLE covering (id int, v text, PRIMARY KEY (id) INCLUDE (v));
    INSERT INTO covering VALUES (1, 'a'), (2, 'b');
    CREATE TABLE coded (id int PRIMARY KEY, code text NOT NULL, v text);
    CREATE UNIQUE INDEX coded_code ON coded (code); ALTER TABLE coded REPLICA IDENTITY USING INDEX coded_code;
    INSERT INTO coded VALUES (1, 'one', 'a'), (2, 'two', 'b');
    CREATE TABLE silent (id int PRIMARY KEY, v text); ALTER TABLE silent REPLICA IDENTITY NOTHING;
    INSERT INTO silent VALUES (1, 'a'), (2, 'b');
    CREATE TABLE base (id int PRIMARY KEY, v text); CREATE TABLE heir () INHERITS (base);
    INSERT INTO base VALUES (1, 'a'), (2, 'b'); INSERT INTO heir VALUES (1, 'a'), (2, 'b');";

const ALL: [&str; 6] = ["loose", "covering", "coded", "silent", "ONLY base", "heir"];

#[tokio::test(flavor = "multi_thread")]
async fn only_what_names_one_row_is_applied_to_it() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    parted_with(&pair, TABLES, "heir", 2).await;
    let before = content_of(&ALL, &pair, "west").await;
    for sql in [
        "UPDATE loose SET c = 'lost' WHERE a = 1 AND c IS NULL",
        "DELETE FROM loose WHERE ctid = (SELECT min(ctid) FROM loose WHERE a = 2)",
        "DELETE FROM loose WHERE a = 3 AND c IS NULL",
        "UPDATE covering SET v = 'lost' WHERE id = 1",
        "INSERT INTO covering VALUES (3, NULL)",
        "UPDATE covering SET v = 'lost' WHERE id = 3",
        "UPDATE coded SET id = 7 WHERE code = 'one'",
        "UPDATE coded SET id = 1, v = 'lost' WHERE code = 'two'",
        "INSERT INTO coded VALUES (9, 'nine', 'c')",
        "UPDATE coded SET code = 'ten', v = 'lost' WHERE id = 9",
        "INSERT INTO silent VALUES (3, 'c')",
        "DELETE FROM silent WHERE id = 2",
        "UPDATE silent SET id = 2 WHERE id = 1",
        "UPDATE ONLY base SET v = 'lost' WHERE id = 1",
        "DELETE FROM ONLY base WHERE id = 2",
    ] {
        run(&pair, "east", sql).await;
    }
    fail_over(&pair).await;
    let about = captured(&pair).await;
    assert!(about.notes.iter().any(|n| n.contains("public.loose") && n.contains("public.silent")), "{:?}", about.notes);
    apply(&pair, &about, None).await.unwrap();
    let told: Vec<(String, Kind, Class)> = judged(&pair, &about)
        .await
        .into_iter()
        .map(|j| (Change::name(&j.change), j.change.kind, j.judgement.unwrap().class))
        .collect();
    let told: Vec<(&str, Kind, Class)> = told.iter().map(|(t, k, c)| (t.as_str(), *k, *c)).collect();
    let (loose, covering, coded, silent) = ("public.loose", "public.covering", "public.coded", "public.silent");
    let expected = [
        (loose, Kind::Update, Class::NotCovered),
        (loose, Kind::Delete, Class::NotCovered),
        (loose, Kind::Delete, Class::NotCovered),
        (covering, Kind::Update, Class::Absent),
        (covering, Kind::Insert, Class::Absent),
        (covering, Kind::Update, Class::Absent),
        (coded, Kind::Update, Class::Absent),
        (coded, Kind::Update, Class::Absent),
        (coded, Kind::Insert, Class::Absent),
        (coded, Kind::Update, Class::Absent),
        (silent, Kind::Insert, Class::Absent),
        (silent, Kind::Delete, Class::NotCovered),
        (silent, Kind::Update, Class::NotCovered),
        ("public.base", Kind::Update, Class::Absent),
        ("public.base", Kind::Delete, Class::Absent),
    ];
    assert_eq!(told, expected);
    apply(&pair, &about, Some("mara")).await.unwrap();
    let after = content_of(&ALL, &pair, "west").await;
    let gone: Vec<&String> = before.iter().filter(|row| !after.contains(row)).collect();
    let new: Vec<&String> = after.iter().filter(|row| !before.contains(row)).collect();
    let expected = ["covering (1,a)", "coded (1,one,a)", "coded (2,two,b)", "ONLY base (1,a)", "ONLY base (2,b)"];
    assert_eq!(gone, expected);
    let expected = [
        "covering (1,lost)",
        "covering (3,lost)",
        "coded (1,two,lost)",
        "coded (7,one,a)",
        "coded (9,ten,lost)",
        "silent (3,c)",
        "ONLY base (1,lost)",
    ];
    assert_eq!(new, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_holds_more_than_rows_is_read_to_its_end() {
    let pair = Pair::bare_rescuing(Pair::rows()).await;
    pair.start_writer().await;
    run(&pair, "east", "ALTER SYSTEM SET max_replication_slots = 40").await;
    run(&pair, "east", "ALTER SYSTEM SET max_prepared_transactions = 10").await;
    pair.stop("east").await.unwrap();
    pair.resume("east").await.unwrap();
    // More slots than a server has by default, and a database whose letters are no UTF-8.
    run(&pair, "east", "SELECT pg_create_physical_replication_slot('other_' || n) FROM generate_series(1, 15) n").await;
    run(&pair, "east", "CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C'").await;
    let (port, clone) = (pair.server("east").port, pair.new_server("west"));
    pilotlight_local::postgres::cluster::clone(&clone, "127.0.0.1", port).await.unwrap();
    pair.rejoin("west", "east").await.unwrap();
    pair.streams("west").await;
    pair.follows_by("east").await;
    pair.keep_ready().await;
    pair.sever().await;
    pair.keep_ready().await;
    run(&pair, "east", "BEGIN; INSERT INTO paid VALUES (1); PREPARE TRANSACTION 'one'").await;
    run(&pair, "east", "COMMIT PREPARED 'one'").await;
    run(&pair, "east", "BEGIN; INSERT INTO paid VALUES (2); PREPARE TRANSACTION 'two'").await;
    run(&pair, "east", "SELECT pg_logical_emit_message(true, 'outbox', 'a parcel for mara')").await;
    let latin = pair.client_of("east", "latin").await.unwrap();
    latin.batch_execute("SELECT pg_logical_emit_message(false, 'größe', 'x')").await.unwrap();
    pair.pay("east", 3).await.unwrap();
    fail_over(&pair).await;
    let about = captured(&pair).await;
    println!("{about:?}");
    assert_eq!(about.rows, Rows::Kept { changes: 2, transactions: 2 });
    for told in ["prepared and not ended", "messages"] {
        assert!(about.notes.iter().any(|n| n.contains(told)), "{told}: {:?}", about.notes);
    }
    pair.rejoin("east", "west").await.unwrap();
    pair.streams("east").await;
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert_eq!(pair.paid("west").await, [1, 3].into());
}

/// Foreign keys do not check themselves here, as their triggers do not fire.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_is_about_to_remove_is_not_referred_to() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let tables = "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2); \
        CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent (id))";
    parted_with(&pair, tables, "child", 0).await;
    run(&pair, "east", "INSERT INTO child VALUES (1, 1)").await;
    run(&pair, "east", "BEGIN; UPDATE parent SET id = 2 WHERE id = 2; INSERT INTO child VALUES (2, 2); COMMIT").await;
    fail_over(&pair).await;
    let about = captured(&pair).await;
    for way in
        ["BEGIN; DELETE FROM parent WHERE id = 1", "BEGIN; SAVEPOINT s; DELETE FROM parent WHERE id = 1; RELEASE s"]
    {
        let somebody = pair.client("west").await.unwrap();
        somebody.batch_execute(way).await.unwrap();
        apply(&pair, &about, Some("mara")).await.unwrap();
        somebody.batch_execute(if way.contains("SAVEPOINT") { "COMMIT" } else { "ROLLBACK" }).await.unwrap();
        let west = pair.client("west").await.unwrap();
        let children = west.query_one("SELECT string_agg(id::text, ',') FROM child", &[]).await.unwrap();
        assert_eq!(children.get::<_, Option<&str>>(0), Some("2"), "{way}");
    }
    let told = judged(&pair, &about).await.remove(0).judgement.unwrap();
    assert_eq!(told.class, Class::ForeignKeyMissing, "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_at_once_do_not_take_each_others_role() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    pair.keep_ready().await;
    pair.pay("east", 1).await.unwrap();
    eventually("the first payment arrives", || async {
        if pair.paid("west").await == [1].into() { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    pair.sever().await;
    pair.keep_ready().await;
    run(&pair, "east", "DELETE FROM paid WHERE n = 1").await;
    pair.pay("east", 2).await.unwrap();
    fail_over(&pair).await;
    let about = captured(&pair).await;
    // Somebody holds the first row, so that an apply waits in its middle.
    let somebody = pair.client("west").await.unwrap();
    somebody.batch_execute("BEGIN; SELECT FROM paid WHERE n = 1 FOR UPDATE").await.unwrap();
    let other = pair.driver_with("east", |_| {});
    let second = async {
        waits_for_a_row(&pair).await;
        let (component, bundle) = (component(), about.bundle.clone());
        let compare = Effect::ClassifyRescue { component, region: "east".into(), upstream: "west".into(), bundle };
        let (context, letting_go) = (pair.context(PATIENCE), async {
            moment(Duration::from_secs(1)).await;
            somebody.batch_execute("ROLLBACK").await.unwrap();
        });
        tokio::join!(other.apply(&compare, &context), letting_go).0
    };
    let (applied, compared) = tokio::join!(apply(&pair, &about, Some("mara")), second);
    assert!(matches!(applied, Ok(Outcome::Done { .. })), "{applied:?}");
    assert!(matches!(compared, Ok(Outcome::Done { .. })), "{compared:?}");
    assert_eq!(pair.paid("west").await, [2].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_numbers_that_only_the_server_gives_come_back() {
    let pair = Pair::started_rescuing(RescuePlan { passphrase: None, ..Pair::rows() }).await;
    let tables = "CREATE TABLE ticket (id int PRIMARY KEY, no int GENERATED ALWAYS AS IDENTITY, v text, \
        twice text GENERATED ALWAYS AS (v || v) STORED); INSERT INTO ticket (id, v) VALUES (1, 'a'), (2, 'b'), (3, 'c')";
    parted_with(&pair, tables, "ticket", 3).await;
    run(&pair, "east", "UPDATE ticket SET v = 'lost' WHERE id = 1").await;
    run(&pair, "east", "INSERT INTO ticket (id, v) VALUES (4, 'new')").await;
    run(&pair, "east", "UPDATE ticket SET v = 'newer' WHERE id = 4").await;
    let expected = content_of(&["ticket"], &pair, "east").await;
    run(&pair, "east", "UPDATE ticket SET no = DEFAULT, v = 'other' WHERE id = 2").await;
    fail_over(&pair).await;
    let about = captured(&pair).await;
    let before = content_of(&["ticket"], &pair, "west").await;
    apply(&pair, &about, Some("mara")).await.unwrap();
    assert_eq!(content_of(&["ticket"], &pair, "west").await, expected);
    let told: Vec<_> = judged(&pair, &about).await.into_iter().map(|j| j.judgement.unwrap()).collect();
    let (made, held) = (Class::Identical, Class::Conflicting);
    assert_eq!(told.iter().map(|j| j.class).collect::<Vec<_>>(), [made, made, made, held]);
    assert!(told[3].why.contains("428C9"), "an update cannot set the new number: {told:?}");

    // The script for people does the same.
    run(&pair, "west", "DELETE FROM ticket WHERE id = 4; UPDATE ticket SET v = 'a' WHERE id = 1").await;
    assert_eq!(content_of(&["ticket"], &pair, "west").await, before);
    let folder = PathBuf::from(pair.bundles("east").await.remove(0).folder);
    let script = std::fs::read_to_string(folder.join("changes.sql")).unwrap();
    run(&pair, "west", &script).await;
    run(&pair, "west", "UPDATE ticket SET v = 'b' WHERE id = 2").await;
    assert_eq!(content_of(&["ticket"], &pair, "west").await, expected);
}

/// What stands in the way of one lost transaction stands in the way of no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_made_holds_up_its_own_transaction_only() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let tables = "CREATE TABLE seat (id int PRIMARY KEY, place int UNIQUE DEFERRABLE); \
        INSERT INTO seat VALUES (1, 10), (2, 20), (3, 30), (4, 40); CREATE TABLE booking (id int PRIMARY KEY, \
        room int4range, EXCLUDE USING gist (room WITH &&) DEFERRABLE INITIALLY DEFERRED); CREATE TABLE late (id int PRIMARY KEY); \
        CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not here''; END'; \
        CREATE CONSTRAINT TRIGGER never AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.id = 7) \
        EXECUTE FUNCTION no()";
    parted_with(&pair, tables, "pg_trigger WHERE tgname = 'never'", 1).await;
    for sql in [
        "UPDATE seat SET place = 11 WHERE id = 1",
        "INSERT INTO seat VALUES (5, 50)",
        "INSERT INTO booking VALUES (6, '[1,5)')",
        "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE seat SET place = 40 WHERE id = 3; UPDATE seat SET place = 30 WHERE id = 4; COMMIT",
        "SET session_replication_role = replica; INSERT INTO late VALUES (7)",
        "INSERT INTO late VALUES (8)",
    ] {
        run(&pair, "east", sql).await;
    }
    fail_over(&pair).await;
    let held = "INSERT INTO seat VALUES (9, 50); INSERT INTO booking VALUES (9, '[2,3)'); ALTER TABLE late ENABLE ALWAYS TRIGGER never";
    run(&pair, "west", held).await;
    let somebody = pair.client("west").await.unwrap();
    somebody.batch_execute("BEGIN; SELECT FROM seat WHERE id = 1 FOR UPDATE").await.unwrap();
    let about = captured(&pair).await;
    let outcome = apply(&pair, &about, Some("mara")).await.unwrap();
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    somebody.batch_execute("ROLLBACK").await.unwrap();
    let told: Vec<Class> = judged(&pair, &about).await.into_iter().map(|j| j.judgement.unwrap().class).collect();
    let (held, made) = (Class::Conflicting, Class::Identical);
    assert_eq!(told, [held, held, Class::NotCovered, made, made, held, made]);
    let west = pair.client("west").await.unwrap();
    let seats = "SELECT string_agg(id || ' ' || place, ', ' ORDER BY id), (SELECT string_agg(id::text, ',') FROM late) FROM seat";
    let seats = west.query_one(seats, &[]).await.unwrap();
    assert_eq!((seats.get::<_, &str>(0), seats.get::<_, &str>(1)), ("1 10, 2 20, 3 40, 4 30, 9 50", "8"));
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_are_moved_past_what_they_gave_out_and_no_further() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let tables = "CREATE TABLE given (id bigserial PRIMARY KEY); CREATE TABLE wide (id serial PRIMARY KEY); \
        ALTER SEQUENCE wide_id_seq INCREMENT 50; CREATE TABLE own (id bigserial PRIMARY KEY)";
    parted_with(&pair, tables, "own", 0).await;
    run(&pair, "east", "INSERT INTO given SELECT FROM generate_series(1, 100)").await;
    run(&pair, "east", "INSERT INTO wide SELECT FROM generate_series(1, 100)").await;
    // A number that the application brought along.
    run(&pair, "east", "INSERT INTO own VALUES (7000000000000000000)").await;
    fail_over(&pair).await;
    let about = captured(&pair).await;
    let outcome = apply(&pair, &about, Some("mara")).await.unwrap();
    let Outcome::Done { output } = outcome else { panic!("{outcome:?}") };
    assert!(output.text.contains("own_id_seq") && !output.text.contains("wide_id_seq"), "{}", output.text);
    let west = pair.client("west").await.unwrap();
    for (table, next) in [("given", 101), ("wide", 5001), ("own", 1)] {
        let sql = format!("SELECT nextval('{table}_id_seq')");
        let given = west.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0);
        assert!((next..next + 60).contains(&given), "{table}: {given}");
    }
}
