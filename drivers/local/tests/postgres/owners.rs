//! Lost rows of tables whose owner is not to be trusted: what the table runs by itself must not run as a superuser.

use crate::pair::{Pair, eventually};
use crate::rows::{apply, captured, fail_over, run};
use pilotlight_core::outcome::{FailureKind, Outcome};
use pilotlight_core::rescue::Bundle;

/// Mallory owns the tables, and puts the same code wherever a table runs some. It notes as whom it ran and then tries every
/// way to the rights of a superuser. The notes are nobody's secret.
const MALLORY: &str = r#"
    CREATE ROLE mallory LOGIN; CREATE ROLE victim; CREATE SCHEMA m AUTHORIZATION mallory;
    CREATE TABLE theirs (id int PRIMARY KEY, v text); ALTER TABLE theirs OWNER TO victim;
    SET SESSION AUTHORIZATION mallory;
    CREATE TABLE m.seen (place text, who text, n int); GRANT INSERT ON m.seen TO PUBLIC; GRANT USAGE ON SCHEMA m TO PUBLIC;
    CREATE FUNCTION m.evil(place text, late boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
    DECLARE sql text;
    BEGIN
        PERFORM m.note(place, late);
        RETURN true;
    END $$;
    CREATE FUNCTION m.note(place text, late boolean) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
    DECLARE sql text; more text[] := ARRAY['RESET ROLE', 'RESET SESSION AUTHORIZATION', 'SET ROLE pilot',
        'SET SESSION AUTHORIZATION pilot', 'SET session_replication_role = origin', 'ALTER ROLE mallory SUPERUSER',
        'CREATE ROLE trudy SUPERUSER', 'GRANT pilot TO mallory', 'ALTER ROLE pilotlight_rescue SUPERUSER',
        'GRANT ALL ON public.theirs TO mallory', 'COPY (SELECT 1) TO PROGRAM ''true''', 'SELECT pg_read_file(''PG_VERSION'')'];
    BEGIN
        IF session_user = 'mallory' THEN RETURN; END IF;
        IF late THEN more := more || format('DECLARE c%s CURSOR WITH HOLD FOR SELECT m.evil(''cursor'', false)',
            pg_catalog.txid_current()); END IF;
        INSERT INTO m.seen VALUES (place, session_user, 1);
        FOREACH sql IN ARRAY more LOOP
            BEGIN
                EXECUTE sql;
                IF sql NOT LIKE 'DECLARE%' AND sql NOT LIKE 'RESET%' THEN INSERT INTO m.seen VALUES (sql, session_user, 2); END IF;
            EXCEPTION WHEN OTHERS THEN NULL;
            END;
        END LOOP;
    END $$;
    CREATE FUNCTION m.fired() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM m.evil(TG_NAME, true); RETURN NEW; END $$;
    CREATE TABLE m.t (id int PRIMARY KEY, v text DEFAULT m.evil('default', true)::text,
        CHECK (m.evil('check', true)));
    CREATE INDEX ON m.t ((m.evil('index ' || v, true)));
    CREATE TRIGGER always AFTER INSERT ON m.t FOR EACH ROW EXECUTE FUNCTION m.fired();
    ALTER TABLE m.t ENABLE ALWAYS TRIGGER always;
    CREATE CONSTRAINT TRIGGER deferred AFTER INSERT ON m.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION m.fired();
    ALTER TABLE m.t ENABLE ALWAYS TRIGGER deferred;
    CREATE RULE also AS ON INSERT TO m.t DO ALSO SELECT m.evil('rule', true);
    ALTER TABLE m.t ENABLE ALWAYS RULE also;
    ALTER TABLE m.t ENABLE ROW LEVEL SECURITY; ALTER TABLE m.t FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON m.t USING (m.evil('policy', true)) WITH CHECK (m.evil('policy', true));
    RESET SESSION AUTHORIZATION;
"#;

async fn count(pair: &Pair, sql: &str) -> i64 {
    pair.client("west").await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

/// East has lost what `sql` wrote, west is the writer, and the bundle is there.
async fn lost(pair: &Pair, before: &str, sql: &str) -> Bundle {
    run(pair, "east", before).await;
    eventually("the tables arrive", || async {
        let there = "SELECT count(*) FROM pg_class WHERE relname = 'theirs'";
        if count(pair, there).await == 1 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    pair.keep_ready().await;
    pair.sever().await;
    pair.keep_ready().await;
    run(pair, "east", sql).await;
    fail_over(pair).await;
    let about = captured(pair).await;
    pair.rejoin("east", "west").await.unwrap();
    about
}

const ROLES: &str = "SELECT count(*) FROM pg_roles WHERE rolname = 'pilotlight_rescue'";

#[tokio::test(flavor = "multi_thread")]
async fn code_of_a_tables_owner_does_not_run_as_a_superuser() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let about = lost(
        &pair,
        MALLORY,
        "SET SESSION AUTHORIZATION mallory; BEGIN; INSERT INTO m.t VALUES (1, 'a'); INSERT INTO m.t VALUES (2, 'b');
         UPDATE m.t SET v = 'c' WHERE id = 2; COMMIT; RESET SESSION AUTHORIZATION; INSERT INTO theirs VALUES (1, 'x')",
    )
    .await;
    for by in [None, Some("mara")] {
        let outcome = apply(&pair, &about, by).await.unwrap();
        println!("{:?}", outcome.output().map(|o| &o.text));
        assert_eq!(count(&pair, ROLES).await, 0, "the role is gone");
        let power = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname <> 'pilot'";
        assert_eq!(count(&pair, power).await, 0, "nobody became a superuser");
        let members =
            "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = 'mallory'";
        assert_eq!(count(&pair, members).await, 0);
    }
    // The code did run, at each place and at the commit too, and never with more than the role's rights.
    let west = pair.client("west").await.unwrap();
    let rows =
        west.query("SELECT DISTINCT place FROM m.seen WHERE who = 'pilotlight_rescue' AND n = 1", &[]).await.unwrap();
    let places: Vec<String> = rows.iter().map(|r| r.get(0)).collect();
    for wanted in ["always", "deferred", "check", "index a", "rule", "cursor"] {
        assert!(places.iter().any(|p| p == wanted), "{wanted} ran: {places:?}");
    }
    let rows = west.query("SELECT DISTINCT who, place FROM m.seen WHERE who <> 'mallory'", &[]).await.unwrap();
    let seen: Vec<(String, String)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
    assert!(seen.iter().all(|(who, _)| who == "pilotlight_rescue"), "{seen:?}");
    let won = [
        "SET ROLE",
        "AUTHORIZATION",
        "ALTER ROLE",
        "CREATE ROLE",
        "GRANT pilot",
        "COPY",
        "pg_read",
        "replication_role",
    ];
    let won: Vec<_> = seen.iter().filter(|(_, place)| won.iter().any(|w| place.contains(w))).collect();
    assert!(won.is_empty(), "{won:?}");
    let given =
        "SELECT count(*) FROM pg_class WHERE relname = 'theirs' AND has_table_privilege('mallory', oid, 'SELECT')";
    assert_eq!(count(&pair, given).await, 0, "no right was handed on");
    assert_eq!(count(&pair, "SELECT count(*) FROM m.t WHERE (id, v) IN ((1, 'a'), (2, 'c'))").await, 2);
    assert_eq!(count(&pair, "SELECT count(*) FROM theirs").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_role_nothing_is_compared_or_applied() {
    let pair = Pair::started_rescuing(Pair::rows()).await;
    let about =
        lost(&pair, "CREATE TABLE theirs (id int PRIMARY KEY, v text)", "INSERT INTO theirs VALUES (1, 'x')").await;
    run(&pair, "west", "CREATE ROLE pilotlight_rescue SUPERUSER").await;
    let theirs = apply(&pair, &about, Some("mara")).await.unwrap_err();
    assert!(theirs.message.contains("PL-0967") && theirs.message.contains("not made by"), "{theirs}");
    run(&pair, "west", "DROP ROLE pilotlight_rescue").await;

    let file = pair.data_dir("west").join("pg_hba.conf");
    let rules = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("host all pilotlight_rescue all reject\n{rules}")).unwrap();
    run(&pair, "west", "SELECT pg_reload_conf()").await;
    let refused = eventually("it is not let in", || async {
        match apply(&pair, &about, None).await {
            Err(failure) => Ok(failure),
            Ok(outcome) => Err(format!("{outcome:?}")),
        }
    })
    .await;
    assert!(refused.message.contains("PL-0967") && refused.kind == FailureKind::Rejected, "{refused}");
    assert_eq!(count(&pair, ROLES).await, 0, "the role is gone");
    assert_eq!(count(&pair, "SELECT count(*) FROM theirs").await, 0);

    // One that a killed agent left behind is taken for ours, and what was made as it goes with it.
    std::fs::write(&file, rules).unwrap();
    let left = "SELECT pg_reload_conf(); CREATE ROLE pilotlight_rescue;
        COMMENT ON ROLE pilotlight_rescue IS 'made by Pilotlight for as long as lost rows are compared or applied'";
    run(&pair, "west", left).await;
    let applied =
        eventually("it is let in", || async { apply(&pair, &about, Some("mara")).await.map_err(|e| e.message) });
    assert!(matches!(applied.await, Outcome::Done { .. }));
    assert_eq!((count(&pair, ROLES).await, count(&pair, "SELECT count(*) FROM theirs").await), (0, 1));
}
