//! Traffic that goes home by shares, each watched before the next, and back to the share before when too much fails.
//!
//! One writer always: shares only say which instances users meet. Those of the region without the writer write across, and
//! the plan says by its order which region that is.

use super::draft::{Draft, Say, step};
use super::limits;
use super::survey::Survey;
use crate::effect::{Effect, Watch, Watched};
use crate::health::Question;
use crate::id::{Region, StepId};
use crate::observation::Target;
use crate::placement::Verb;
use crate::plan::{FailbackPlan, Shares, ShiftOrder, show_shares};
use crate::runbook::{OnFailure, Phase, Step};
use std::collections::BTreeMap;

/// What the plan says of taking the service home, if that is what this move is and one region is to have all traffic.
pub(super) fn wanted<'a>(survey: &Survey<'a>) -> Option<&'a FailbackPlan> {
    let whole = || survey.lit().all(|r| r == survey.to());
    let home = survey.d.intent.verb == Verb::Failback && (survey.d.plan.shares.is_some() || whole());
    survey.d.plan.failback.as_ref().filter(|_| home)
}

/// Whether traffic moves before the writer.
pub(super) fn traffic_first(survey: &Survey<'_>) -> bool {
    // A writer that is there needs no turn.
    let alone = survey.stays() && survey.d.plan.shares.is_some();
    wanted(survey).filter(|_| !alone).is_some_and(|f| f.order == ShiftOrder::TrafficFirst)
}

/// The copies at home must have kept up for a while; what the stop waits for.
pub(super) fn soak(survey: &Survey<'_>, draft: &mut Draft, opened: &[StepId]) -> Vec<StepId> {
    let Some(plan) = wanted(survey).filter(|f| !f.soak.is_zero()) else { return Vec::new() };
    let one = |component: &crate::id::Component| {
        let region = survey.to();
        let (for_ms, most_bytes) = (plan.soak, plan.max_lag_bytes);
        let effect = Effect::Soak { component: component.clone(), region: region.clone(), for_ms, most_bytes };
        let title = format!("Let {component} in {region} keep up for {}", crate::time::show_duration(plan.soak));
        let why = "A copy that has just come back may fall behind again; the writer moves to one that holds its pace.";
        step(format!("soak-{component}-{region}"), Phase::Prepare, effect, limits::soak(plan.soak))
            .say(title, why)
            .once(opened.iter().cloned())
            .else_do(OnFailure::Undo)
    };
    survey.data.iter().map(|d| one(d.name)).map(|s| draft.add(s)).collect()
}

/// The first step from `prepared` on asks a person, once everything before it that it could wait for is done; what else
/// waited for nothing but that comes after it.
pub(super) fn ask_before_users(survey: &Survey<'_>, draft: &mut Draft, prepared: usize, ready: &[StepId]) {
    if !wanted(survey).is_some_and(|plan| plan.approval) {
        return;
    }
    let (before, after) = draft.steps.split_at_mut(prepared);
    let Some((first, rest)) = after.split_first_mut() else { return };
    first.approval = true;
    for need in ready {
        if !first.needs.contains(need) {
            first.needs.push(need.clone());
        }
    }
    let is_before = |need: &StepId| before.iter().any(|s| &s.id == need);
    for step in rest.iter_mut().filter(|s| s.phase != Phase::Notify && s.needs.iter().all(is_before)) {
        step.needs.push(first.id.clone());
    }
}

/// One step per share, each after the one before; returns the last. Nothing where nothing leads traffic.
pub(super) fn shift_all(
    survey: &Survey<'_>,
    draft: &mut Draft,
    plan: &FailbackPlan,
    needs: Vec<StepId>,
) -> Vec<StepId> {
    if survey.roads.is_empty() {
        return needs;
    }
    let start = published(survey);
    let (mut former, mut needs) = (start.clone(), needs);
    for share in &plan.shares {
        let shares = match &survey.d.plan.shares {
            Some(_) => toward(&start, &survey.d.intent.target.traffic, *share),
            None => mixed(&start, survey.to(), *share),
        };
        // Where it takes more already.
        if survey.d.plan.shares.is_some() && shares == former && *share < 100 {
            continue;
        }
        let shift = shift(survey, plan, *share, &shares, &former).once(needs);
        needs = vec![draft.add(shift)];
        former = shares;
    }
    needs
}

fn shift(
    survey: &Survey<'_>,
    plan: &FailbackPlan,
    share: u32,
    shares: &BTreeMap<Region, u32>,
    former: &BTreeMap<Region, u32>,
) -> Step {
    let roads: Vec<_> = survey.roads.iter().map(|road| (*road).clone()).collect();
    let watch = watch(survey, plan);
    let long = crate::time::show_duration(plan.watch);
    let title = match &watch {
        _ if survey.d.plan.shares.is_some() => format!("Lead traffic by these shares: {}", show_shares(shares)),
        Some(_) => format!("Lead {share} % of the traffic to {} and watch it for {long}", survey.to()),
        None => format!("Lead {share} % of the traffic to {}", survey.to()),
    };
    let why = match &watch {
        Some(_) => format!("With more than {} % of bad answers it goes back, and a person looks.", plan.max_errors),
        None => {
            "Nobody is asked how users fare meanwhile: the plan has neither `health` nor `verify` for that.".to_owned()
        }
    };
    let pace = survey.roads.iter().map(|road| survey.pace(road)).max().unwrap_or_default();
    let limit = limits::shift(pace, watch.as_ref());
    let back = |from, to| Effect::Shift { roads: roads.clone(), shares: to, former: from, watch: None };
    let undo = back(shares.clone(), former.clone());
    let effect = Effect::Shift { roads: roads.clone(), shares: shares.clone(), former: former.clone(), watch };
    step(format!("shift-{share}-{}", survey.to()), Phase::Route, effect, limit).say(title, why).undone_by(undo)
}

/// What is asked while a share is watched: the health checks that say how users at home fare; without any, the plan's proofs.
fn watch(survey: &Survey<'_>, plan: &FailbackPlan) -> Option<Watch> {
    let d = survey.d;
    let takes = |r: &Region| r == survey.to() || d.plan.shares.is_some() && survey.lit().any(|lit| lit == r);
    let here = |q: &Question| q.region.as_ref().is_none_or(takes);
    let checks = d.plan.health.iter().filter(|(_, check)| check.unit == d.intent.unit);
    let of_check = checks.flat_map(|(name, check)| {
        let asked = check.questions(name).into_iter().filter(|(question, _)| here(question));
        asked.map(|(question, probe)| Watched {
            name: question.to_string(),
            probe: probe.clone(),
            latency_ms: check.latency,
        })
    });
    let mut probes: Vec<Watched> = of_check.collect();
    if probes.is_empty() {
        let proof = |(i, probe): (usize, &crate::effect::Probe)| Watched {
            name: format!("proof {}", i + 1),
            probe: probe.clone(),
            latency_ms: None,
        };
        probes = d.plan.proofs(&d.intent.unit).enumerate().map(proof).collect();
    }
    let (every_ms, for_ms, max_errors) = (plan.every, plan.watch, plan.max_errors);
    (!probes.is_empty()).then_some(Watch { probes, every_ms, for_ms, max_errors })
}

/// The shares that are published now, as far as they were seen.
fn published(survey: &Survey<'_>) -> BTreeMap<Region, u32> {
    let seen = survey.roads.iter().find_map(|road| {
        let target = Target { component: (*road).clone(), region: None };
        survey.d.seen.get(&target)?.shares.clone()
    });
    let some = seen.filter(|shares| shares.values().any(|s| *s > 0));
    some.unwrap_or_else(|| BTreeMap::from([(survey.from().clone(), 100)]))
}

/// `share` per cent for `to`; the others keep their proportions in what is left.
fn mixed(start: &BTreeMap<Region, u32>, to: &Region, share: u32) -> BTreeMap<Region, u32> {
    let others: Vec<(&Region, u32)> = start.iter().filter(|(r, s)| *r != to && **s > 0).map(|(r, s)| (r, *s)).collect();
    let all: u32 = others.iter().map(|(_, s)| s).sum();
    let left = 100 - share.min(100);
    let mut shares: BTreeMap<Region, u32> =
        others.iter().map(|(r, s)| ((*r).clone(), left * s / all)).filter(|(_, s)| *s > 0).collect();
    let given: u32 = shares.values().sum();
    shares.insert(to.clone(), 100 - given);
    shares
}

/// So many per cent of the way from what is published to the shares at rest: each region that is to take more gets so much of
/// its share, and never less than it has; the others keep their proportions in what is left.
fn toward(start: &Shares, at_rest: &Shares, share: u32) -> Shares {
    if share >= 100 {
        return at_rest.clone();
    }
    let has = |region: &Region| start.get(region).copied().unwrap_or_default();
    let grows = |(region, rest): &(&Region, &u32)| **rest > has(region);
    let grown = at_rest.iter().filter(grows).map(|(r, rest)| (r.clone(), has(r).max((rest * share / 100).max(1))));
    let mut shares: Shares = grown.collect();
    let left = 100_u32.saturating_sub(shares.values().sum());
    let others: Vec<(Region, u32)> =
        start.iter().filter(|(r, s)| **s > 0 && !shares.contains_key(*r)).map(|(r, s)| (r.clone(), *s)).collect();
    let all: u32 = others.iter().map(|(_, s)| s).sum();
    let Some((largest, _)) = others.iter().max_by_key(|(_, s)| *s).cloned() else { return at_rest.clone() };
    shares.extend(others.into_iter().map(|(r, s)| (r, left * s / all)));
    let given: u32 = shares.values().sum();
    *shares.entry(largest).or_default() += 100 - given;
    shares.retain(|_, s| *s > 0);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(of: &[(&str, u32)]) -> BTreeMap<Region, u32> {
        of.iter().map(|(r, s)| (Region::from(*r), *s)).collect()
    }

    fn taking_of(of: &[(&str, u32)]) -> Shares {
        crate::plan::taking(&shares(of))
    }

    #[test]
    fn the_others_keep_their_proportions() {
        let west = shares(&[("west", 100)]);
        assert_eq!(mixed(&west, &"east".into(), 10), shares(&[("east", 10), ("west", 90)]));
        assert_eq!(mixed(&west, &"east".into(), 100), shares(&[("east", 100)]));
        let two = shares(&[("north", 25), ("west", 75)]);
        assert_eq!(mixed(&two, &"east".into(), 60), shares(&[("east", 60), ("north", 10), ("west", 30)]));
        assert_eq!(mixed(&shares(&[("east", 100)]), &"east".into(), 10), shares(&[("east", 100)]));
    }

    #[test]
    fn who_comes_back_gets_so_much_of_its_share_at_rest() {
        let at_rest = shares(&[("east", 60), ("west", 40)]);
        let west = shares(&[("west", 100)]);
        assert_eq!(toward(&west, &at_rest, 10), shares(&[("east", 6), ("west", 94)]));
        assert_eq!(toward(&west, &at_rest, 50), shares(&[("east", 30), ("west", 70)]));
        assert_eq!(toward(&west, &at_rest, 100), at_rest);
        let east = shares(&[("east", 90), ("west", 10)]);
        assert_eq!(toward(&east, &at_rest, 10), east, "it takes more already");
        let three = shares(&[("east", 40), ("north", 30), ("west", 30)]);
        assert_eq!(
            toward(&shares(&[("east", 50), ("west", 50)]), &three, 50),
            shares(&[("east", 42), ("north", 15), ("west", 43)])
        );
    }

    proptest! {
        #[test]
        fn the_way_back_is_always_whole_and_nobody_who_returns_loses(
            start in prop::collection::btree_map(prop::sample::select(vec!["east", "west", "north"]), 1..50_u32, 1..4),
            east in 1..=98_u32, west in 1..=98_u32, share in 1..=100_u32,
        ) {
            let sum: u32 = start.values().sum();
            let mut start: Shares = start.into_iter().map(|(r, s)| (r.into(), s * 100 / sum)).collect();
            let given: u32 = start.values().sum();
            *start.values_mut().next().expect("one at least") += 100 - given;
            let west = west.min(99 - east);
            let at_rest = taking_of(&[("east", east), ("west", west), ("north", 100 - east - west)]);
            let shares = toward(&start, &at_rest, share);
            prop_assert_eq!(shares.values().sum::<u32>(), 100);
            for (region, rest) in &at_rest {
                let has = start.get(region).copied().unwrap_or_default();
                let gets = shares.get(region).copied().unwrap_or_default();
                prop_assert!(*rest <= has || (gets >= has && gets <= *rest), "{} has {} gets {} of {}", region, has, gets, rest);
            }
        }

        #[test]
        fn shares_add_up_and_home_gets_at_least_its_own(
            start in prop::collection::btree_map(prop::sample::select(vec!["east", "west", "north"]), 0..100_u32, 1..3), share in 1..=100_u32,
        ) {
            let start: BTreeMap<Region, u32> = start.into_iter().map(|(r, s)| (r.into(), s)).collect();
            let mixed = mixed(&start, &"east".into(), share);
            prop_assert_eq!(mixed.values().sum::<u32>(), 100);
            prop_assert!(mixed[&Region::from("east")] >= share);
            prop_assert!(mixed.values().all(|s| *s > 0));
        }
    }
}
