//! What the writer here waits for before it acknowledges, and whom the store may promote because of it.
//!
//! [`pilotlight_core::candidate`] decides; this task carries out one step at a time.

use crate::Agent;
use crate::hands::Turn;
use crate::picture::Situation;
use pilotlight_core::candidate::{Ledger, Memory, Step, decide};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Unit;
use pilotlight_core::observation::Target;
use std::pin::pin;
use std::time::Duration;

/// Between two decisions when nothing is seen or heard: looks hang.
const INTERVAL: Duration = Duration::from_secs(1);

/// The driver gives up well before: it changes two settings and waits for a candidate that is close.
const DEADLINE: Duration = Duration::from_secs(10);

/// An attempt that failed at once is made again with the next look. One that took longer had the turns of all copies of the
/// unit for so long, and leaves them to upkeep and runs for as long before the next, at most for [`INTERVAL`].
const AT_ONCE: Duration = Duration::from_millis(250);

/// Decides and acts until shutdown.
pub(crate) async fn run(agent: &Agent, unit: &Unit) {
    let targets = agent.picture.replicated_of(unit);
    let heard = agent.hearing.heard().units.remove(unit).unwrap_or_default();
    let memory = Memory::having_heard(heard);
    let mut rounds = Rounds { agent, unit, targets, memory, trouble: None };
    let (mut looks, mut heard) = (0, 0);
    let mut over = pin!(agent.shutdown.cancelled());
    let mut rest: Option<Duration> = None;
    loop {
        let news = async {
            if let Some(rest) = rest {
                agent.clock.sleep(rest).await;
            }
            tokio::select! {
                biased;
                () = agent.picture.looks.passes(looks) => {}
                () = agent.picture.heard.passes(heard) => {}
                () = agent.clock.sleep(INTERVAL) => {}
            }
        };
        tokio::select! {
            biased;
            () = news => {}
            () = &mut over => return,
        }
        (looks, heard) = (agent.picture.looks.get(), agent.picture.heard.get());
        rest = rounds.next().await;
    }
}

/// What goes from one decision to the next.
struct Rounds<'a> {
    agent: &'a Agent,
    unit: &'a Unit,
    targets: Vec<Target>,
    memory: Memory,
    /// What was told last.
    trouble: Option<String>,
}

impl Rounds<'_> {
    /// One decision, and what it asks for; then how long the turns are left to others.
    async fn next(&mut self) -> Option<Duration> {
        let (agent, unit) = (self.agent, self.unit);
        let view = agent.picture.view(unit)?;
        if view.writer.as_ref() != Some(&agent.region) {
            agent.picture.note_wish(unit, None);
            return None;
        }
        // The turns first: what is decided must still hold when it is done.
        let held: Vec<(&Target, Turn, Situation)> = (self.targets.iter())
            .map(|t| Some((t, agent.hands.try_turn(t)?, agent.picture.situation(t)?)))
            .collect::<Option<_>>()?;
        let looks = held.iter().map(|(t, _, seen)| (t.component.clone(), seen.state.clone())).collect();
        let ledger = Ledger {
            region: &agent.region,
            policy: &agent.plan.policy,
            rpo: agent.plan.objectives.rpo,
            view: &view,
            lease_valid: agent.leases.is_valid(unit),
            looks: &looks,
            now: agent.clock.mono(),
        };
        let step = decide(&ledger, &mut self.memory);
        agent.picture.note_wish(unit, if let Step::Wish(wish) = &step { Some(wish) } else { None });
        let Step::Wait { component, waits, why } = step else { return None };
        let (target, turn, seen) = held.iter().find(|(t, ..)| t.component == component)?;
        let (region, of) = (agent.region.clone(), component.clone());
        let effect = Effect::WaitFor { component: of, region, waits: waits.clone() };
        self.memory.forget(&component);
        let began = agent.clock.mono();
        let done = agent.hands.own(turn, target, seen.generation, &effect, DEADLINE).await;
        let took = agent.clock.mono().since(began);
        let rest = (done.is_err() && took > AT_ONCE).then_some(took.min(INTERVAL));
        match done {
            Ok(_) => {
                tracing::info!(%component, "waits for {waits} before it acknowledges: {why}");
                self.memory.proven(&component, &waits, agent.clock.mono());
                self.trouble = None;
            }
            Err(e) if self.trouble.as_ref() != Some(&e.message) => {
                tracing::warn!(%component, "cannot wait for {waits} yet, trying again: {e}");
                self.trouble = Some(e.message);
            }
            Err(_) => {}
        }
        rest
    }
}
