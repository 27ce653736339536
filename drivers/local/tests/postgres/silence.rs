//! A gate that says nothing: its server hangs up on it after the time that the gate itself has asked for.
//!
//! What a gate sends that was stopped between its look at the clock and its word is not believed because of this alone.

use crate::pair::{Pair, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_hangs_up_on_a_silent_gate_after_the_time_that_it_asked_for_and_not_its_own() {
    let (pair, waits, _renewing) = Pair::bounded().await;
    let client = pair.client("east").await.expect("a client");
    // No patience of the server's own ends the connection: with it alone this test would not end well.
    for statement in ["ALTER SYSTEM SET wal_sender_timeout = '1h'", "SELECT pg_reload_conf()"] {
        client.batch_execute(statement).await.expect("another setting");
    }
    eventually("the setting", || async {
        let row = client.query_one("SHOW wal_sender_timeout", &[]).await.expect("an answer");
        let says: String = row.get(0);
        if says == "1h" { Ok(()) } else { Err(says) }
    })
    .await;
    let site = pilotlight_gate::order::Site { name: "pl_gate_silent".to_owned(), ..pair.stranger(&waits) };
    // Open, and never read or answered.
    let _silent = pilotlight_gate::link(&site).expect("a link");
    let follows = "SELECT count(*) FROM pg_stat_replication WHERE application_name = 'pl_gate_silent'";
    eventually("the end of its connection", || async {
        let row = client.query_one(follows, &[]).await.expect("an answer");
        let links: i64 = row.get(0);
        if links == 0 { Ok(()) } else { Err(format!("{links} links")) }
    })
    .await;
}
