//! The shapes of derived runbooks, step by step, and every refusal.

use super::scene::Scene;
use super::*;
use crate::effect::{Capability, Effect, FenceAssurance, Guard};
use crate::fixture::{
    FENCED, descriptors, dns, exec, looks, plan, postgres, process, standby, target, unit, usual, webhook,
};
use crate::observation::{Condition, Role};
use crate::placement::Placement;
use crate::plan::{FailbackPlan, HealthPlan, Hook, ShiftOrder};
use crate::runbook::OnFailure;

mod at_rest;
mod by_hand;
mod gone;
mod in_place;
mod kinds;
mod proofs;
mod shares;

impl Scene {
    /// East writes, all others stream from it, everybody answers.
    fn new(plan: Plan, verb: Verb, to: &str) -> Self {
        let mode = if verb == Verb::Failover { Mode::Ungraceful } else { Mode::Graceful };
        let data = plan.components.iter().filter(|(_, c)| !c.copies().is_empty()).map(|(name, _)| name.clone());
        let role = |r: &Region| if r.as_str() == "east" { Role::Writer } else { standby("east", true) };
        let copy = |c: Component| {
            let look = |r: &Region| (target(c.as_str(), r.as_str()), looks(role(r)));
            plan.regions.iter().map(look).collect::<Vec<_>>()
        };
        Self {
            seen: data.flat_map(copy).collect(),
            descriptors: descriptors(&plan),
            intent: Intent { unit: unit(), verb, mode, target: Placement::in_region(&to.into()) },
            writer: "east".into(),
            reachable: plan.regions.iter().cloned().collect(),
            consent: Consent::Policy,
            attested_by: None,
            plan,
        }
    }

    fn without(mut self, region: &str) -> Self {
        self.reachable.remove(&Region::from(region));
        self.seen.retain(|t, _| t.region.as_ref().is_none_or(|r| r.as_str() != region));
        self
    }

    fn role(mut self, component: &str, region: &str, role: Role) -> Self {
        self.seen.insert(target(component, region), looks(role));
        self
    }

    fn driver(mut self, component: &str, change: impl FnOnce(&mut Descriptor)) -> Self {
        change(self.descriptors.get_mut(&Component::from(component)).expect("a known component"));
        self
    }

    fn runbook(&self) -> Runbook {
        self.derive().expect("nothing stands in the way")
    }

    /// `id < need, need` per step.
    fn graph(&self) -> Vec<String> {
        let show = |s: &crate::runbook::Step| {
            let needs: Vec<&str> = s.needs.iter().map(crate::id::StepId::as_str).collect();
            format!("{} < {}", s.id, needs.join(", ")).trim_end_matches(" < ").to_owned()
        };
        self.runbook().steps.iter().map(show).collect()
    }

    fn refusal(&self) -> Refusal {
        let refusal = self.derive().expect_err("something stands in the way");
        assert!(refusal.to_string().len() > 20 && refusal.hint().len() > 10, "{refusal:?}");
        let code = crate::code::Code::find(refusal.code()).expect("every refusal has a page");
        assert_eq!(code.exit(), crate::code::Exit::Refused, "{code:?}");
        refusal
    }
}

#[test]
fn a_lost_region_is_waited_out_while_instances_start() {
    assert_eq!(
        Scene::new(usual(), Verb::Failover, "west").without("east").graph(),
        [
            "notify-start-chat",
            "await-lapse-east",
            "scale-payments-west",
            "grant-west < await-lapse-east",
            "promote-database-west < grant-west",
            "route-name < promote-database-west, scale-payments-west",
            "verify-1 < route-name",
            "verify-2 < verify-1",
            "notify-end-chat < verify-2",
        ]
    );
}

#[test]
fn a_dead_writer_is_fenced_and_its_side_shrinks() {
    let case = Scene::new(usual(), Verb::Failover, "west").role("database", "east", FENCED);
    assert_eq!(
        case.graph(),
        [
            "notify-start-chat",
            "fence-database-east",
            "scale-payments-west",
            "grant-west < fence-database-east",
            "promote-database-west < grant-west",
            "route-name < promote-database-west, scale-payments-west",
            "verify-1 < route-name",
            "verify-2 < verify-1",
            "notify-end-chat < verify-2",
            "scale-down-payments-east < verify-2",
        ]
    );
    let title = |id: &str| case.runbook().step(&id.into()).expect("it is there").title.clone();
    assert_eq!(title("scale-payments-west"), "Start instances of payments in west, up to 2");
    assert_eq!(title("scale-down-payments-east"), "Keep 1 instance of payments in east");
    let fence = |case: &Scene| case.runbook().step(&"fence-database-east".into()).expect("fenced").clone();
    assert_eq!(fence(&case).on_failure, OnFailure::GoOn, "it was proven already");
    let down = Role::Down { clean: false, was_writer: true };
    let down = fence(&case.role("database", "east", down));
    assert_eq!(down.on_failure, OnFailure::Pause, "its agent may start it again at any moment");
    let seen = looks(Role::Down { clean: false, was_writer: true });
    let after = down.after.expect("looked at afterwards");
    assert!(matches!(after.holds(&seen), crate::observation::Holds::No(_)), "being down is not being fenced");
    let seen = looks(Role::Fenced { assurance: FenceAssurance::ConnectionsCut });
    assert!(matches!(after.holds(&seen), crate::observation::Holds::No(_)), "nothing else is waited for");
}

#[test]
fn a_planned_move_does_the_slow_things_first_and_leaves_a_standby() {
    assert_eq!(
        Scene::new(usual(), Verb::Switchover, "west").graph(),
        [
            "notify-start-chat",
            "scale-payments-west",
            "checkpoint-database-east",
            "stop-writes-database-east < checkpoint-database-east, scale-payments-west",
            "await-position-database-west < stop-writes-database-east",
            "grant-west < await-position-database-west, scale-payments-west",
            "promote-database-west < grant-west, scale-payments-west",
            "route-name < promote-database-west, scale-payments-west",
            "verify-1 < route-name",
            "verify-2 < verify-1",
            "notify-end-chat < verify-2",
            "rejoin-database-east < promote-database-west",
            "scale-down-payments-east < verify-2",
        ]
    );
}

#[test]
fn hooks_frame_the_move_and_a_lost_region_runs_none() {
    let regions = ["east", "west"];
    let mut components = vec![("db", postgres(&regions)), ("app", process(&regions, 1, 1)), ("name", dns(&regions))];
    components.push(("first", exec(Hook::BeforeMove, None)));
    components.push(("warm", exec(Hook::BeforeRoute, Some("west"))));
    components.push(("last", exec(Hook::AfterMove, Some("east"))));
    let case = Scene::new(plan(&regions, components), Verb::Failover, "west");
    assert_eq!(
        case.graph(),
        [
            "run-first",
            "fence-db-east < run-first",
            "scale-app-west < run-first",
            "grant-west < run-first, fence-db-east",
            "promote-db-west < grant-west",
            "run-warm < promote-db-west",
            "route-name < promote-db-west, scale-app-west, run-warm",
            "verify-1 < route-name",
            "verify-2 < verify-1",
            "run-last < verify-2",
        ]
    );
    let lost = case.without("east");
    assert!(!lost.graph().iter().any(|s| s.starts_with("run-last")), "{:?}", lost.graph());
    let first = lost.runbook().steps.remove(0);
    let crate::effect::Effect::Command { command, .. } = first.effect else { panic!("{first:?}") };
    assert_eq!((command.env["PILOTLIGHT_FROM"].as_str(), command.env["PILOTLIGHT_TO"].as_str()), ("east", "west"));
    assert_eq!(first.retries, 0, "it may not run twice");
    let mut planned = lost;
    planned.intent.mode = Mode::Graceful;
    planned.reachable.insert("east".into());
    let planned = planned.role("db", "east", Role::Writer);
    assert_eq!(planned.derive().map(|_| ()), Ok(()));
}

#[test]
fn other_standbys_follow_the_new_writer_and_several_databases_move_together() {
    let regions = ["east", "west", "north"];
    let components = vec![("a", postgres(&regions)), ("b", postgres(&regions))];
    let graph = Scene::new(plan(&regions, components.clone()), Verb::Failover, "west").graph();
    assert_eq!(
        graph,
        [
            "fence-a-east",
            "fence-b-east",
            "grant-west < fence-a-east, fence-b-east",
            "promote-a-west < grant-west",
            "promote-b-west < grant-west",
            "verify-1 < promote-a-west, promote-b-west",
            "verify-2 < verify-1",
            "rejoin-a-north < promote-a-west",
            "rejoin-b-north < promote-b-west",
        ]
    );
    let stray = Scene::new(plan(&regions, components), Verb::Failover, "west").role("a", "north", Role::Writer);
    assert!(stray.graph().contains(&"fence-a-north".to_owned()));
    let silent = Scene { reachable: ["west".into()].into(), ..stray };
    assert_eq!(silent.refusal().code(), "PL-0212");
    let mut planned = silent;
    (planned.intent.mode, planned.intent.verb) = (Mode::Graceful, Verb::Switchover);
    planned.reachable.insert("east".into());
    assert_eq!(planned.refusal().code(), "PL-0212", "a planned move starts from one writer");
}

fn provider(d: &mut Descriptor) {
    d.atomic_switch = true;
    d.needs_agent = false;
    d.fence_assurance = FenceAssurance::ProviderAttested;
    d.guard = Guard::CallerChecked;
    d.capabilities.remove(&Capability::Fence);
}

#[test]
fn a_provider_that_switches_in_one_call_needs_one_step() {
    let case = Scene::new(usual(), Verb::Switchover, "west").driver("database", provider);
    assert_eq!(
        case.graph()[1..4],
        [
            "scale-payments-west",
            "grant-west < scale-payments-west",
            "switch-database-west < grant-west, scale-payments-west",
        ]
    );
    let mut lost = Scene::new(usual(), Verb::Failover, "west").without("east").driver("database", provider);
    assert_eq!(lost.refusal().code(), "PL-0209", "attested is less than lapsed");
    lost.consent = Consent::Given;
    assert_eq!(lost.graph()[1..4], ["scale-payments-west", "grant-west", "switch-database-west < grant-west"]);
}

/// Like a global cluster that a copy was detached from: what AWS lets go of is silenced and joins again, all else AWS does.
#[test]
fn what_a_provider_let_go_of_is_silenced_and_joins_again() {
    let closable = |d: &mut Descriptor| {
        provider(d);
        d.capabilities.insert(Capability::Fence);
        d.capabilities.remove(&Capability::Rescue);
    };
    let moved = Scene::new(usual(), Verb::Failover, "west").driver("database", closable);
    let moved = Scene { consent: Consent::Given, ..moved };
    assert!(moved.graph().iter().all(|step| !step.starts_with("fence-")), "the call fences: {:?}", moved.graph());
    let back = |role: Role| {
        let scene = Scene::new(usual(), Verb::Rejoin, "east").driver("database", closable);
        scene.role("database", "east", Role::Writer).role("database", "west", role)
    };
    let graph = back(Role::Writer).graph();
    assert!(graph.contains(&"rejoin-database-west < fence-database-west".to_owned()), "{graph:?}");
    let runbook = back(Role::Writer).runbook();
    let fence = runbook.steps.iter().find(|s| s.id.as_str() == "fence-database-west").expect("it was in the graph");
    let least = |after: &Option<Condition>| matches!(after, Some(Condition::IsFenced { least, .. }) if *least == FenceAssurance::ConnectionsCut);
    assert!(least(&fence.after), "{fence:?}");
    let gone = back(Role::Down { clean: true, was_writer: false }).graph();
    assert!(gone.contains(&"rejoin-database-west".to_owned()), "{gone:?}");
    assert_eq!(back(standby("east", false)).refusal().code(), "PL-0213", "AWS makes it follow by itself");
    let open = back(Role::Writer).driver("database", provider);
    assert_eq!(open.refusal().code(), "PL-0215", "nothing can silence it");
}

/// The driver may know a last way that fences nobody: what the policy or an order asks for goes with the switch.
#[test]
fn a_switch_says_how_sure_its_fence_must_be_unless_a_person_answers_for_it() {
    let least_of = |case: &Scene| {
        let steps = case.runbook().steps;
        let least = |step: &crate::runbook::Step| match &step.effect {
            Effect::Switch { least, .. } => Some(*least),
            _ => None,
        };
        steps.iter().find_map(least).expect("a provider switches")
    };
    let mut lost = Scene::new(usual(), Verb::Failover, "west").without("east").driver("database", provider);
    lost.plan.policy.least_fence = FenceAssurance::ProviderAttested;
    assert_eq!(least_of(&lost), FenceAssurance::ProviderAttested);
    for consent in [Consent::AskFirst, Consent::Given] {
        lost.consent = consent;
        assert_eq!(least_of(&lost), FenceAssurance::None, "{consent:?}");
    }
    let planned = Scene::new(usual(), Verb::Switchover, "west").driver("database", provider);
    assert_eq!(least_of(&planned), FenceAssurance::None);
}

/// Like buckets: the call fences nothing, and the old side goes on until users have gone.
#[test]
fn what_has_to_be_told_to_follow_is_told_when_users_have_gone() {
    let files = |d: &mut Descriptor| {
        provider(d);
        (d.told_to_follow, d.fence_assurance) = (true, FenceAssurance::TrafficOnly);
    };
    let planned = Scene::new(usual(), Verb::Switchover, "west").driver("database", files);
    let graph = planned.graph();
    let told = "rejoin-database-east < switch-database-west, verify-2".to_owned();
    assert!(graph.contains(&told), "{graph:?}");
    let mut lost = Scene::new(usual(), Verb::Failover, "west").without("east").driver("database", files);
    assert_eq!(lost.refusal().code(), "PL-0209", "traffic only is less than lapsed");
    lost.consent = Consent::Given;
    assert!(lost.graph().iter().all(|step| !step.starts_with("rejoin-database-east")), "{:?}", lost.graph());
    let back = Scene::new(usual(), Verb::Rejoin, "east").driver("database", files);
    let back = back.role("database", "west", Role::Writer).role("database", "east", Role::Writer);
    assert!(back.graph().iter().any(|step| step.starts_with("rejoin-database-west")), "{:?}", back.graph());
}

#[test]
fn a_weak_fence_is_completed_by_the_lease_or_left_to_a_person() {
    let weak = |d: &mut Descriptor| d.fence_assurance = FenceAssurance::ConnectionsCut;
    let case = Scene::new(usual(), Verb::Failover, "west").driver("database", weak);
    let graph = case.graph();
    assert!(graph.contains(&"grant-west < fence-database-east, await-lapse-east".to_owned()), "{graph:?}");
    let mut strict = Scene::new(usual(), Verb::Failover, "west").without("east");
    strict.plan.policy.least_fence = FenceAssurance::Proven;
    let (possible, least) = (FenceAssurance::Lapsed, FenceAssurance::Proven);
    assert_eq!(strict.refusal(), Refusal::FenceTooWeak { component: "database".into(), possible, least });
    strict.consent = Consent::AskFirst;
    let asked = strict.runbook();
    let asking: Vec<&str> = asked.steps.iter().filter(|s| s.approval).map(|s| s.id.as_str()).collect();
    assert_eq!(asking, ["await-lapse-east"]);
    for step in asked.steps.iter().filter(|s| s.phase != Phase::Notify && !s.approval) {
        assert!(
            asked.before(&step.id).contains(&crate::id::StepId::new("await-lapse-east")),
            "{} does not wait for the person",
            step.id
        );
    }
}

#[test]
fn a_returned_region_is_fenced_and_follows() {
    let back = Scene::new(usual(), Verb::Rejoin, "east").role("database", "west", FENCED);
    assert_eq!(
        back.graph(),
        [
            "notify-start-chat",
            "fence-database-west",
            "rescue-database-west < fence-database-west",
            "rejoin-database-west < fence-database-west, rescue-database-west",
            "scale-down-payments-west < rejoin-database-west",
            "notify-end-chat < fence-database-west, rescue-database-west, rejoin-database-west, scale-down-payments-west",
        ]
    );
    let astray = back.role("database", "west", standby("north", true));
    assert_eq!(astray.graph()[1], "rescue-database-west", "a standby needs no fence");
    assert_eq!(Scene::new(usual(), Verb::Rejoin, "east").refusal().code(), "PL-0213");
    let headless = Scene::new(usual(), Verb::Rejoin, "east").role("database", "west", FENCED);
    assert_eq!(headless.role("database", "east", FENCED).refusal().code(), "PL-0205");
    // With the region that came back as the target, the writer would be what has to be fenced.
    let elsewhere = Scene::new(usual(), Verb::Rejoin, "west").role("database", "west", Role::Writer);
    assert_eq!(elsewhere.refusal().code(), "PL-0217");
}

#[test]
fn every_other_obstacle_is_a_refusal_with_its_own_code() {
    let case = |verb, to| Scene::new(usual(), verb, to);
    let down = Role::Down { clean: true, was_writer: false };
    let mut dark = case(Verb::Failover, "west");
    dark.intent.target.traffic.insert("west".into(), 0);
    let mut homeless = case(Verb::Failover, "west");
    homeless
        .plan
        .components
        .insert("name".into(), crate::plan::ComponentPlan { unit: unit(), writes: None, kind: dns(&["east"]) });
    let mut driverless = case(Verb::Failover, "west");
    driverless.descriptors.remove(&Component::from("name"));
    let mut empty = case(Verb::Failover, "west");
    empty.plan.components.retain(|name, _| name.as_str() == "chat");
    let mut hooked = case(Verb::Switchover, "west");
    let hook = exec(Hook::AfterMove, Some("north"));
    hooked.plan.components.insert("hook".into(), crate::plan::ComponentPlan { unit: unit(), writes: None, kind: hook });
    hooked.descriptors = descriptors(&hooked.plan);
    let mut told = case(Verb::Failover, "west");
    told.plan
        .components
        .insert("chat".into(), crate::plan::ComponentPlan { unit: unit(), writes: None, kind: webhook() });
    let table = [
        (case(Verb::Switchover, "east"), "PL-0201"),
        (case(Verb::Failover, "south"), "PL-0202"),
        (homeless, "PL-0203"),
        (case(Verb::Switchover, "west").without("east"), "PL-0204"),
        (case(Verb::Failback, "west").role("database", "east", Role::Unresponsive), "PL-0205"),
        (case(Verb::Failover, "west").without("west"), "PL-0206"),
        (case(Verb::Failover, "west").role("database", "west", down), "PL-0207"),
        (case(Verb::Failover, "west").role("database", "west", Role::Unknown), "PL-0860"),
        (case(Verb::Switchover, "west").role("database", "west", standby("east", false)), "PL-0208"),
        (empty, "PL-0210"),
        (driverless, "PL-0211"),
        (dark, "PL-0214"),
        (case(Verb::Failover, "west").driver("name", |d| d.capabilities.clear()), "PL-0215"),
        (hooked, "PL-0216"),
    ];
    for (case, code) in table {
        assert_eq!(case.refusal().code(), code);
    }
    assert_eq!(told.derive().map(|_| ()), Ok(()));
}

#[test]
fn users_who_are_led_elsewhere_are_led_to_the_writer_and_nothing_else_happens() {
    let led = |region: &str| {
        let mut scene = Scene::new(usual(), Verb::Switchover, "east");
        let name = Target { component: "name".into(), region: None };
        let shares = Some([(region.into(), 100)].into());
        scene.seen.insert(name, State { shares, ..State::default() });
        scene
    };
    assert_eq!(led("east").refusal().code(), "PL-0201", "they are there already");
    let stray = led("west");
    let graph = [
        "notify-start-chat",
        "scale-payments-east",
        "route-name < scale-payments-east",
        "verify-1 < route-name",
        "verify-2 < verify-1",
        "notify-end-chat < verify-2",
        "scale-down-payments-west < verify-2",
    ];
    assert_eq!(stray.graph(), graph);
    assert!(stray.runbook().stays() && stray.runbook().headline().ends_with("the writer stays in east"));
    let lost = led("west").role("database", "east", FENCED);
    assert_eq!(lost.refusal().code(), "PL-0205", "nobody is led to a region that takes no writes");
}

#[test]
fn every_step_says_what_and_why_and_ids_never_clash() {
    let regions = ["b-c", "c", "east"];
    let components = vec![("a", postgres(&regions)), ("a-b", postgres(&regions))];
    let mut clash = Scene::new(plan(&regions, components), Verb::Rejoin, "east");
    for (component, region) in [("a", "b-c"), ("a-b", "c")] {
        clash = clash.role(component, region, FENCED);
    }
    let runbook = clash.runbook();
    assert!(runbook.step(&"fence-a-b-c-2".into()).is_some(), "{:?}", clash.graph());
    for verb in [Verb::Failover, Verb::Switchover] {
        for step in Scene::new(usual(), verb, "west").runbook().steps {
            assert!(!step.title.is_empty() && step.why.ends_with('.'), "{}: {:?} {:?}", step.id, step.title, step.why);
        }
    }
}

/// West follows, the store has no candidate, and the writer's region is silent.
fn unopposed() -> Scene {
    let mut scene = Scene::new(usual(), Verb::Failover, "west").without("east");
    scene.plan.policy.guarantee = crate::plan::Guarantee::Bounded;
    for descriptor in scene.descriptors.values_mut().filter(|d| d.can(Capability::Replicated)) {
        descriptor.capabilities.insert(Capability::Confirmed);
    }
    scene.consent = Consent::Given;
    scene
}

#[test]
fn nobody_takes_the_place_of_a_silent_unopposed_writer_without_a_persons_word() {
    let mut scene = unopposed();
    let refused = scene.derive().unwrap_err();
    assert!(matches!(refused, Refusal::NotAdmitted { .. }), "{refused}");
    scene.attested_by = Some("ada");
    let runbook = scene.runbook();
    assert!(runbook.is_attested());
    let lapse = runbook.steps.iter().find(|s| matches!(s.effect, Effect::AwaitLapse { .. })).unwrap();
    assert!(lapse.why.contains("ada says"), "{}", lapse.why);
    let promote = runbook.steps.iter().find(|s| matches!(s.effect, Effect::Promote { .. })).unwrap();
    assert!(runbook.before(&promote.id).contains(&lapse.id), "promoted before the lease was waited out");
}

#[test]
fn a_persons_word_counts_only_when_that_person_started_the_move_and_only_where_it_is_needed() {
    for consent in [Consent::Policy, Consent::AskFirst] {
        let scene = Scene { consent, attested_by: Some("ada"), ..unopposed() };
        assert!(scene.derive().is_err(), "{consent:?} took a person's word");
    }
    // A candidate is admitted, or the writer answers and is fenced on the spot: its word adds nothing.
    let fenced = Scene {
        attested_by: Some("ada"),
        reachable: Scene::new(usual(), Verb::Failover, "west").reachable,
        ..unopposed()
    };
    assert!(!fenced.runbook().is_attested());
    let mut best_effort = Scene { attested_by: Some("ada"), ..unopposed() };
    best_effort.plan.policy.guarantee = crate::plan::Guarantee::BestEffort;
    assert!(!best_effort.runbook().is_attested());
}
