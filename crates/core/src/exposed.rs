//! While a writer acknowledges beyond the RPO: since when, how much of the newest acknowledged time no other region holds, and
//! how far that went.
//!
//! `beyond_rpo: expose` lets writes go on when the link to every copy is cut, and a plan that is best effort always does.
//! That is wanted, and must be seen while it lasts. Only sentinels say what a copy lacks; where none is seen and nobody
//! streams, what was lacking grows with the clock. While copies stream and do not say how far they are, nothing is said.
//!
//! Border: pure; it alarms and decides nothing. A controller that takes over goes on from what was kept
//! ([`crate::remembered`]); the time in which nobody led is in none of the figures.

use crate::id::Region;
use crate::observation::Role;
use crate::plan::{BeyondRpo, Guarantee, Plan};
use crate::time::{Mono, Wall, as_ms, show_duration};
use crate::verdict::{Judgement, Sight};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So many that are over are remembered for each unit.
const KEPT: usize = 5;

/// A time in which more than the RPO was exposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// The region whose writer it was.
    pub writer: Region,
    /// When it began.
    pub since: Wall,
    /// How long it lasts, or lasted.
    #[serde(with = "as_ms")]
    pub lasted_ms: Duration,
    /// How much of the newest acknowledged time no other region holds, as far as is known.
    #[serde(with = "as_ms")]
    pub at_risk_ms: Duration,
    /// The most of it so far.
    #[serde(with = "as_ms")]
    pub most_ms: Duration,
    /// It is over: a copy has caught up.
    #[serde(default)]
    pub over: bool,
}

impl std::fmt::Display for Exposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Exposed { writer, lasted_ms, at_risk_ms, most_ms, over, .. } = self;
        let (lasted, most) = (show_duration(*lasted_ms), show_duration(*most_ms));
        match over {
            true => write!(
                f,
                "{writer} acknowledged beyond the RPO for {lasted}: at the most {most} were in no other region"
            ),
            false => {
                let risk = show_duration(*at_risk_ms);
                write!(
                    f,
                    "{writer} has acknowledged beyond the RPO for {lasted}: the newest {risk} are in no other region"
                )
            }
        }
    }
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The RPO was passed.
    Begun(Exposed),
    /// A copy has caught up, or the unit has another writer.
    Ended(Exposed),
}

/// What is remembered of a unit.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// How much was lacking when that was last known, of which writer and when.
    known: Option<(Region, Mono, Duration)>,
    /// How long what goes on had lasted, and when that was.
    begun: (Duration, Mono),
    /// The newest first; only the first may go on.
    all: Vec<Exposed>,
}

impl Watch {
    /// Goes on from what an earlier leader kept.
    pub fn goes_on(kept: &[Exposed], now: Mono) -> Self {
        let all: Vec<Exposed> = kept.iter().take(KEPT).cloned().collect();
        let open = all.first().filter(|e| !e.over);
        let known = open.map(|e| (e.writer.clone(), now, e.at_risk_ms));
        Self { known, begun: (open.map_or(Duration::ZERO, |e| e.lasted_ms), now), all }
    }

    /// The newest first; those that are over as long as they are remembered.
    pub fn all(&self) -> &[Exposed] {
        &self.all
    }

    /// The one that goes on.
    pub fn open(&self) -> Option<&Exposed> {
        self.all.first().filter(|e| !e.over)
    }

    /// A look at the unit.
    pub fn look(&mut self, plan: &Plan, judgement: &Judgement, sight: &Sight, wall: Wall) -> Option<Change> {
        let writer = judgement.writer.as_ref()?;
        if self.open().is_some_and(|e| e.writer != *writer) {
            return Some(self.end());
        }
        let shown = if may_be_exposed(plan, sight) {
            // A writer that is lost acknowledges nothing more; what was exposed stays so until it is back or replaced.
            if !judgement.verdict.works() {
                return None;
            }
            judgement.candidates.iter().filter(|c| c.by_sentinel).filter_map(|c| c.exposure).min()
        } else {
            // Whoever is admitted holds everything that was acknowledged before ([`crate::candidate`]).
            Some(Duration::ZERO)
        };
        self.weigh(plan.objectives.rpo, writer, (shown, streams(sight, writer)), (sight.now, wall))
    }

    fn weigh(
        &mut self,
        rpo: Duration,
        writer: &Region,
        (shown, streams): (Option<Duration>, bool),
        (now, wall): (Mono, Wall),
    ) -> Option<Change> {
        // A writer that is new has acknowledged nothing yet; what copies of the one before it lacked says nothing of it.
        let is_new = self.known.as_ref().is_some_and(|(of, ..)| of != writer);
        if let Some(lacks) = shown.or(is_new.then_some(Duration::ZERO)) {
            self.known = Some((writer.clone(), now, lacks));
        }
        let (_, at, lacked) = self.known.as_mut()?;
        if shown.is_none() && streams {
            *at = now;
            return None;
        }
        let risk = *lacked + now.since(*at);
        let (before, begun) = self.begun;
        match self.all.first_mut().filter(|e| !e.over) {
            Some(open) => {
                open.lasted_ms = before + now.since(begun);
                open.at_risk_ms = risk;
                open.most_ms = open.most_ms.max(risk);
                // One that goes to and fro about the limit is one.
                (risk <= rpo / 2).then(|| self.end())
            }
            None if risk > rpo => {
                self.begun = (Duration::ZERO, now);
                let writer = writer.clone();
                let lasted_ms = Duration::ZERO;
                let begun = Exposed { writer, since: wall, lasted_ms, at_risk_ms: risk, most_ms: risk, over: false };
                self.all.insert(0, begun.clone());
                self.all.truncate(KEPT);
                Some(Change::Begun(begun))
            }
            None => None,
        }
    }

    fn end(&mut self) -> Change {
        let open = self.all.first_mut().expect("only one that goes on is ended");
        open.over = true;
        open.at_risk_ms = Duration::ZERO;
        Change::Ended(open.clone())
    }
}

/// Where writes wait for a candidate rather than pass the RPO, only a writer without one goes on alone.
fn may_be_exposed(plan: &Plan, sight: &Sight) -> bool {
    match (plan.policy.guarantee, plan.policy.beyond_rpo) {
        (Guarantee::BestEffort, _) | (Guarantee::Bounded, BeyondRpo::Expose) => true,
        (Guarantee::Bounded, BeyondRpo::Stall) | (Guarantee::Strict, _) => sight.candidate.is_none(),
    }
}

/// Somebody follows the writer, as its own agent sees it.
fn streams(sight: &Sight, writer: &Region) -> bool {
    let looks = sight.agents.get(writer).into_iter().flat_map(|a| a.seen.values());
    let writers = looks.filter(|(state, _)| state.role == Some(Role::Writer));
    writers.filter_map(|(state, _)| state.waiting.as_ref()).any(|w| !w.followers.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{unit, usual};
    use crate::lease::LeaseSight;
    use crate::verdict::{Candidate, Quorum, Scope, Verdict};
    use std::collections::BTreeMap;

    const RPO: Duration = Duration::from_secs(30);

    fn at(watch: &mut Watch, second: u64, shown: Option<u64>, streams: bool) -> Option<Change> {
        let now = Duration::from_secs(second);
        let shown = shown.map(Duration::from_secs);
        watch.weigh(RPO, &"east".into(), (shown, streams), (Mono(now), Wall(second * 1_000)))
    }

    #[test]
    fn what_passes_the_rpo_is_one_time_until_a_copy_has_caught_up() {
        let mut watch = Watch::default();
        assert_eq!(at(&mut watch, 0, Some(1), true), None);
        assert_eq!(at(&mut watch, 30, Some(30), false), None, "the RPO itself is allowed");
        let Some(Change::Begun(begun)) = at(&mut watch, 31, Some(31), false) else { panic!("{watch:?}") };
        assert_eq!((begun.since, begun.at_risk_ms.as_secs()), (Wall(31_000), 31));
        assert_eq!(at(&mut watch, 90, Some(90), false), None);
        assert_eq!(at(&mut watch, 91, Some(29), true), None, "to and fro about the limit is one");
        let Some(Change::Ended(ended)) = at(&mut watch, 92, Some(2), true) else { panic!("{watch:?}") };
        assert_eq!((ended.lasted_ms.as_secs(), ended.most_ms.as_secs()), (61, 90));
        assert!(ended.to_string().contains("for 1 min 01 s: at the most 1 min 30 s"), "{ended}");
        assert!(watch.open().is_none() && watch.all().len() == 1);
    }

    #[test]
    fn the_next_leader_goes_on_with_what_was_kept_by_a_clock_of_its_own() {
        let mut first = Watch::default();
        at(&mut first, 9_000, Some(31), false);
        at(&mut first, 9_020, Some(51), false);
        let mut next = Watch::goes_on(first.all(), Mono(Duration::from_secs(5)));
        assert_eq!(next.all(), first.all());
        assert_eq!(at(&mut next, 15, None, false), None, "it has begun, and was told");
        let open = next.open().cloned().expect("it goes on");
        assert_eq!((open.since, open.lasted_ms.as_secs(), open.at_risk_ms.as_secs()), (Wall(9_000_000), 30, 61));
        let Some(Change::Ended(ended)) = at(&mut next, 16, Some(0), true) else { panic!("{next:?}") };
        assert_eq!((ended.lasted_ms.as_secs(), ended.most_ms.as_secs()), (31, 61));
        let mut third = Watch::goes_on(next.all(), Mono(Duration::ZERO));
        assert_eq!(at(&mut third, 1, None, false), None, "nothing goes on, and nothing is known yet");
        assert!(matches!(at(&mut third, 2, Some(31), false), Some(Change::Begun(_))) && third.all().len() == 2);
    }

    #[test]
    fn a_copy_that_nobody_sees_lacks_more_with_time_unless_it_streams() {
        let mut watch = Watch::default();
        assert_eq!(at(&mut watch, 0, None, false), None, "nothing was ever known");
        assert_eq!(at(&mut watch, 10, Some(5), true), None);
        assert_eq!(at(&mut watch, 60, None, true), None, "it streams, only the controller does not see it");
        assert_eq!(at(&mut watch, 85, None, false), None);
        assert!(matches!(at(&mut watch, 86, None, false), Some(Change::Begun(_))), "{watch:?}");
        assert_eq!(watch.open().map(|e| e.at_risk_ms.as_secs()), Some(31));
    }

    fn strict(rpo: Duration) -> Plan {
        let mut plan = usual();
        (plan.policy.guarantee, plan.objectives.rpo) = (Guarantee::Strict, rpo);
        plan
    }

    /// What the controller sees of a writer, of the other region by its sentinels, and whom the store has as the candidate.
    fn look(
        watch: &mut Watch,
        plan: &Plan,
        (writer, verdict): (&str, Verdict),
        (second, shown_ms, candidate): (u64, Option<u64>, Option<&str>),
    ) -> Option<Change> {
        let candidate = candidate.map(Region::from);
        let copy = |ms| Candidate {
            region: if writer == "east" { "west" } else { "east" }.into(),
            received_bytes: None,
            replay_bytes: None,
            exposure: Some(Duration::from_millis(ms)),
            unheard: Duration::ZERO,
            by_sentinel: true,
            admitted: Some(candidate.is_some()),
        };
        let judgement = Judgement {
            unit: unit(),
            writer: Some(writer.into()),
            verdict,
            scope: Scope::Unit { unit: unit() },
            evidence: Vec::new(),
            health: Vec::new(),
            quorum: Quorum::default(),
            candidates: shown_ms.map(copy).into_iter().collect(),
            returned: Vec::new(),
            silent: Vec::new(),
            lost: Vec::new(),
            no_data: false,
        };
        let sight = Sight {
            now: Mono(Duration::from_secs(second)),
            agents: BTreeMap::new(),
            ports: BTreeMap::new(),
            health: BTreeMap::new(),
            outlooks: BTreeMap::new(),
            lease: LeaseSight::Held { left: RPO },
            candidate,
            changed: None,
        };
        watch.look(plan, &judgement, &sight, Wall(second * 1_000))
    }

    const WELL: Verdict = Verdict::Healthy;
    const DAY: u64 = 86_400;

    #[test]
    fn what_was_lacking_days_ago_or_of_another_writer_is_no_exposure_now() {
        let (mut watch, plan) = (Watch::default(), strict(Duration::from_secs(5)));
        assert_eq!(look(&mut watch, &plan, ("west", WELL), (0, Some(300), None)), None);
        assert_eq!(look(&mut watch, &plan, ("west", WELL), (1, Some(300), Some("east"))), None);
        assert_eq!(look(&mut watch, &plan, ("west", WELL), (3 * DAY, None, Some("east"))), None);
        let mut alone = watch.clone();
        // A switchover back: nobody streams from east yet, and nobody is its candidate.
        assert_eq!(look(&mut watch, &plan, ("east", WELL), (3 * DAY + 1, None, None)), None);
        assert_eq!(look(&mut watch, &plan, ("east", WELL), (3 * DAY + 4, None, None)), None);
        assert_eq!(look(&mut watch, &plan, ("east", WELL), (3 * DAY + 5, Some(0), Some("west"))), None);
        assert_eq!(watch.all(), [], "{watch:?}");
        // Or the candidate is withdrawn, and the writer goes on alone: that counts from there.
        assert_eq!(look(&mut alone, &plan, ("west", WELL), (3 * DAY + 5, None, None)), None);
        let begun = look(&mut alone, &plan, ("west", WELL), (3 * DAY + 6, None, None));
        assert!(matches!(begun, Some(Change::Begun(e)) if e.at_risk_ms.as_secs() == 6), "{alone:?}");
    }

    #[test]
    fn a_new_writer_whose_copies_nobody_sees_is_exposed_since_it_writes() {
        let (mut watch, mut plan) = (Watch::default(), usual());
        plan.objectives.rpo = RPO;
        assert_eq!(look(&mut watch, &plan, ("east", WELL), (0, Some(300), None)), None);
        assert_eq!(look(&mut watch, &plan, ("east", Verdict::RegionLost), (DAY, None, None)), None);
        assert_eq!(look(&mut watch, &plan, ("west", WELL), (DAY + 1, None, None)), None);
        assert_eq!(look(&mut watch, &plan, ("west", WELL), (DAY + 31, None, None)), None);
        let begun = look(&mut watch, &plan, ("west", WELL), (DAY + 32, None, None));
        assert!(matches!(begun, Some(Change::Begun(e)) if e.at_risk_ms.as_secs() == 31), "{watch:?}");
    }

    #[test]
    fn whoever_is_admitted_ends_it() {
        for verdict in [WELL, Verdict::Suspect] {
            let (mut watch, plan) = (Watch::default(), strict(Duration::ZERO));
            let begun = look(&mut watch, &plan, ("east", WELL), (10, Some(300), None));
            assert!(matches!(begun, Some(Change::Begun(_))), "{watch:?}");
            // Its newest sentinel is not seen there yet, and what it has not shown says nothing.
            let mut next = Watch::goes_on(watch.all(), Mono(Duration::from_secs(10)));
            for watch in [&mut watch, &mut next] {
                let ended = look(watch, &plan, ("east", verdict), (14, Some(300), Some("west")));
                let Some(Change::Ended(ended)) = ended else { panic!("{watch:?}") };
                assert_eq!((ended.lasted_ms.as_secs(), ended.most_ms.as_millis()), (4, 300));
                assert_eq!(look(watch, &plan, ("east", verdict), (15, Some(300), Some("west"))), None);
            }
        }
    }
}
