//! What is known of what a provider runs, from looks through its API.
//!
//! Invariant: an API that answers is heard, whatever it answers. One that refuses to show something (too many calls, a right
//! that is missing) says nothing about it: what was last seen ages, and that is no sign that its region is lost.

use crate::looks;
use pilotlight_core::id::Region;
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::Plan;
use pilotlight_core::shared::Shared;
use pilotlight_core::time::Mono;
use pilotlight_core::verdict::AgentSight;
use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Managed {
    /// Each target's newest look that showed it, and when it began.
    looks: BTreeMap<Target, (Shared<State>, Mono)>,
    /// When a region's API answered last: the begin of that look.
    answered: BTreeMap<Region, Mono>,
}

impl Managed {
    pub(crate) fn saw(&mut self, target: Target, state: State, began: Mono) {
        self.answered(&target, began);
        self.looks.insert(target, (state.into(), began));
    }

    /// It keeps its last state, which ages, with the reason why there is no newer one.
    pub(crate) fn was_refused(&mut self, plan: &Plan, target: Target, why: &Failure, began: Mono) {
        self.answered(&target, began);
        let replicated = plan.components.get(&target.component).is_some_and(|c| c.is_replicated());
        let unseen = || (State { role: replicated.then_some(Role::Unknown), ..State::default() }.into(), began);
        let (state, _) = self.looks.entry(target).or_insert_with(unseen);
        state.facts.insert("look".to_owned(), why.with_hint());
    }

    fn answered(&mut self, target: &Target, began: Mono) {
        let Some(region) = &target.region else { return };
        let last = self.answered.entry(region.clone()).or_insert(began);
        *last = began.max(*last);
    }

    /// Adds to what is heard of each region. One without an agent is heard while its API answers.
    pub(crate) fn speak(&self, voices: &mut BTreeMap<Region, Shared<AgentSight>>, plan: &Plan, now: Mono) {
        for (target, look) in &self.looks {
            let Some(region) = &target.region else { continue };
            voices.entry(region.clone()).or_default().seen.insert(target.clone(), look.clone());
        }
        for (region, at) in self.answered.iter().filter(|(region, _)| !plan.expects_agent(region)) {
            // Looks through an API come less often than heartbeats, so one counts for longer.
            let lately = now.since(*at) <= looks::managed_counts_for(plan);
            let voice = voices.entry(region.clone()).or_default();
            voice.last_heard = voice.last_heard.max(Some(if lately { now } else { *at }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::lease::LeaseSight;
    use pilotlight_core::outcome::FailureKind;
    use pilotlight_core::verdict::{Judgement, PortAnswer, PortSight, Sight, Verdict, verdict};
    use std::time::Duration;

    const PLAN: &str = "
application: pay
objectives: { rto: 15m, rpo: 1m }
regions: [us-east-2, us-west-2]
controller: { listen: 127.0.0.1:7400, token: { env: T } }
policy: { mode: manual, guarantee: best-effort, lease: 3s, renew: 500ms }
components:
  database:
    kind: aurora
    global_cluster: pay
    regions: { us-east-2: { cluster: a }, us-west-2: { cluster: b } }
";

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    fn database(region: &str) -> Target {
        Target { component: "database".into(), region: Some(region.into()) }
    }

    /// Both regions were seen well at 100 s; of the writer nothing more is seen, the other is seen each second.
    fn seen(plan: &Plan, until: u64, refusals: Option<&Failure>) -> Judgement {
        let mut managed = Managed::default();
        let role = |role| State { role: Some(role), ..State::default() };
        managed.saw(database("us-east-2"), role(Role::Writer), at(100));
        for second in 100..=until {
            let upstream = Some("us-east-2".into());
            managed.saw(database("us-west-2"), role(Role::Standby { upstream, streaming: false }), at(second));
            if let Some(refused) = refusals {
                managed.was_refused(plan, database("us-east-2"), refused, at(second));
            }
        }
        let mut agents = BTreeMap::new();
        managed.speak(&mut agents, plan, at(until));
        let sight = Sight {
            now: at(until),
            agents,
            ports: [(database("us-east-2"), PortSight { answer: PortAnswer::Unreachable, at: at(until) })].into(),
            health: BTreeMap::new(),
            outlooks: BTreeMap::new(),
            lease: LeaseSight::Lapsed,
            candidate: None,
            changed: None,
        };
        verdict(plan, &"pay".into(), Some(&"us-east-2".into()), &sight)
    }

    #[test]
    fn an_api_that_refuses_is_heard_and_says_nothing_of_the_writer() {
        let plan = Plan::read(PLAN, "plan.yaml").unwrap();
        for refused in [Failure::rejected("AccessDenied: no right"), Failure::transient("Throttling: too many")] {
            assert_eq!(seen(&plan, 104, Some(&refused)).verdict, Verdict::Healthy, "one look fails now and then");
            for later in [110, 200] {
                let judged = seen(&plan, later, Some(&refused));
                let evidence = format!("{:?}", judged.evidence);
                assert_eq!(judged.verdict, Verdict::Unknown, "{evidence}");
                assert!(evidence.contains("too old to count") && evidence.contains(&refused.message), "{evidence}");
            }
        }
        // Nothing comes back at all: that is another matter.
        assert_eq!(seen(&plan, 110, None).verdict, Verdict::RegionLost);
    }

    #[test]
    fn what_was_never_shown_is_unknown_and_not_absent() {
        let plan = Plan::read(PLAN, "plan.yaml").unwrap();
        let mut managed = Managed::default();
        let denied = Failure::rejected("AccessDenied: no right");
        assert_eq!(denied.kind, FailureKind::Rejected);
        managed.was_refused(&plan, database("us-east-2"), &denied, at(1));
        let mut voices = BTreeMap::new();
        managed.speak(&mut voices, &plan, at(2));
        let (state, _) = &voices[&Region::from("us-east-2")].seen[&database("us-east-2")];
        assert_eq!((state.role.as_ref(), state.says()), (Some(&Role::Unknown), Some("AccessDenied: no right")));
    }
}
