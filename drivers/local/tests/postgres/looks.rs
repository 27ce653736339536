//! What is seen, how fast, and what a preflight finds.

use crate::pair::{Pair, component, eventually, target};
use crate::starts::start_with;
use nix::sys::signal::Signal;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, Sentinel};
use pilotlight_core::outcome::Severity;
use pilotlight_core::plan::{Guarantee, RescuePlan, SecretRef};
use pilotlight_core::position::LagQuality;
use pilotlight_driver::Driver;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn roles_positions_and_lag_are_seen() {
    let pair = Pair::started().await;
    let sentinel = Sentinel { number: 1, written: SystemClock.wall() };
    let effect = Effect::WriteSentinel { component: component(), region: "east".into(), sentinel };
    pair.apply("east", &effect).await.unwrap();
    let seen = eventually("the sentinel arrives", || async {
        let state = pair.look("west").await;
        if state.sentinel == Some(sentinel) { Ok(state) } else { Err(format!("{state:?}")) }
    })
    .await;
    assert_eq!(seen.role, Some(Role::Standby { upstream: Some(Region::from("east")), streaming: true }));
    let lag = seen.lag.clone().expect("a standby has a lag");
    assert_eq!(lag.quality, LagQuality::Exact);
    assert!(lag.seconds_ms.is_some_and(|s| s < Duration::from_secs(60)), "{lag:?}");
    let writer = pair.look("east").await;
    assert_eq!((writer.role, writer.sentinel), (Some(Role::Writer), Some(sentinel)));
    assert_eq!(writer.position.unwrap().lineage, seen.position.unwrap().lineage);
    assert_eq!(seen.facts["timeline"], "1");
}

/// What makes a look a matter of milliseconds: an agent looks several times a second, and decisions wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn looks_share_one_connection_and_start_no_program() {
    let pair = Pair::started().await;
    let client = pair.client("east").await.unwrap();
    let sessions = async || {
        let others =
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
        let rows = client.query(others, &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, i32>(0)).collect::<BTreeSet<_>>()
    };
    let before = sessions().await;
    // It has no program that it could start.
    let fresh = pair.driver_with("east", |server| server.bin_dir = Some("/nowhere".into()));
    let look = async || {
        let state = fresh.observe(&target("east")).await.unwrap();
        assert_eq!(state.role, Some(Role::Writer), "{state:?}");
        assert!(state.position.is_some(), "{state:?}");
    };
    look().await;
    let own: BTreeSet<i32> = sessions().await.difference(&before).copied().collect();
    assert_eq!(own.len(), 1, "{own:?}");
    for _ in 0..20 {
        look().await;
    }
    assert_eq!(sessions().await.difference(&before).copied().collect::<BTreeSet<_>>(), own, "it connected anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_names_what_is_wrong_with_a_real_server() {
    let passphrase = Some(SecretRef::Env("UNUSED".to_owned()));
    let pair = Pair::started_rescuing(RescuePlan { passphrase, ..RescuePlan::default() }).await;
    let promote = Effect::Promote { component: component(), region: "west".into() };
    assert_eq!(pair.west.preflight(&promote).await.unwrap(), []);
    let rejoin = Effect::Rejoin { component: component(), region: "west".into(), upstream: "east".into() };
    assert_eq!(pair.west.preflight(&rejoin).await.unwrap(), []);
    let client = pair.client("west").await.unwrap();
    for sql in
        ["ALTER SYSTEM SET recovery_min_apply_delay = '1min'", "ALTER SYSTEM SET wal_retrieve_retry_interval = '5s'"]
    {
        client.batch_execute(sql).await.unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    eventually("both settings are found", || async {
        let found = pair.west.preflight(&promote).await.unwrap();
        let codes: Vec<_> = found.iter().map(|f| (f.code.as_str(), f.severity)).collect();
        let wanted = [("PL-0313", Severity::Warning), ("PL-0316", Severity::Blocker)];
        if codes == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_names_who_does_not_wait() {
    let (pair, waits, _renewing) = Pair::bounded().await;
    let stop = Effect::StopWrites { component: component(), region: "east".into() };
    let codes = async || {
        let found = pair.east.preflight(&stop).await.unwrap();
        let ours = |f: &pilotlight_core::outcome::Finding| f.code.starts_with("PL-034").then(|| f.code.clone());
        (found.iter().filter_map(ours).collect::<Vec<_>>(), format!("{found:?}"))
    };
    assert_eq!(codes().await.0, Vec::<String>::new());
    let client = pair.client("east").await.unwrap();
    for (value, code) in [("NO", "PL-0340"), ("0", "PL-0340"), ("Local", "PL-0340"), ("REMOTE_APPLY", "PL-0344")] {
        client.batch_execute(&format!("ALTER SYSTEM SET synchronous_commit = '{value}'")).await.unwrap();
        let (found, said) = codes().await;
        assert_eq!(found, [code], "{value}: {said}");
    }
    client.batch_execute("ALTER SYSTEM RESET synchronous_commit").await.unwrap();
    assert_eq!(codes().await.0, Vec::<String>::new());
    for (role, value) in [("careless", "off"), ("hasty", "remote_write"), ("careful", "remote_apply")] {
        let sql = format!("CREATE ROLE {role}; ALTER ROLE {role} SET synchronous_commit = {value}");
        client.batch_execute(&sql).await.unwrap();
    }
    client.batch_execute("ALTER DATABASE postgres SET synchronous_commit = 'local'").await.unwrap();
    let (found, said) = codes().await;
    assert_eq!(found, ["PL-0340"]);
    for who in ["role careless in every database", "role hasty in every database", "database postgres"] {
        assert!(said.contains(who), "{said}");
    }
    assert!(!said.contains("role careful"), "it waits for more: {said}");
    let _copy = pilotlight_gate::link(&pair.stranger(&waits)).expect("another client under the candidate's name");
    eventually("the name is seen to be used twice", || async {
        let (found, said) = codes().await;
        if found == ["PL-0340", "PL-0341"] { Ok(()) } else { Err(said) }
    })
    .await;
}

/// No file says it, and no session of the agent sees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_names_a_server_that_was_started_not_to_wait() {
    let pair = Pair::started_with(Guarantee::Strict).await;
    pair.hit("east", Signal::SIGKILL);
    pair.reaches("east", |role| matches!(role, Role::Down { .. })).await;
    start_with(&pair, "east", "--synchronous-commit=False");
    pair.reaches("east", |role| matches!(role, Role::Standby { .. })).await;
    let stop = Effect::StopWrites { component: component(), region: "east".into() };
    let found = pair.east.preflight(&stop).await.unwrap();
    let ours = found.iter().find(|f| f.code == "PL-0340").unwrap_or_else(|| panic!("{found:?}"));
    assert!(ours.hint.contains("command line"), "{ours:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_target_is_refused() {
    let pair = Pair::bare().await;
    assert!(pair.east.observe(&target("west")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_application_sets_does_not_act_on_the_agent() {
    let pair = Pair::started().await;
    let client = pair.client("east").await.unwrap();
    let settings = "CREATE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'; \
        CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS 'SELECT 1/0; SELECT now()'; \
        ALTER DATABASE postgres SET search_path = public, pg_catalog; \
        ALTER DATABASE postgres SET statement_timeout = '1ms'; \
        ALTER DATABASE postgres SET idle_session_timeout = '1ms'; \
        ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'; \
        ALTER DATABASE postgres SET standard_conforming_strings = off; CREATE ROLE app";
    client.batch_execute(settings).await.unwrap();
    // A driver that connects only now.
    let fresh = pair.driver_with("east", |_| ());
    let sentinel = |number| {
        let sentinel = Sentinel { number, written: SystemClock.wall() };
        Effect::WriteSentinel { component: component(), region: "east".into(), sentinel }
    };
    assert_eq!(fresh.observe(&target("east")).await.unwrap().role, Some(Role::Writer));
    let context = || pair.context(Duration::from_secs(5));
    fresh.apply(&sentinel(1), &context()).await.unwrap();
    eventually("a new session is told of it on the standby", || async {
        let state = pair.driver_with("west", |_| ()).observe(&target("west")).await.unwrap();
        let standby = matches!(state.role, Some(Role::Standby { .. }));
        if standby && state.sentinel.is_some() { Ok(()) } else { Err(format!("{state:?}")) }
    })
    .await;
    assert_eq!(fresh.observe(&target("east")).await.unwrap().sentinel.map(|s| s.number), Some(1));

    for sql in ["ALTER TABLE pilotlight.sentinel OWNER TO app", "ALTER SCHEMA pilotlight OWNER TO app"] {
        client.batch_execute(sql).await.unwrap();
        let refused = fresh.apply(&sentinel(2), &context()).await.unwrap_err();
        assert!(refused.message.starts_with("PL-0980: "), "{sql}: {refused:?}");
        if sql.starts_with("ALTER TABLE") {
            assert_eq!(fresh.observe(&target("east")).await.unwrap().sentinel, None, "what is not ours is not read");
            client.batch_execute("ALTER TABLE pilotlight.sentinel OWNER TO CURRENT_USER").await.unwrap();
        }
    }
    client.batch_execute("ALTER SCHEMA pilotlight OWNER TO CURRENT_USER").await.unwrap();
    fresh.apply(&sentinel(2), &context()).await.unwrap();
}
