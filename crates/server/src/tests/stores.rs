//! Stores that are not the ones that they were, where a writer waits for its candidate: an old copy, a new one, and one that
//! several controllers share.

use super::lab::Lab;
use super::several::{LEAD, Three};
use super::steering::begun;
use super::wait::until;
use crate::api::view::{AcknowledgeReply, AcknowledgeRequest, DecisionView, StatusView};
use pilotlight_core::candidate::Waits;
use pilotlight_core::leader::{LeaderRecord, Term};
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::observation::Role;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{Guarantee, Plan, RejoinMode};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_engine::store::{MemoryStore, Store};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn bounded(plan: &mut Plan) {
    plan.policy.guarantee = Guarantee::Bounded;
    plan.policy.rejoin = RejoinMode::Manual;
    plan.objectives.rpo = Duration::from_secs(1);
}

fn candidate(status: &StatusView) -> Option<&str> {
    status.units[0].candidate.as_ref().map(|c| c.as_str())
}

fn is_behind(status: &StatusView, says: &str) -> bool {
    match &status.units[0].decision {
        DecisionView::Hold { code, why } => code.as_deref() == Some("PL-0874") && why.contains(says),
        DecisionView::Start { .. } => false,
    }
}

/// Nobody leads; the terms after this are higher than that one.
async fn raise_term(three: &Three, term: Term) {
    let store = &three.ways["a"].store;
    until("the term is raised", async || {
        let found = store.get("leader").await.unwrap().unwrap();
        let record: LeaderRecord = serde_json::from_slice(&found.value).unwrap();
        let record = serde_json::to_vec(&LeaderRecord { term, ..record }).unwrap();
        store.put("leader", record, Some(found.version)).await.map_err(|e| e.to_string())
    })
    .await;
}

/// The store names west and the writer in east waits for it.
async fn until_west_is_the_candidate(lab: &Lab) {
    until("west is the candidate, and waited for", async || {
        let status = lab.status().await?;
        let waits = lab.world.copy("database", "east").unwrap().waits;
        match (candidate(&status), waits.candidate.as_deref()) {
            (Some("west"), Some("west")) if waits.gate => Ok(()),
            _ => Err(format!("{waits:?}, {status:#?}")),
        }
    })
    .await;
}

fn west_streams(lab: &Lab, streaming: bool) {
    lab.world.set_role("database", "west", |_| Role::Standby { upstream: Some("east".into()), streaming });
}

fn database(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("pilotlight.db"))).collect()
}

fn copy_database(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    database(to).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    for file in database(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_of_the_same_epoch_has_no_candidate_until_the_writer_waits_for_one_again() {
    let mut lab = Lab::up(bounded).await;
    until_west_is_the_candidate(&lab).await;
    let (state, old) = (lab.folder().join("controller"), lab.folder().join("old"));
    lab.kill_controller();
    copy_database(&state, &old);
    lab.start_controller();
    west_streams(&lab, false);
    let waits = |lab: &Lab| lab.world.copy("database", "east").unwrap().waits;
    until("nobody is the candidate, and waited for", async || {
        let status = lab.status().await?;
        let waits = waits(&lab);
        if candidate(&status).is_none() && waits.for_nobody() { Ok(()) } else { Err(format!("{waits:?}, {status:#?}")) }
    })
    .await;
    lab.kill_controller();
    copy_database(&old, &state);
    lab.start_controller();
    // The copy names west, for whom the writer does not wait; its agent has heard better.
    let status = lab.until("nobody is the candidate", |s| candidate(s).is_none() && s.is_well("east")).await;
    assert_eq!((status.units[0].epoch.map(|e| e.0), waits(&lab)), (Some(1), Waits::default()), "no run was between");
    assert_eq!(lab.runs().await, vec![]);
    west_streams(&lab, true);
    until_west_is_the_candidate(&lab).await;
    lab.until("it is known what would be lost", StatusView::knows_exposure).await;
    lab.lose("east");
    assert_eq!(
        lab.until_ended(1).await,
        [Verb::Failover],
        "an agent that had heard more takes the mended store's word"
    );
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_store_whose_epoch_was_raised_there_is_a_candidate_again() {
    let mut lab = Lab::up(bounded).await;
    until_west_is_the_candidate(&lab).await;
    for (verb, to) in [(Verb::Switchover, "west"), (Verb::Failback, "east")] {
        begun(&lab, verb, Some(to)).await;
        lab.until("it is where it was led to", |s| s.is_well(to)).await;
    }
    until_west_is_the_candidate(&lab).await;
    lab.kill_controller();
    lab.forget_the_store();
    lab.start_controller();
    let leased = |s: &StatusView| matches!(s.units[0].lease, LeaseSight::Held { .. });
    lab.until("it holds still and the lease goes on", |s| is_behind(s, "epoch 1 ") && leased(s)).await;
    let word = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: true };
    lab.send::<AcknowledgeReply>("/v1/units/payments/acknowledge", &word).await.unwrap();
    lab.until("it holds no more", |s| s.is_well("east") && !is_behind(s, "")).await;
    until_west_is_the_candidate(&lab).await;
    lab.until("it is known what would be lost", StatusView::knows_exposure).await;
    lab.lose("east");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    lab.no_rule_was_broken();
}

/// The last way out of docs/errors/PL-0874.md: the right writer was silenced and the store is emptied.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_a_person_started_by_hand_is_entered_in_an_emptied_store() {
    let mut lab = Lab::up(|_| ()).await;
    lab.kill_controller();
    lab.until_role("east", |r| matches!(r, Role::Fenced { .. })).await;
    lab.forget_the_store();
    lab.kill_agent("east");
    std::fs::remove_file(lab.folder().join("east/lease.json")).unwrap();
    lab.world.set_role("database", "east", |_| Role::Writer);
    lab.start_agent("east");
    lab.start_controller();
    lab.until("the writer is entered", |s| s.units[0].writer == Some("east".into())).await;
    let word = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: true };
    lab.send::<AcknowledgeReply>("/v1/units/payments/acknowledge", &word).await.unwrap();
    lab.until("it holds the lease", |s| s.is_well("east")).await;
    lab.world.write("database", "east").expect("nobody has silenced it again");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_whose_shared_store_was_emptied_say_that_nobody_obeys_them_and_lead_on_at_a_persons_word() {
    let mut three = Three::up_with(bounded).await;
    let first = three.leader().await;
    // A high term, so that whoever leads the new store leads an older one, even where the lead changes there.
    three.kill(first);
    raise_term(&three, Term(20)).await;
    let second = three.successor(first).await;
    three.until_well("east").await;
    let heard = three.record().await.term;
    assert!(heard > Term(20), "agents have heard of it");
    let others: Vec<_> = three.running.keys().copied().collect();
    others.iter().for_each(|name| three.kill(name));
    let emptied = MemoryStore::new();
    three.ways.values_mut().for_each(|way| way.store = emptied.clone());
    // What the agents heard outlives them.
    for region in ["east", "west"] {
        three.lab.kill_agent(region);
        three.lab.start_agent(region);
    }
    // One alone leads the new store's first term; the others come later, and another would lead the second.
    let began = SystemClock.mono();
    three.start(second);
    until("the new store is led from", async || {
        emptied.get("leader").await.unwrap().map(drop).ok_or("by nobody".to_owned())
    })
    .await;
    let waited = SystemClock.mono().since(began);
    assert!(waited >= LEAD, "whoever led before it was emptied may count its lead, and it was taken after {waited:?}");
    let status = until("it says that nobody obeys it", async || {
        let status: StatusView = three.ask(second, "/v1/status").await?;
        let says = format!("leader of term {heard}, and this one leads term ");
        if is_behind(&status, &says) { Ok(status) } else { Err(format!("{status:#?}")) }
    })
    .await;
    assert!(is_behind(&status, "--raise-epoch"), "{status:#?}");
    let word = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: true };
    let at = three.addresses[second];
    three.lab.send_at::<AcknowledgeReply>(at, "/v1/units/payments/acknowledge", &word).await.unwrap();
    until("agents obey it, and there is a candidate again", async || {
        let status: StatusView = three.ask(second, "/v1/status").await?;
        let waits = three.lab.world.copy("database", "east").unwrap().waits;
        let well =
            status.is_well("east") && candidate(&status) == Some("west") && waits.candidate.as_deref() == Some("west");
        if well && !is_behind(&status, "") { Ok(()) } else { Err(format!("{waits:?}, {status:#?}")) }
    })
    .await;
    assert_eq!(three.record().await.term, heard.next());
    three.start(first);
    three.until_well("east").await;
    assert_eq!(three.lab.world.writers("database"), ["east".into()], "nobody was fenced");
    three.lab.no_rule_was_broken();
}
