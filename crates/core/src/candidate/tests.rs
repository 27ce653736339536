//! A world of one unit in which messages come late, twice and out of order, and what must hold in it.

use super::*;
use crate::behind::{lack, past};
use crate::observation::Role;
use crate::plan::{Plan, SAMPLE};
use crate::runbook::Basis;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What the agents and the store of one unit do with each other, in any order, with messages that come late. West and
/// south are standbys; a name is given anew whenever one comes back.
struct World {
    plan: Plan,
    memory: Memory,
    // The store.
    candidate: Option<Admitted>,
    candidacy: u64,
    // The writer's server.
    waits: Waits,
    acknowledged: u64,
    /// Everything each name ever held.
    holds: BTreeMap<String, u64>,
    streams: BTreeMap<Region, String>,
    names: u32,
    lease_valid: bool,
    now: Mono,
    // On their way.
    answers: Vec<UnitView>,
    wishes: Vec<Wish>,
    /// What the store ever said, for whoever puts an old copy back.
    copies: Vec<(Option<Admitted>, u64)>,
    /// What the agent heard last.
    view: Option<UnitView>,
    /// The newest that it heard, on its disk.
    noted: Basis,
}

#[derive(Debug, Clone)]
enum Move {
    Commit,
    ComesBack(bool),
    GoesAway(bool),
    CatchesUp(bool),
    Beat,
    Hear(usize),
    Arrives(usize),
    ArrivesTwice(usize),
    Decide,
    AgentRestarts,
    Lease(bool),
    Time(u64),
    Turn,
    PutBack(usize),
}

fn database() -> Component {
    Component::from("database")
}

fn admitted(region: &Region, name: &str) -> Admitted {
    Admitted { region: region.clone(), names: BTreeMap::from([(database(), name.to_owned())]) }
}

impl World {
    fn new(guarantee: Guarantee) -> Self {
        let mut plan = Plan::read(SAMPLE, "sample").expect("the sample has no fault");
        plan.policy.guarantee = guarantee;
        Self {
            plan,
            memory: Memory::default(),
            candidate: None,
            candidacy: 0,
            waits: Waits::default(),
            acknowledged: 0,
            holds: BTreeMap::new(),
            streams: BTreeMap::new(),
            names: 0,
            lease_valid: true,
            now: Mono::default(),
            answers: Vec::new(),
            wishes: Vec::new(),
            copies: Vec::new(),
            view: None,
            noted: Basis::default(),
        }
    }

    /// Noted before anything follows from it.
    fn hear(&mut self, answer: UnitView) {
        self.noted = self.noted.and(answer.basis());
        self.view = Some(answer);
    }

    fn region(west: bool) -> Region {
        Region::from(if west { "west" } else { "south" })
    }

    fn view(&self) -> UnitView {
        UnitView {
            unit: Unit::from("main"),
            epoch: Epoch(1),
            writer: Some(Region::from("east")),
            lease_ms: None,
            candidate: self.candidate.clone(),
            candidacy: self.candidacy,
            offered: self.streams.iter().map(|(region, name)| admitted(region, name)).collect(),
        }
    }

    /// As `Units::wish` of the engine.
    fn store(&mut self, wish: &Wish) {
        let in_order = wish.candidate.is_none() || self.candidate.is_none();
        if wish.candidacy == self.candidacy && in_order {
            self.candidate.clone_from(&wish.candidate);
            self.candidacy += 1;
        }
    }

    fn decide(&mut self) -> Step {
        let Some(view) = self.view.clone() else { return Step::None };
        let waiting = Waiting {
            waits: self.waits.clone(),
            followers: self.streams.values().cloned().collect(),
            ..Waiting::default()
        };
        let state = State { role: Some(Role::Writer), waiting: Some(waiting), ..State::default() };
        let looks = BTreeMap::from([(database(), state.into())]);
        let ledger = Ledger {
            region: &Region::from("east"),
            policy: &self.plan.policy,
            rpo: self.plan.objectives.rpo,
            view: &view,
            lease_valid: self.lease_valid,
            looks: &looks,
            now: self.now,
        };
        decide(&ledger, &mut self.memory)
    }

    /// As the driver does it: done only when the candidate holds everything that was acknowledged.
    fn carry_out(&mut self, step: Step) {
        match step {
            Step::None => {}
            Step::Wish(wish) => self.wishes.push(wish),
            Step::Wait { component, waits, .. } => {
                if let Some(name) = &waits.candidate {
                    if !self.streams.values().any(|n| n == name) {
                        return;
                    }
                    self.holds.insert(name.clone(), self.acknowledged);
                }
                self.waits = waits.clone();
                self.memory.proven(&component, &waits, self.now);
            }
        }
    }

    fn step(&mut self, step: &Move) {
        match step {
            Move::Commit => {
                let named = self.waits.candidate.clone();
                let confirmed = named.as_ref().is_some_and(|n| self.streams.values().any(|s| s == n));
                if self.waits.for_nobody() || confirmed || (self.waits.gate && self.lease_valid) {
                    self.acknowledged += 1;
                }
                if let Some(name) = named.filter(|_| confirmed) {
                    self.holds.insert(name, self.acknowledged);
                }
            }
            Move::ComesBack(west) => {
                self.names += 1;
                let name = format!("pl_{}", self.names);
                self.streams.insert(Self::region(*west), name);
            }
            Move::GoesAway(west) => drop(self.streams.remove(&Self::region(*west))),
            Move::CatchesUp(west) => {
                if let Some(name) = self.streams.get(&Self::region(*west)) {
                    self.holds.insert(name.clone(), self.acknowledged);
                }
            }
            Move::Beat => {
                self.copies.push((self.candidate.clone(), self.candidacy));
                self.answers.push(self.view());
            }
            Move::Turn => {
                self.step(&Move::Beat);
                self.hear(self.view());
                let step = self.decide();
                self.carry_out(step);
                self.step(&Move::Arrives(0));
            }
            // The controller that starts on it hears the writer's agent before it decides anything, and mends it; one that was
            // started anew meanwhile knows what the one before had heard.
            Move::PutBack(n) if !self.copies.is_empty() => {
                (self.candidate, self.candidacy) = self.copies[n % self.copies.len()].clone();
                let stored = self.view().basis();
                if lack(stored, self.noted).is_some() {
                    (self.candidate, self.candidacy) = (None, past(stored, self.noted));
                }
            }
            Move::Hear(n) if !self.answers.is_empty() => {
                let answer = self.answers[n % self.answers.len()].clone();
                self.hear(answer);
            }
            Move::Arrives(n) if !self.wishes.is_empty() => {
                let wish = self.wishes.remove(n % self.wishes.len());
                self.store(&wish);
            }
            Move::ArrivesTwice(n) if !self.wishes.is_empty() => {
                let wish = self.wishes[n % self.wishes.len()].clone();
                self.store(&wish);
            }
            Move::Hear(_) | Move::Arrives(_) | Move::ArrivesTwice(_) | Move::PutBack(_) => {}
            Move::Decide => {
                let step = self.decide();
                self.carry_out(step);
            }
            Move::AgentRestarts => {
                self.memory = Memory::having_heard(self.noted);
                self.view = None;
                // They were answers to requests of the process that is gone, and go with its connections.
                self.answers.clear();
            }
            Move::Lease(valid) => self.lease_valid = *valid,
            Move::Time(ms) => self.now = self.now + Duration::from_millis(*ms),
        }
    }

    /// The invariant: what the store calls a candidate is waited for. With the gate closed, nothing else is acknowledged.
    fn check(&self) -> Result<(), TestCaseError> {
        let Some(candidate) = &self.candidate else { return Ok(()) };
        let name = &candidate.names[&database()];
        prop_assert_eq!(self.waits.candidate.as_ref(), Some(name), "the store has {:?}", candidate);
        let before_gate = self.plan.policy.guarantee == Guarantee::Strict;
        if before_gate {
            prop_assert!(self.holds.get(name) >= Some(&self.acknowledged), "acknowledged without it");
        }
        Ok(())
    }
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => Just(Move::Commit),
        2 => any::<bool>().prop_map(Move::ComesBack),
        1 => any::<bool>().prop_map(Move::GoesAway),
        1 => any::<bool>().prop_map(Move::CatchesUp),
        3 => Just(Move::Beat),
        3 => (0usize..8).prop_map(|n| Move::Hear(7 - n)),
        3 => (0usize..8).prop_map(Move::Arrives),
        1 => (0usize..8).prop_map(Move::ArrivesTwice),
        5 => Just(Move::Decide),
        1 => Just(Move::AgentRestarts),
        1 => any::<bool>().prop_map(Move::Lease),
        1 => (0u64..20_000).prop_map(Move::Time),
    ]
}

/// With whole turns, so that candidates come and go, and old copies of the store.
fn any_move_or_old_copy() -> impl Strategy<Value = Move> {
    prop_oneof![
        3 => any_move(),
        6 => Just(Move::Turn),
        1 => any::<bool>().prop_map(Move::ComesBack),
        1 => any::<bool>().prop_map(Move::GoesAway),
        1 => (5_000u64..20_000).prop_map(Move::Time),
        2 => (0usize..64).prop_map(Move::PutBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whoever_is_a_candidate_is_waited_for(
        strict in any::<bool>(), moves in proptest::collection::vec(any_move(), 0..160),
    ) {
        let mut world = World::new(if strict { Guarantee::Strict } else { Guarantee::Bounded });
        for step in &moves {
            world.step(step);
            world.check()?;
        }
    }

    #[test]
    fn an_old_copy_of_the_store_is_no_way_around_that(
        strict in any::<bool>(), moves in proptest::collection::vec(any_move_or_old_copy(), 0..160),
    ) {
        let mut world = World::new(if strict { Guarantee::Strict } else { Guarantee::Bounded });
        for step in &moves {
            world.step(step);
            world.check()?;
        }
    }

    /// Left alone with a standby and a controller, a writer gets its candidate, whatever happened before.
    #[test]
    fn a_quiet_time_ends_with_a_candidate(moves in proptest::collection::vec(any_move(), 0..80)) {
        let mut world = World::new(Guarantee::Bounded);
        moves.iter().for_each(|m| world.step(m));
        world.wishes.clear();
        world.lease_valid = true;
        world.streams = BTreeMap::from([(World::region(true), "pl_last".to_owned())]);
        for _ in 0..12 {
            world.view = Some(world.view());
            let step = world.decide();
            world.carry_out(step);
            world.step(&Move::Arrives(0));
            world.now = world.now + world.plan.policy.lease.max(world.plan.objectives.rpo);
        }
        prop_assert_eq!(world.candidate, Some(admitted(&World::region(true), "pl_last")));
        prop_assert_eq!(world.waits, Waits { candidate: Some("pl_last".to_owned()), gate: true });
    }

    /// And without a standby, it waits for nobody in the end.
    #[test]
    fn a_writer_that_is_left_alone_is_unopposed(moves in proptest::collection::vec(any_move(), 0..80)) {
        let mut world = World::new(Guarantee::Bounded);
        moves.iter().for_each(|m| world.step(m));
        world.wishes.clear();
        world.streams.clear();
        for _ in 0..12 {
            world.view = Some(world.view());
            let step = world.decide();
            world.carry_out(step);
            world.step(&Move::Arrives(0));
            world.now = world.now + world.plan.policy.lease.max(world.plan.objectives.rpo);
        }
        prop_assert_eq!(&world.candidate, &None);
        prop_assert!(world.waits.for_nobody());
    }
}

/// The first time to before a number that nobody had heard, the second to when that was first given out.
#[test]
fn a_store_that_is_put_back_twice_names_nobody_whom_the_writer_does_not_wait_for() {
    let mut world = World::new(Guarantee::Bounded);
    let turn = |world: &mut World| world.step(&Move::Turn);
    world.step(&Move::ComesBack(true));
    turn(&mut world);
    turn(&mut world);
    let named = world.candidate.clone();
    assert_eq!(
        (named.is_some(), world.candidacy, world.noted.candidacy),
        (true, 1, 0),
        "granted, and nobody has heard it"
    );
    world.step(&Move::Beat);
    let with_west = world.copies.len() - 1;
    world.step(&Move::ComesBack(false));
    world.step(&Move::PutBack(0));
    assert_eq!((&world.candidate, world.candidacy), (&None, 0), "an older copy, of which nobody knows");
    turn(&mut world);
    assert_eq!((&world.candidate, world.candidacy), (&None, 1), "what may be on its way is called back");
    turn(&mut world);
    assert_ne!(world.waits.candidate, named.map(|c| c.names[&database()].clone()), "it waits for another now");
    world.step(&Move::PutBack(with_west));
    assert_eq!((&world.candidate, world.candidacy), (&None, 3), "the same number, and somebody else");
    turn(&mut world);
    turn(&mut world);
    turn(&mut world);
    world.check().expect("a candidate that is waited for");
    assert!(world.candidate.is_some());
}

#[test]
fn strict_and_stall_keep_a_candidate_that_is_gone() {
    for (guarantee, beyond) in [(Guarantee::Strict, BeyondRpo::Expose), (Guarantee::Bounded, BeyondRpo::Stall)] {
        let mut world = World::new(guarantee);
        world.plan.policy.beyond_rpo = beyond;
        world.candidate = Some(admitted(&World::region(true), "pl_1"));
        world.waits = Waits { candidate: Some("pl_1".to_owned()), gate: guarantee == Guarantee::Bounded };
        let waits = world.waits.clone();
        world.memory.proven(&database(), &waits, world.now);
        for _ in 0..5 {
            world.view = Some(world.view());
            assert_eq!(world.decide(), Step::None, "{guarantee:?} {beyond:?}");
            world.now = world.now + Duration::from_secs(3_600);
        }
    }
}

/// As after an old copy of the store was put back, when the agent that knew better is gone too.
#[test]
fn an_agent_that_starts_beside_a_writer_that_does_not_wait_for_the_stores_candidate_withdraws_it() {
    let named = |name: &str| Waits { candidate: Some(name.to_owned()), gate: true };
    for (waits, withdrawn) in [
        (Waits::default(), true),
        (named("pl_2"), true),
        (named("pl_1"), false),
        // In the middle of a change: the server waits for the gate alone, or for a name that nobody has.
        (Waits { candidate: None, gate: true }, false),
        (Waits { candidate: Some("pl_nobody".to_owned()), gate: false }, false),
    ] {
        let mut world = World::new(Guarantee::Bounded);
        (world.candidate, world.candidacy) = (Some(admitted(&World::region(true), "pl_1")), 1);
        world.streams = [(true, "pl_1"), (false, "pl_2")].map(|(w, n)| (World::region(w), n.to_owned())).into();
        world.waits = waits.clone();
        world.view = Some(world.view());
        for attempt in 0..2 {
            let step = world.decide();
            let wishes_nobody = matches!(&step, Step::Wish(w) if w.candidate.is_none() && w.candidacy == 1);
            assert_eq!(wishes_nobody, withdrawn, "{waits:?}, attempt {attempt}: {step:?}");
            world.carry_out(step);
        }
        if withdrawn {
            world.step(&Move::Arrives(0));
            assert_eq!((world.candidate.clone(), world.candidacy), (None, 2));
            world.view = Some(world.view());
            let step = world.decide();
            assert!(matches!(step, Step::Wait { .. }), "it admits anew in the usual order: {step:?}");
        }
    }
}

#[test]
fn a_name_that_two_use_is_withdrawn() {
    let mut world = World::new(Guarantee::Bounded);
    world.candidate = Some(admitted(&World::region(true), "pl_1"));
    world.streams = BTreeMap::from([(World::region(true), "pl_1".to_owned())]);
    world.waits = Waits { candidate: Some("pl_1".to_owned()), gate: true };
    let view = world.view();
    let doubled = Waiting { waits: world.waits.clone(), doubled: vec!["pl_1".to_owned()], ..Waiting::default() };
    let looks = BTreeMap::from([(database(), State { waiting: Some(doubled), ..State::default() }.into())]);
    let ledger = Ledger {
        region: &Region::from("east"),
        policy: &world.plan.policy,
        rpo: Duration::from_secs(5),
        view: &view,
        lease_valid: true,
        looks: &looks,
        now: Mono::default(),
    };
    let Step::Wish(wish) = decide(&ledger, &mut world.memory) else { panic!("it goes on") };
    assert_eq!(wish.candidate, None);
    let regions: BTreeSet<&Region> = view.offered.iter().map(|o| &o.region).collect();
    assert_eq!(regions.len(), 1, "it is still offered, and refused");
}

/// The change itself ends the standby's stream for a moment: what the controller says just then must not undo it.
#[test]
fn a_standby_that_the_writer_was_just_made_to_wait_for_is_not_let_go_because_the_controller_saw_its_stream_end() {
    let lease = World::new(Guarantee::Bounded).plan.policy.lease;
    let made_to_wait = || {
        let mut world = World::new(Guarantee::Bounded);
        world.streams = BTreeMap::from([(World::region(true), "pl_1".to_owned())]);
        world.view = Some(world.view());
        let step = world.decide();
        assert!(matches!(&step, Step::Wait { waits, .. } if waits.candidate.is_some()), "{step:?}");
        // It has to wait for what an older run has under way, longer than a lease.
        world.now = world.now + lease * 2;
        world.carry_out(step);
        world.view.as_mut().unwrap().offered.clear();
        world
    };
    let names = |step: Step| match step {
        Step::Wish(wish) => wish.candidate.map(|c| c.names[&database()].clone()),
        Step::Wait { waits, .. } => panic!("it is made to wait for {waits}"),
        Step::None => None,
    };
    let mut world = made_to_wait();
    assert_eq!(names(world.decide()).as_deref(), Some("pl_1"), "it streams");
    assert_eq!(names(world.decide()).as_deref(), Some("pl_1"), "and is wished for until that is granted");
    world.now = world.now + lease;
    assert_eq!(names(world.decide()), None, "nobody has offered it for a lease: what is on its way is called back");

    let lets_go = |world: &mut World| matches!(world.decide(), Step::Wait { waits, .. } if waits.for_nobody());
    let mut world = made_to_wait();
    world.now = world.now + lease;
    assert!(lets_go(&mut world), "a lease later");
    let mut world = made_to_wait();
    world.streams.clear();
    assert!(lets_go(&mut world), "it does not stream");
    let mut world = made_to_wait();
    world.view.as_mut().unwrap().offered = vec![admitted(&World::region(true), "pl_2")];
    assert!(lets_go(&mut world), "it is back under another name");
    let mut world = made_to_wait();
    world.lease_valid = false;
    assert!(lets_go(&mut world), "without a lease");
}
