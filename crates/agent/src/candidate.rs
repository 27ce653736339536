//! What the writer here waits for before it acknowledges, and whom the store may promote because of it.
//!
//! [`pilotlight_core::candidate`] decides; this task carries out one step at a time.

use crate::Agent;
use crate::hands::Turn;
use crate::picture::Situation;
use pilotlight_core::candidate::{Ledger, Memory, Step, decide};
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, Unit};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::shared::Shared;
use std::collections::BTreeMap;
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
    let mut memory = Memory::having_heard(heard.candidacy);
    let mut trouble = None;
    let (mut looks, mut heard) = (0, 0);
    let mut over = pin!(agent.shutdown.cancelled());
    let mut leaves = None;
    loop {
        if let Some(took) = leaves.take() {
            tokio::select! {
                biased;
                () = agent.clock.sleep(took) => {}
                () = &mut over => return,
            }
        }
        tokio::select! {
            biased;
            () = agent.picture.looks.passes(looks) => {}
            () = agent.picture.heard.passes(heard) => {}
            () = agent.clock.sleep(INTERVAL) => {}
            () = &mut over => return,
        }
        (looks, heard) = (agent.picture.looks.get(), agent.picture.heard.get());
        let Some(view) = agent.picture.view(unit) else { continue };
        if view.writer.as_ref() != Some(&agent.region) {
            agent.picture.note_wish(unit, None);
            continue;
        }
        // The turns first: what is decided must still hold when it is done.
        let turns: Option<Vec<(Target, Turn)>> =
            targets.iter().map(|t| Some((t.clone(), agent.hands.try_turn(t)?))).collect();
        let Some(turns) = turns else { continue };
        let seen: Option<BTreeMap<Component, Situation>> =
            turns.iter().map(|(t, _)| Some((t.component.clone(), agent.picture.situation(t)?))).collect();
        let Some(seen) = seen else { continue };
        let looks: BTreeMap<Component, Shared<State>> =
            seen.iter().map(|(c, s)| (c.clone(), s.state.clone())).collect();
        let ledger = Ledger {
            region: &agent.region,
            policy: &agent.plan.policy,
            rpo: agent.plan.objectives.rpo,
            view: &view,
            lease_valid: agent.leases.is_valid(unit),
            looks: &looks,
            now: agent.clock.mono(),
        };
        let step = decide(&ledger, &mut memory);
        agent.picture.note_wish(unit, if let Step::Wish(wish) = &step { Some(wish) } else { None });
        let Step::Wait { component, waits, why } = step else { continue };
        let Some(((target, turn), now)) =
            turns.iter().find(|(t, _)| t.component == component).zip(seen.get(&component))
        else {
            continue;
        };
        let effect =
            Effect::WaitFor { component: component.clone(), region: agent.region.clone(), waits: waits.clone() };
        memory.forget(&component);
        let began = agent.clock.mono();
        let done = agent.hands.own(turn, target, now.generation, &effect, DEADLINE).await;
        let took = agent.clock.mono().since(began);
        leaves = (done.is_err() && took > AT_ONCE).then_some(took.min(INTERVAL));
        match done {
            Ok(_) => {
                tracing::info!(%component, "waits for {waits} before it acknowledges: {why}");
                memory.proven(&component, &waits);
                trouble = None;
            }
            Err(e) if trouble.as_ref() != Some(&e.message) => {
                tracing::warn!(%component, "cannot wait for {waits} yet, trying again: {e}");
                trouble = Some(e.message);
            }
            Err(_) => {}
        }
    }
}
