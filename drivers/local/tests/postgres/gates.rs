//! What a writer waits for: with a gate, without one, and when somebody is frozen, killed or thawed.

use crate::pair::{LEASE, PATIENCE, Pair, component, eventually, gate_parts, moment, now};
use crate::payer::Payer;
use nix::sys::signal::Signal;
use pilotlight_core::candidate::Waits;
use pilotlight_core::effect::Effect;
use pilotlight_core::observation::GATE_APART;
use pilotlight_core::outcome::{Failure, Outcome};
use pilotlight_core::plan::Guarantee;
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::gate::Gate;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Not a test: the process that the gates of the others are.
#[test]
#[ignore = "the gate process of other tests"]
fn gate_process() {
    pilotlight_gate::run().expect("a gate that was told where it stands");
}

impl Pair {
    pub async fn wait_for(&self, region: &str, waits: &Waits) -> Result<Outcome, Failure> {
        let effect = Effect::WaitFor { component: component(), region: region.into(), waits: waits.clone() };
        self.apply(region, &effect).await
    }

    /// The same as the agent does it, who tries again: a standby that has just connected has not said how far it is.
    async fn admits(&self, region: &str, waits: &Waits) -> Outcome {
        eventually(&format!("{region} waits for {waits}"), || async {
            self.wait_for(region, waits).await.map_err(|e| e.to_string())
        })
        .await
    }

    /// The name under which west follows.
    async fn name(&self) -> String {
        self.look("west").await.follows_as.expect("a standby with a name")
    }

    /// Opened for one lease from now.
    fn open_gate(&self) {
        self.gates["east"].allow(now() + LEASE);
    }

    /// Renews the gate as an agent does, until the token fires.
    fn renew(&self) -> CancellationToken {
        let (gate, stop) = (self.gates["east"].clone(), CancellationToken::new());
        let until = stop.clone();
        tokio::spawn(async move {
            while !until.is_cancelled() {
                gate.allow(now() + LEASE);
                moment(LEASE / 6).await;
            }
        });
        stop
    }

    /// East waits for west or the gate, proven, and the gate is renewed.
    pub async fn bounded() -> (Pair, Waits, CancellationToken) {
        Pair::started_with(Guarantee::Bounded).await.bound().await
    }

    async fn bound(self) -> (Pair, Waits, CancellationToken) {
        let pair = self;
        let renewing = pair.renew();
        let waits = Waits { candidate: Some(pair.name().await), gate: true };
        let done = pair.admits("east", &waits).await;
        println!("{done:?}");
        (pair, waits, renewing)
    }

    /// What a drill does that copies a standby with its configuration: another client of east under the candidate's name.
    pub fn stranger(&self, waits: &Waits) -> pilotlight_gate::order::Site {
        pilotlight_gate::order::Site {
            name: waits.candidate.clone().expect("a candidate"),
            host: "127.0.0.1".to_owned(),
            port: self.server("east").port,
            user: self.plan.user.clone(),
            password: Some(crate::pair::PASSWORD.to_owned()),
            sender_timeout_ms: 1_000,
            socket: "stranger.sock".to_owned(),
        }
    }

    /// Pays once; somebody is there who confirms it.
    async fn pays(&self, number: u64) -> Result<Duration, String> {
        self.pays_within(number, PATIENCE).await
    }

    /// Pays once, within the time or not at all.
    async fn pays_within(&self, number: u64, limit: Duration) -> Result<Duration, String> {
        let began = now();
        match tokio::time::timeout(limit, self.pay("east", number)).await {
            Ok(paid) => paid.map(|()| now().since(began)),
            Err(_) => Err(format!("not within {}", show_duration(limit))),
        }
    }

    /// Freezes every process of a server, or lets it go on.
    fn freeze(&self, region: &str, signal: Signal) {
        for pid in pilotlight_local::postgres::cluster::processes(self.data_dir(region)) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_is_admitted_only_when_commits_wait_for_it() {
    let (pair, waits, _renewing) = Pair::bounded().await;
    let seen = pair.look("east").await.waiting.expect("a writer");
    assert_eq!((seen.waits, seen.foreign), (waits.clone(), None));
    assert_eq!(seen.followers, [waits.candidate.clone().unwrap()]);
    // Everything that was acknowledged is in the candidate, and the same again costs nothing.
    assert!(matches!(pair.wait_for("east", &waits).await, Ok(Outcome::Skipped { .. })));
    pair.pays(1).await.expect("the gate confirms");
    let nobody = Waits::default();
    pair.wait_for("east", &nobody).await.expect("it waits for nobody");
    assert!(pair.look("east").await.waiting.unwrap().waits.for_nobody());
    let stranger = Waits { candidate: Some("pl_9_nobody".to_owned()), gate: true };
    pair.wait_for("east", &stranger).await.expect_err("it does not stream from here");
    assert!(pair.look("east").await.waiting.unwrap().waits.for_nobody(), "nothing was changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_frozen_nor_a_dead_gate_makes_writes_wait() {
    let (pair, _, _renewing) = Pair::bounded().await;
    pair.hit_gate("east", Signal::SIGSTOP);
    let frozen = pair.pays(1).await.expect("the candidate confirms");
    pair.hit_gate("east", Signal::SIGKILL);
    let dead = pair.pays(2).await.expect("the candidate confirms");
    println!("gate frozen: {}, dead: {}", show_duration(frozen), show_duration(dead));
    // A new one is started, and alone is enough.
    pair.freeze("west", Signal::SIGSTOP);
    let alone = pair.pays(3).await;
    pair.freeze("west", Signal::SIGCONT);
    alone.expect("the new gate confirms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_is_silent_when_the_lease_is_over_and_without_the_candidate_nothing_is_acknowledged() {
    let (pair, _, renewing) = Pair::bounded().await;
    pair.freeze("west", Signal::SIGSTOP);
    pair.pays(1).await.expect("the gate confirms");
    renewing.cancel();
    pair.open_gate();
    let lease_end = now() + LEASE;
    let client = pair.client("east").await.expect("a client");
    eventually("the gate hangs up", || async {
        let asks = "SELECT 1 FROM pg_stat_replication WHERE application_name LIKE 'pl_gate%'";
        let there = client.query(asks, &[]).await.map_err(|e| e.to_string())?;
        if there.is_empty() { Ok(()) } else { Err("it is still there".to_owned()) }
    })
    .await;
    println!("the gate hung up {} before the end of its lease", show_duration(lease_end.since(now())));
    let waits = pair.pays_within(2, Duration::from_millis(1_500)).await;
    waits.expect_err("nobody may confirm");
    // The candidate is back: the waiting commits are let go, and so is the next.
    pair.freeze("west", Signal::SIGCONT);
    pair.pays(3).await.expect("the candidate confirms");
    let (east, west) = (pair.paid("east").await, pair.paid("west").await);
    assert!(east.contains(&3) && east.is_subset(&west), "{east:?} {west:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_was_frozen_is_not_believed_when_it_thaws_after_the_lease() {
    let (pair, _, renewing) = Pair::bounded().await;
    pair.freeze("west", Signal::SIGSTOP);
    renewing.cancel();
    moment(LEASE / 6).await;
    pair.open_gate();
    moment(Duration::from_millis(20)).await;
    pair.hit_gate("east", Signal::SIGSTOP);
    let number = 7;
    let waiting = tokio::spawn({
        let client = pair.client("east").await.expect("a client");
        async move { client.execute(&format!("INSERT INTO paid VALUES ({number})"), &[]).await }
    });
    // Past the lease, with the commit in the socket of the frozen gate.
    moment(LEASE + Duration::from_millis(200)).await;
    pair.hit_gate("east", Signal::SIGCONT);
    moment(Duration::from_millis(700)).await;
    assert!(!waiting.is_finished(), "a stale gate let a commit go");
    pair.freeze("west", Signal::SIGCONT);
    waiting.await.expect("no panic").expect("the candidate lets it go");
}

/// Looks as an agent does: that is how the gate hears how far the candidate is.
fn look_on(pair: &Arc<Pair>) -> CancellationToken {
    let (pair, stop) = (pair.clone(), CancellationToken::new());
    let until = stop.clone();
    tokio::spawn(async move {
        while !until.is_cancelled() {
            pair.look("east").await;
            moment(Duration::from_millis(50)).await;
        }
    });
    stop
}

/// A payment that is not acknowledged after so long waits for the candidate: far more than a busy machine needs for one.
const STALLED: Duration = Duration::from_secs(5);

/// Payments one after the other.
struct Payments {
    /// When the first one was acknowledged, and when the last one was sent that was.
    acknowledged: Option<(Mono, Mono)>,
    stalled: bool,
}

/// Pays until a payment stalls, or one that was sent after `longest` is acknowledged.
async fn pay_for(pair: &Pair, longest: Duration) -> Payments {
    let end = now() + longest;
    let mut acknowledged: Option<(Mono, Mono)> = None;
    for number in 1.. {
        let sent = now();
        match tokio::time::timeout(STALLED, pair.pay("east", number)).await {
            Ok(paid) => paid.expect("a server that takes payments"),
            Err(_) => return Payments { acknowledged, stalled: true },
        }
        acknowledged = Some((acknowledged.map_or_else(now, |(first, _)| first), sent));
        if sent > end {
            break;
        }
        moment(Duration::from_millis(20)).await;
    }
    Payments { acknowledged, stalled: false }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_governor_stalls_writes_that_the_candidate_has_lacked_for_the_rpo_and_no_longer() {
    let rpo = Duration::from_secs(2);
    let (pair, _, _renewing) = Pair::started_stalling(rpo).await.bound().await;
    let pair = Arc::new(pair);
    let looking = look_on(&pair);
    eventually("the candidate is known to have everything", || async {
        pair.pays_within(u64::from(now().0.subsec_nanos()) + 1_000_000, STALLED).await
    })
    .await;
    pair.freeze("west", Signal::SIGSTOP);
    let made = pay_for(&pair, rpo * 5).await;
    pair.freeze("west", Signal::SIGCONT);
    assert!(made.stalled, "more was exposed than the RPO");
    // The candidate had everything before the first of them at the latest, and none was confirmed before it was sent:
    // however slow this machine is, the one cannot be further from the other.
    let (first, last) = made.acknowledged.expect("writes go on at first");
    println!("the last payment was sent {} after the first was acknowledged", show_duration(last.since(first)));
    assert!(last <= first + rpo, "{:?} were exposed", last.since(first));
    eventually("writes go on", || pair.pays_within(u64::from(now().0.subsec_nanos()) + 2_000_000_000, STALLED)).await;
    looking.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_governor_writes_go_on_past_the_rpo() {
    let (pair, _, _renewing) = Pair::bounded().await;
    let pair = Arc::new(pair);
    let looking = look_on(&pair);
    pair.freeze("west", Signal::SIGSTOP);
    let made = pay_for(&pair, Duration::from_secs(3)).await;
    pair.freeze("west", Signal::SIGCONT);
    assert!(!made.stalled, "the plan exposes");
    looking.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_gate_takes_what_a_changed_plan_says() {
    let (pair, _, _renewing) = Pair::bounded().await;
    let process = || async {
        let word = pair.gates["east"].word();
        word.filter(|w| w.linked).map(|w| w.pid).ok_or_else(|| "it is not linked".to_owned())
    };
    let before = eventually("a linked gate", process).await;
    let client = pair.client("east").await.expect("a client");
    client.batch_execute(&format!("ALTER ROLE {} PASSWORD 'another'", pair.plan.user)).await.expect("a new password");
    // The plan is changed and the agent started again: it finds the gate of before.
    let mut parts = gate_parts(pair.root.path(), &pair.plan, "east");
    (parts.password, parts.lease) = (Some("another".to_owned()), LEASE * 2);
    let changed = pilotlight_local::postgres::PostgresGate::new(parts).expect("a gate");
    let stop = CancellationToken::new();
    let (gate, until) = (changed.clone(), stop.clone());
    tokio::spawn(async move {
        while !until.is_cancelled() {
            gate.allow(now() + LEASE * 2);
            moment(LEASE / 6).await;
        }
    });
    let sender = "SELECT pid FROM pg_stat_replication WHERE application_name LIKE 'pl_gate%'";
    let old = client.query(sender, &[]).await.expect("senders").first().map(|r| r.get::<_, i32>(0));
    // Whatever ends the connection: only the new password opens another.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name LIKE 'pl_gate%'";
    client.query(end, &[]).await.expect("an end");
    eventually("the gate is linked again", || async {
        let senders = client.query(sender, &[]).await.map_err(|e| e.to_string())?;
        let new = senders.first().map(|r| r.get::<_, i32>(0));
        if new.is_some() && new != old { Ok(()) } else { Err(format!("{old:?}, then {new:?}; {:?}", changed.word())) }
    })
    .await;
    assert_eq!(changed.word().map(|w| w.pid), Some(before), "the process is the same: no commit waited for a new one");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread")]
async fn promoting_under_four_writers_with_a_frozen_gate_loses_nothing() {
    let (pair, _, renewing) = Pair::bounded().await;
    let mut payers = Vec::new();
    for n in 0..4 {
        payers.push(Payer::start(&pair, "east", n * 1_000_000 + 1, 1).await);
    }
    for payer in &payers {
        payer.has_paid(200).await;
    }
    // The agent and the gate freeze; the lease runs out; nobody fences the old writer.
    renewing.cancel();
    pair.hit_gate("east", Signal::SIGSTOP);
    for payer in &payers {
        payer.has_paid(400).await;
    }
    moment(LEASE).await;
    pair.promote("west").await.expect("a new writer");
    moment(Duration::from_millis(300)).await;
    pair.fence("east").await.expect("the old one ends at last");
    let held = pair.paid("west").await;
    let mut missing = 0;
    for payer in payers {
        missing += payer.broken().await.acknowledged.difference(&held).count();
    }
    // Nothing that the old one acknowledged after the promotion could be there, whenever its client read the answer.
    assert_eq!(missing, 0, "acknowledged by the old writer and not in the new one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_under_load_never_acknowledges_what_the_new_candidate_lacks() {
    let pair = Arc::new(Pair::started_with(Guarantee::Bounded).await);
    let _renewing = pair.renew();
    let payer = Payer::start(&pair, "east", 1, 8).await;
    payer.has_paid(100).await;
    let waits = Waits { candidate: Some(pair.name().await), gate: true };
    pair.admits("east", &waits).await;
    // From now on it may be promoted at any moment: without the gate, all that is acknowledged is there.
    pair.hit_gate("east", Signal::SIGKILL);
    pair.gates["east"].close();
    payer.has_paid(300).await;
    pair.fence("east").await.expect("a fence");
    let paid = payer.broken().await;
    pair.promote("west").await.expect("a new writer");
    let held = pair.paid("west").await;
    let missing = paid.acknowledged.difference(&held).count();
    assert_eq!(missing, 0, "of {}", paid.acknowledged.len());
    assert!(pair.look("west").await.waiting.unwrap().waits.for_nobody(), "a new writer starts unopposed");
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_waits_for_the_candidate_alone() {
    let pair = Pair::started_with(Guarantee::Strict).await;
    let waits = Waits { candidate: Some(pair.name().await), gate: false };
    pair.admits("east", &waits).await;
    pair.pays(1).await.expect("the candidate confirms");
    pair.freeze("west", Signal::SIGSTOP);
    let waited = pair.pays_within(2, Duration::from_millis(500)).await;
    pair.freeze("west", Signal::SIGCONT);
    waited.expect_err("nobody else may confirm");
    pair.pays(3).await.expect("it is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_was_cleared_is_put_back_while_the_candidate_is_away_however_often() {
    let pair = Pair::started_with(Guarantee::Strict).await;
    let waits = Waits { candidate: Some(pair.name().await), gate: false };
    pair.admits("east", &waits).await;
    let west = pair.client("west").await.expect("a standby");
    let way = west.query_one("SELECT current_setting('primary_conninfo')", &[]).await.expect("a setting");
    let way: String = way.get(0);
    pair.sever().await;
    let east = pair.client("east").await.expect("a client");
    for number in 1..=2 {
        east.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.expect("a setting");
        east.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
        eventually("nobody is waited for", || async {
            let waiting = pair.look("east").await.waiting.unwrap_or_default();
            if waiting.waits.for_nobody() { Ok(()) } else { Err(format!("{waiting:?}")) }
        })
        .await;
        let failure = pair.wait_for("east", &waits).await.expect_err("nothing can be proven without the candidate");
        assert_eq!(pair.look("east").await.waiting.unwrap().waits, waits, "put back, time {number}: {failure}");
        pair.pays_within(number, Duration::from_millis(500)).await.expect_err("the candidate does not have it");
    }
    west.batch_execute(&format!("ALTER SYSTEM SET primary_conninfo = '{}'", way.replace('\'', "''"))).await.unwrap();
    west.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    pair.streams("west").await;
    assert!(matches!(pair.admits("east", &waits).await, Outcome::Done { .. }), "it is proven anew");
    pair.pays(3).await.expect("the candidate confirms");
}

/// Open, and said to be: any role may waive the wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_waives_the_wait_is_not_covered() {
    let pair = Pair::started_with(Guarantee::Strict).await;
    let waits = Waits { candidate: Some(pair.name().await), gate: false };
    pair.admits("east", &waits).await;
    pair.freeze("west", Signal::SIGSTOP);
    let client = pair.client("east").await.expect("a client");
    let waived = client.batch_execute("SET synchronous_commit = off; INSERT INTO paid VALUES (1)").await;
    pair.freeze("west", Signal::SIGCONT);
    waived.expect("acknowledged at once");
}

/// Open, and said to be: whoever cancels a commit that waits is told that it is done.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_cancelled_while_it_waits_is_acknowledged() {
    let pair = Pair::started_with(Guarantee::Strict).await;
    let waits = Waits { candidate: Some(pair.name().await), gate: false };
    pair.admits("east", &waits).await;
    let (client, other) = (pair.client("east").await.expect("a client"), pair.client("east").await.expect("another"));
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a number").get(0);
    pair.freeze("west", Signal::SIGSTOP);
    let cancel = client.cancel_token();
    let paying = tokio::spawn(async move { client.batch_execute("INSERT INTO paid VALUES (1)").await });
    let waits_for = "SELECT wait_event FROM pg_stat_activity WHERE pid = $1";
    eventually("the commit waits", || async {
        let row = other.query_one(waits_for, &[&pid]).await.map_err(|e| e.to_string())?;
        let event: Option<String> = row.get(0);
        if event.as_deref() == Some("SyncRep") { Ok(()) } else { Err(format!("{event:?}")) }
    })
    .await;
    assert!(!paying.is_finished(), "nobody has confirmed it");
    cancel.cancel_query(tokio_postgres::NoTls).await.expect("the server hears it");
    let told = tokio::time::timeout(PATIENCE, paying).await;
    let seen = other.query_one("SELECT count(*) FROM paid", &[]).await.map(|row| row.get::<_, i64>(0));
    pair.freeze("west", Signal::SIGCONT);
    told.expect("it waits no longer")
        .expect("no panic")
        .expect("the client is told that it is done, not that it failed");
    assert_eq!(seen.expect("a count"), 1, "others see it, and the candidate does not have it");
}

/// Open, and said to be: who reads the log does not wait with the commit.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_captured_before_its_commit_is_acknowledged() {
    let pair = Pair::started_with(Guarantee::Strict).await;
    let waits = Waits { candidate: Some(pair.name().await), gate: false };
    pair.admits("east", &waits).await;
    let reader = pair.client("east").await.expect("a client");
    let made = "SELECT pg_create_logical_replication_slot('cdc', 'test_decoding')";
    reader.batch_execute(made).await.expect("a slot");
    pair.freeze("west", Signal::SIGSTOP);
    let paid = pair.pays_within(1, Duration::from_millis(500)).await;
    let read = "SELECT data FROM pg_logical_slot_peek_changes('cdc', NULL, NULL) WHERE data LIKE '%paid: INSERT%'";
    let captured = reader.query(read, &[]).await;
    pair.freeze("west", Signal::SIGCONT);
    paid.expect_err("nobody has confirmed it");
    assert_eq!(captured.expect("what is in the log").len(), 1, "the reader has it, and the candidate does not");
}

/// The setting was proven while the gate was connected; nothing asks for the gate again.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_is_not_let_in_any_more_is_told() {
    let (pair, _, _renewing) = Pair::bounded().await;
    assert_eq!(pair.look("east").await.facts.get(GATE_APART), None);
    let client = pair.client("east").await.expect("a client");
    let hba = pair.server("east").data_dir.join("pg_hba.conf");
    let rules = std::fs::read_to_string(&hba).expect("its rules");
    std::fs::write(&hba, format!("host replication all all reject\n{rules}")).expect("another rule");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name LIKE 'pl_gate%'";
    let told = eventually("the gate is told to be apart", || async {
        // Again and again: it may come back before the server has read its rules.
        client.batch_execute(end).await.expect("an end");
        let state = pair.look("east").await;
        state.facts.get(GATE_APART).cloned().ok_or_else(|| format!("{:?}", state.facts))
    })
    .await;
    assert!(told.contains("pg_hba.conf"), "{told}");
    pair.pays(1).await.expect("the candidate confirms meanwhile");
    std::fs::write(&hba, rules).expect("the rule of before");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("a reload");
    eventually("the gate confirms", || async {
        let state = pair.look("east").await;
        let confirms = state.facts.get("gate").is_some_and(|says| says == "confirms");
        if confirms && !state.facts.contains_key(GATE_APART) { Ok(()) } else { Err(format!("{:?}", state.facts)) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_under_a_name_that_another_copy_uses_is_no_candidate() {
    let (pair, waits, _renewing) = Pair::bounded().await;
    let name = waits.candidate.clone().unwrap();
    let _copy = pilotlight_gate::link(&pair.stranger(&waits)).expect("another client under the same name");
    let seen = eventually("the name is seen to be used twice", || async {
        let waiting = pair.look("east").await.waiting.unwrap_or_default();
        if waiting.doubled.is_empty() { Err(format!("{waiting:?}")) } else { Ok(waiting) }
    })
    .await;
    assert_eq!((seen.doubled, seen.followers), (vec![name], vec![]));
}
