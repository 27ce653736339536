//! What is obeyed when, and that the next agent knows it.

use super::*;
use crate::lease::guard_tests::{StuckNowhere, parts, plan};
use crate::{FileNotes, Way, WayError, run};
use async_trait::async_trait;
use pilotlight_core::candidate::mark;
use pilotlight_core::id::Epoch;
use pilotlight_core::plan::StorePlan;
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TaskResult, WorkReply, WorkRequest};
use pilotlight_core::time::Mono;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

fn view(epoch: u64, candidacy: u64) -> UnitView {
    UnitView {
        unit: "shop".into(),
        epoch: Epoch(epoch),
        writer: None,
        lease_ms: None,
        candidate: None,
        candidacy,
        offered: Vec::new(),
    }
}

fn basis(epoch: u64, candidacy: u64) -> Basis {
    Basis { epoch: Epoch(epoch), candidacy, mark: mark(None) }
}

/// Several controllers, as terms are heard of.
fn shared() -> Plan {
    let mut plan = plan();
    plan.controller.store = StorePlan::Folder("/store".into());
    plan
}

#[test]
fn nothing_new_is_obeyed_before_it_is_noted_and_of_two_answers_the_newer_one_is() {
    let hearing = Hearing::new(Heard::default(), &shared());
    let obeyed = Mutex::new(Vec::new());
    let obey = |views: Vec<UnitView>| obeyed.lock().unwrap().push((views[0].epoch.0, views[0].candidacy));
    hearing.answered(vec![view(1, 1)], Term(1), obey);
    hearing.answered(vec![view(1, 2)], Term(1), obey);
    assert_eq!(*obeyed.lock().unwrap(), [], "neither is on disk");
    let first = hearing.next().expect("something is to be noted");
    assert_eq!((first.units[&"shop".into()], first.term), (basis(1, 2), Term(1)));
    hearing.answered(vec![view(1, 3)], Term(1), obey);
    hearing.settled(first, true, obey);
    assert_eq!(*obeyed.lock().unwrap(), [], "what is on disk has been overtaken");
    hearing.settled(hearing.next().unwrap(), true, obey);
    assert_eq!(*obeyed.lock().unwrap(), [(1, 3)]);
    // The same again, and an answer of an older store, say nothing new: nothing is written for them.
    hearing.answered(vec![view(1, 3)], Term(1), obey);
    hearing.answered(vec![view(1, 2)], Term(1), obey);
    assert_eq!((obeyed.lock().unwrap().len(), hearing.next()), (3, None));
    hearing.answered(vec![view(1, 3)], Term(2), obey);
    assert_eq!(obeyed.lock().unwrap().len(), 3, "a new leader is new too");
    // A disk that refuses: it is obeyed all the same, and goes on being tried.
    hearing.settled(hearing.next().unwrap(), false, obey);
    assert_eq!(obeyed.lock().unwrap().len(), 4);
    assert_eq!(hearing.next().map(|heard| heard.term), Some(Term(2)));
}

#[test]
fn only_what_the_plan_still_has_is_believed_of_a_note() {
    let units = BTreeMap::from([("shop".into(), basis(3, 7)), ("gone".into(), basis(9, 9))]);
    let noted = Heard { units, term: Term(5) };
    let heard = Hearing::new(noted.clone(), &shared()).heard();
    assert_eq!(heard, Heard { units: BTreeMap::from([("shop".into(), basis(3, 7))]), term: Term(5) });
    let heard = Hearing::new(noted, &plan()).heard();
    assert_eq!(heard.term, Term(0), "one controller leads no terms, and would never be obeyed");
}

/// Controllers in some term, on a store with these numbers.
struct Controllers {
    epoch: u64,
    candidacy: u64,
    leads: u64,
    term: AtomicU64,
    told: mpsc::UnboundedSender<(BTreeMap<Unit, Basis>, Term)>,
}

#[async_trait]
impl Way for Controllers {
    async fn heartbeat(&self, from: &Heartbeat, _: Duration) -> Result<HeartbeatReply, WayError> {
        let _ = self.told.send((from.heard.clone(), from.term));
        self.term.fetch_max(self.leads, Ordering::SeqCst);
        Ok(HeartbeatReply { units: vec![view(self.epoch, self.candidacy)] })
    }

    async fn work(&self, _: &WorkRequest, _: Duration) -> Result<WorkReply, WayError> {
        std::future::pending().await
    }

    async fn result(&self, _: &TaskResult, _: Duration) -> Result<(), WayError> {
        Ok(())
    }

    fn term(&self) -> Term {
        Term(self.term.load(Ordering::SeqCst))
    }

    fn has_heard(&self, term: Term) {
        self.term.fetch_max(term.0, Ordering::SeqCst);
    }
}

/// The notes on disk, which tell what was written.
struct Telling {
    file: FileNotes,
    noted: mpsc::UnboundedSender<Heard>,
}

#[async_trait]
impl Notes for Telling {
    fn load(&self) -> BTreeMap<Unit, Mono> {
        self.file.load()
    }

    async fn store(&self, ends: BTreeMap<Unit, Mono>) -> std::io::Result<()> {
        self.file.store(ends).await
    }

    fn heard(&self) -> Heard {
        self.file.heard()
    }

    async fn hears(&self, heard: Heard) -> std::io::Result<()> {
        self.file.hears(heard.clone()).await?;
        let _ = self.noted.send(heard);
        Ok(())
    }
}

/// What an agent on that folder tells such controllers, from its first heartbeat on until one says `until`.
async fn told(folder: &std::path::Path, store: (u64, u64), leads: u64, until: Basis) -> Vec<(Basis, Term)> {
    let (told, mut heard) = mpsc::unbounded_channel();
    let way = Controllers { epoch: store.0, candidacy: store.1, leads, term: AtomicU64::new(0), told };
    let mut plan = shared();
    plan.policy.renew = Duration::from_millis(10);
    let shutdown = CancellationToken::new();
    let mut parts = parts(&plan, Arc::new(StuckNowhere), &shutdown);
    let file = FileNotes::open(folder).unwrap();
    let (mut noted, (tell, mut writes)) = (file.heard(), mpsc::unbounded_channel());
    (parts.way, parts.notes) = (Arc::new(way), Arc::new(Telling { file, noted: tell }));
    let running = tokio::spawn(run(parts));
    let mut all = Vec::new();
    while all.last().is_none_or(|(basis, _)| *basis != until) {
        let (units, term) = heard.recv().await.expect("the agent goes on");
        all.push((units.get(&"shop".into()).copied().unwrap_or_default(), term));
    }
    while noted.units.get(&"shop".into()) != Some(&until) {
        noted = writes.recv().await.expect("the agent goes on");
    }
    shutdown.cancel();
    running.await.unwrap().unwrap();
    all
}

#[tokio::test]
async fn an_agent_that_was_started_anew_tells_an_old_store_what_it_lacks_with_its_first_word() {
    let folder = tempfile::tempdir().unwrap();
    let told = |store, leads, until| timeout(Duration::from_secs(30), told(folder.path(), store, leads, until));
    let first = told((3, 7), 4, basis(3, 7)).await.expect("it tells what it heard");
    assert_eq!(first[0], (Basis::default(), Term(0)), "it had heard nothing");
    let second = told((3, 5), 1, basis(3, 7)).await.expect("it tells what it had heard");
    assert_eq!(second, [(basis(3, 7), Term(4))]);
    std::fs::write(folder.path().join("heard.json"), "{").unwrap();
    assert_eq!(FileNotes::open(folder.path()).unwrap().heard(), Heard::default(), "a torn note is no note");
}
