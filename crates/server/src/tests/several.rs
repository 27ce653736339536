//! Three controllers on one store: loss of the leader, of the store, of the leader's way to it, and an orderly end.

use super::door::tokens;
use super::lab::{self, Given, Lab, Shelf};
use super::process::Process;
use super::wait::until;
use crate::api::view::{ControllerView, ErrorBody, HoldReply, HoldRequest, RunsView, StatusView};
use crate::{Bounds, ControllerParts, Door, Listen, Standing, serve};
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::leader::LeaderRecord;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::{Plan, StorePlan};
use pilotlight_core::run::{Condition, Event, Record};
use pilotlight_core::time::Wall;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::fake::Applied;
use pilotlight_driver::guard::Ledger;
use pilotlight_engine::journal::{AppendError, Journal, MemoryJournal};
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{MemoryStore, PutError, Store, Versioned};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Of a lead; the writer's lease is much longer, so that another leads before it is over even on a slow machine.
pub(super) const LEAD: Duration = Duration::from_millis(1_000);
const LEASE: Duration = Duration::from_secs(10);

/// What three controllers share, and each one's way to it, which can be cut.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) store: MemoryStore,
    journal: MemoryJournal,
    cut: Arc<AtomicBool>,
    /// Records from [`HELD_AT`] on wait while it is set, so that a run is in its middle for as long as a test likes.
    held: Arc<watch::Sender<bool>>,
}

/// A failover has about twenty records; this one is after its first steps and before its last.
const HELD_AT: u64 = 8;

impl Way {
    /// Another way to the same.
    fn another(&self) -> Self {
        Self { cut: Arc::default(), ..self.clone() }
    }

    fn open(&self) -> Result<(), StorageError> {
        let silence = || StorageError::Unreachable { what: "the store".to_owned(), why: "the way is cut".to_owned() };
        if self.cut.load(Ordering::SeqCst) { Err(silence()) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Way {
    async fn get(&self, key: &str) -> Result<Option<Versioned>, StorageError> {
        self.open()?;
        self.store.get(key).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, if_version: Option<u64>) -> Result<u64, PutError> {
        self.open()?;
        self.store.put(key, value, if_version).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, Versioned)>, StorageError> {
        self.open()?;
        self.store.list(prefix).await
    }
}

#[async_trait]
impl Journal for Way {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        self.open()?;
        if first >= HELD_AT {
            let _ = self.held.subscribe().wait_for(|held| !held).await;
        }
        self.journal.append(run, first, events).await
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.open()?;
        self.journal.read(run, from, limit).await
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.open()?;
        self.journal.heads().await
    }
}

/// The lab with three controllers in the place of one.
pub(super) struct Three {
    pub(super) lab: Lab,
    pub(super) ways: BTreeMap<&'static str, Way>,
    pub(super) addresses: BTreeMap<&'static str, SocketAddr>,
    pub(super) running: BTreeMap<&'static str, Process>,
}

impl Three {
    /// All three run, one leads, and all is well.
    async fn up() -> Self {
        Self::up_with(|_| ()).await
    }

    pub(super) async fn up_with(configure: impl FnOnce(&mut Plan)) -> Self {
        let mut lab = Lab::new();
        configure(&mut lab.plan);
        lab.plan.policy.lease = LEASE;
        lab.plan.controller.leader_lease = Some(LEAD);
        lab.plan.controller.store = StorePlan::Folder(lab.folder().join("shared"));
        let held = Arc::new(watch::Sender::new(false));
        let shared = Way { store: MemoryStore::new(), journal: MemoryJournal::new(), cut: Arc::default(), held };
        let ways = NAMES.map(|name| (name, shared.another())).into();
        let free = NAMES.map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
        let addresses: BTreeMap<_, _> = free.iter().map(|(n, l)| (*n, l.local_addr().unwrap())).collect();
        drop(free);
        lab.controllers = addresses.values().map(|address| format!("http://{address}")).collect();
        let mut three = Self { lab, ways, addresses, running: BTreeMap::new() };
        NAMES.iter().for_each(|name| three.start(name));
        three.lab.start_agent("east");
        three.lab.start_agent("west");
        until("it is known what a failover would lose", async || {
            let status = three.until_well("east").await;
            let known = status.knows_exposure() && status.units[0].candidate.is_some();
            if known { Ok(()) } else { Err(format!("{status:#?}")) }
        })
        .await;
        three
    }

    pub(super) fn start(&mut self, name: &'static str) {
        let (way, address) = (self.ways[name].clone(), self.addresses[name]);
        let (world, plan) = (self.lab.world.clone(), self.lab.plan.clone());
        let folder = self.lab.folder().join(name);
        let process = Process::start(|shutdown| async move {
            let opened = async || {
                let ledger = Ledger::open(&folder.join("guard")).map_err(|e| e.to_string())?;
                let listener = TcpListener::bind(address).map_err(|e| e.to_string())?;
                Ok((Arc::new(ledger), listener))
            };
            let (ledger, listener) = until("the controller can start", opened).await;
            let shelf =
                Shelf { journal: Arc::new(way.clone()), store: Arc::new(way.clone()), ledger, given: Given::default() };
            let standing = Standing {
                name: name.to_owned(),
                url: format!("http://{address}"),
                store: Some(Arc::new(way)),
                lease: plan.leader_lease(),
                hold: folder.join("hold"),
            };
            let parts = ControllerParts {
                plan: Arc::new(plan.clone()),
                clock: Arc::new(SystemClock),
                door: Door { listen: Listen::On(listener), tls: None, tokens: tokens(), bounds: Bounds::default() },
                standing,
                assemble: lab::assemble(world, plan, folder, shelf),
                shutdown,
            };
            serve(parts).await.unwrap();
        });
        self.running.insert(name, process);
    }

    /// As by kill -9.
    pub(super) fn kill(&mut self, name: &str) {
        self.running.remove(name);
    }

    fn cut(&self, name: &str, cut: bool) {
        self.ways[name].cut.store(cut, Ordering::SeqCst);
    }

    pub(super) async fn ask<A: serde::de::DeserializeOwned>(&self, name: &str, path: &str) -> Result<A, String> {
        self.lab.ask_at(self.addresses[name], path).await
    }

    /// Who leads; exactly one says so.
    pub(super) async fn leader(&self) -> &'static str {
        until("one leads", async || {
            let mut leaders = Vec::new();
            for name in self.running.keys() {
                let view: ControllerView = self.ask(name, "/v1/controller").await?;
                leaders.extend(view.leads.then_some(*name));
            }
            match leaders.as_slice() {
                [one] => Ok(*one),
                several => Err(format!("{several:?} lead")),
            }
        })
        .await
    }

    /// Another than `old` leads.
    pub(super) async fn successor(&self, old: &str) -> &'static str {
        until("another leads", async || match self.leader().await {
            leader if leader == old => Err(format!("{old} leads")),
            leader => Ok(leader),
        })
        .await
    }

    /// East is lost; the failover stands still in its middle.
    async fn fail_over_half_way(&mut self) -> RunId {
        self.ways["a"].held.send_replace(true);
        self.lab.lose("east");
        until("the failover is under way", async || {
            let heads = self.ways["a"].journal.heads().await.map_err(|e| e.to_string())?;
            match heads.as_slice() {
                [(run, head)] if *head + 1 >= HELD_AT => Ok(run.clone()),
                heads => Err(format!("{heads:?}")),
            }
        })
        .await
    }

    pub(super) async fn until_well(&self, writer: &str) -> StatusView {
        until("all is well", async || {
            let leader = self.leader().await;
            let status: StatusView = self.ask(leader, "/v1/status").await?;
            if status.is_well(writer) { Ok(status) } else { Err(format!("{status:#?}")) }
        })
        .await
    }

    pub(super) async fn runs(&self) -> Result<RunsView, String> {
        let leader = self.leader().await;
        self.ask(leader, "/v1/runs").await
    }

    /// The writer's copy was never touched: nothing but sentinels was done to it.
    fn nothing_was_done(&self, since: usize) {
        let journal = self.lab.world.journal();
        let sentinel = |a: &&Applied| matches!(a.effect, pilotlight_core::effect::Effect::WriteSentinel { .. });
        let done: Vec<_> = journal.iter().skip(since).filter(|a| !sentinel(a)).collect();
        assert!(done.is_empty(), "{done:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_a_leader_is_felt_by_nobody_and_another_leads() {
    let mut three = Three::up().await;
    let old = three.leader().await;
    let before = three.lab.world.journal().len();
    three.kill(old);
    three.successor(old).await;
    three.until_well("east").await;
    three.nothing_was_done(before);
    assert!(three.runs().await.unwrap().runs.is_empty());
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_controller_continues_a_run_and_does_nothing_twice() {
    let mut three = Three::up().await;
    let run = three.fail_over_half_way().await;
    let old = three.leader().await;
    three.kill(old);
    three.ways["a"].held.send_replace(false);
    let new = three.successor(old).await;
    let ended = until("the run ends", async || {
        let view: pilotlight_core::run::RunView = three.ask(new, &format!("/v1/runs/{run}")).await?;
        match view.condition {
            Condition::Ended { .. } => Ok(view),
            _ => Err(format!("{view:#?}")),
        }
    });
    assert_eq!(ended.await.intent.target.writer, "west".into());
    three.until_well("west").await;
    let records: crate::api::view::RecordsView =
        three.ask(new, &format!("/v1/runs/{run}/records?from=1")).await.unwrap();
    assert!(records.records.iter().any(|r| matches!(r.event, Event::Recovered { .. })), "{records:#?}");
    let verbs: Vec<Verb> = three.runs().await.unwrap().runs.iter().map(|r| r.verb).collect();
    assert_eq!(verbs, [Verb::Failover], "one loss, one run");
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_its_way_to_the_store_stops_and_another_leads() {
    let three = Three::up().await;
    let old = three.leader().await;
    let before = three.lab.world.journal().len();
    three.cut(old, true);
    let new = three.successor(old).await;
    three.until_well("east").await;
    let view: ControllerView = three.ask(old, "/v1/controller").await.unwrap();
    assert!(!view.leads && view.trouble.is_some(), "{view:?}");
    three.cut(old, false);
    let view = until("the old one knows who leads", async || {
        let view: ControllerView = three.ask(old, "/v1/controller").await?;
        if view.trouble.is_none() { Ok(view) } else { Err(format!("{view:?}")) }
    });
    assert_eq!(view.await.leader.unwrap().name, new);
    three.nothing_was_done(before);
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_nobody_leads_and_nothing_moves() {
    let three = Three::up().await;
    let before = three.lab.world.journal().len();
    NAMES.iter().for_each(|name| three.cut(name, true));
    until("nobody leads", async || {
        for name in NAMES {
            let view: ControllerView = three.ask(name, "/v1/controller").await?;
            if view.leads {
                return Err(format!("{view:?}"));
            }
        }
        Ok(())
    })
    .await;
    let (status, refused) = three.lab.refused_at(three.addresses["a"], "/v1/runs").await;
    assert_eq!((status, refused.code.as_str()), (503, "PL-0409"), "{refused:?}");
    NAMES.iter().for_each(|name| three.cut(name, false));
    three.until_well("east").await;
    assert!(three.runs().await.unwrap().runs.is_empty(), "nothing was decided");
    // The lease of the writer outlasts this outage; what an agent does after it is its own business.
    three.nothing_was_done(before);
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_longer_than_a_lease_leaves_one_writer() {
    let three = Three::up().await;
    NAMES.iter().for_each(|name| three.cut(name, true));
    // Its agent has no gate: where nobody renews the lease, it fences.
    until("the writer is silent", async || match three.lab.world.writers("database") {
        writers if writers.is_empty() => Ok(()),
        writers => Err(format!("{writers:?}")),
    })
    .await;
    let routed = three.lab.world.shares("name");
    assert_eq!(routed, [("east".into(), 100)].into(), "nobody leads users anywhere meanwhile");
    NAMES.iter().for_each(|name| three.cut(name, false));
    until("one region writes again", async || {
        let leader = three.leader().await;
        let status: StatusView = three.ask(leader, "/v1/status").await?;
        if status.is_well("east") || status.is_well("west") { Ok(()) } else { Err(format!("{status:#?}")) }
    })
    .await;
    assert_eq!(three.lab.world.writers("database").len(), 1);
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_stands_by_shows_the_units_and_names_the_leader() {
    let three = Three::up().await;
    let leader = three.leader().await;
    let other = NAMES.into_iter().find(|name| *name != leader).unwrap();
    let status: StatusView = three.ask(other, "/v1/status").await.unwrap();
    assert_eq!(status.units[0].writer, Some("east".into()));
    let said = serde_json::to_string(&status.units[0].decision).unwrap();
    assert!(said.contains(&format!("{leader} decides")), "{said}");
    let (status, refused): (u16, ErrorBody) = three.lab.refused_at(three.addresses[other], "/v1/runs").await;
    assert_eq!((status, refused.code.as_str()), (421, "PL-0408"), "{refused:?}");
    assert!(refused.message.contains(&three.addresses[leader].to_string()), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_ends_in_order_hands_over_at_once() {
    let mut three = Three::up().await;
    let old = three.leader().await;
    three.running[old].end();
    let gone = until("it has ended", async || match three.ask::<ControllerView>(old, "/v1/controller").await {
        Ok(view) => Err(format!("{view:?}")),
        Err(_) => Ok(()),
    });
    gone.await;
    let record = three.record().await;
    assert!(record.resigned || record.name != old, "it says that nobody need wait: {record:?}");
    three.kill(old);
    three.until_well("east").await;
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_stands_by_is_missed_by_nobody() {
    let mut three = Three::up().await;
    let (leader, before) = (three.leader().await, three.lab.world.journal().len());
    let term = three.record().await.term;
    for name in NAMES.into_iter().filter(|name| *name != leader) {
        three.kill(name);
    }
    three.until_well("east").await;
    assert_eq!((three.leader().await, three.record().await.term), (leader, term));
    three.nothing_was_done(before);
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_for_a_moment_changes_nothing() {
    let three = Three::up().await;
    let (leader, before) = (three.leader().await, three.lab.world.journal().len());
    let term = three.record().await.term;
    NAMES.iter().for_each(|name| three.cut(name, true));
    until("the leader feels it", async || {
        let view: ControllerView = three.ask(leader, "/v1/controller").await?;
        // On a machine so slow that the lead is over first, this test has nothing to say.
        if view.trouble.is_some() || !view.leads { Ok(()) } else { Err(format!("{view:?}")) }
    })
    .await;
    NAMES.iter().for_each(|name| three.cut(name, false));
    three.until_well("east").await;
    let now = three.record().await.term;
    assert!(now == term || now == term.next(), "{term} and {now}");
    three.nothing_was_done(before);
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn with_every_controller_gone_nothing_moves_and_the_next_goes_on() {
    let mut three = Three::up().await;
    let run = three.fail_over_half_way().await;
    NAMES.iter().for_each(|name| three.kill(name));
    let head = three.ways["a"].journal.heads().await.unwrap()[0].1;
    let routed = three.lab.world.shares("name");
    let killed = SystemClock.mono();
    // Longer would be another story: a new writer without a gate that nobody renews is fenced.
    until("half a lease has passed", async || match SystemClock.mono().since(killed) {
        passed if passed > LEASE / 2 => Ok(()),
        passed => Err(format!("{passed:?}")),
    })
    .await;
    // What was ordered before was done, and nobody was there who could have ordered more. Whoever comes first goes on.
    assert_eq!(three.ways["a"].journal.heads().await.unwrap()[0].1, head);
    assert_eq!(three.lab.world.shares("name"), routed);
    three.ways["b"].held.send_replace(false);
    three.start("b");
    three.until_well("west").await;
    let records = three.ways["b"].journal.read(&run, head + 1, 1).await.unwrap();
    assert!(matches!(records[0].event, Event::Recovered { .. }), "{records:#?}");
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_one_was_asked_for_holds_whichever_leads_until_it_is_taken_away() {
    let mut three = Three::up().await;
    let old = three.leader().await;
    let wish = |on| HoldRequest { by: "ada".to_owned(), why: "network work".to_owned(), on };
    let reply: HoldReply = three.lab.send_at(three.addresses[old], "/v1/hold", &wish(true)).await.unwrap();
    assert!(reply.shared && reply.hold.is_some_and(|h| h.by == "ada"));
    assert_eq!(three.record().await.hold.unwrap().why, "network work");
    three.kill(old);
    let new = three.successor(old).await;
    let other = NAMES.into_iter().find(|name| ![old, new].contains(name)).unwrap();
    for name in [new, other] {
        until("each of them knows it", async || {
            let status: StatusView = three.ask(name, "/v1/status").await?;
            let hold = status.hold.ok_or("none")?;
            if hold.by == "ada" && hold.file.contains("share") { Ok(()) } else { Err(format!("{hold:?}")) }
        })
        .await;
    }
    until("it is known what a failover would lose", async || {
        let status: StatusView = three.ask(new, "/v1/status").await?;
        if status.is_well("east") && status.knows_exposure() { Ok(()) } else { Err(format!("{status:#?}")) }
    })
    .await;
    three.lab.lose("east");
    until("the loss is seen, and held", async || {
        let status: StatusView = three.ask(new, "/v1/status").await?;
        let said = serde_json::to_string(&status.units[0].decision).unwrap();
        if said.contains("ada holds") { Ok(()) } else { Err(said) }
    })
    .await;
    assert!(three.runs().await.unwrap().runs.is_empty(), "nothing was started");
    let reply: HoldReply = three.lab.send_at(three.addresses[new], "/v1/hold", &wish(false)).await.unwrap();
    assert!(reply.shared && reply.hold.is_none(), "{reply:?}");
    three.until_well("west").await;
    three.lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_the_store_does_not_take_is_told() {
    let three = Three::up().await;
    let leader = three.leader().await;
    three.cut(leader, true);
    let wish = HoldRequest { by: "ada".to_owned(), why: String::new(), on: true };
    let at = three.addresses[leader];
    let (status, refused) = three.lab.send_at::<HoldReply>(at, "/v1/hold", &wish).await.unwrap_err();
    // On a slow machine it may have given up the lead by then.
    let codes = ["PL-0976", "PL-0408", "PL-0409"];
    assert!(codes.contains(&refused.code.as_str()), "{status} {refused:?}");
    assert!(three.record().await.hold.is_none());
}

impl Three {
    /// What the store says of the lead.
    pub(super) async fn record(&self) -> LeaderRecord {
        let found = self.ways["a"].store.get("leader").await.unwrap().unwrap();
        serde_json::from_slice(&found.value).unwrap()
    }
}
