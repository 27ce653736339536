//! What the agent does with its own copies without being asked; [`pilotlight_core::local`] decides, this carries it out.
//!
//! Invariant: nothing is decided while an effect runs on the copy, nor from a look older than the last effect: between a
//! promotion and the next look, the copy would seem to be what it no longer is.

use crate::Agent;
use crate::hands::Turn;
use crate::picture::Situation;
use pilotlight_core::effect::Effect;
use pilotlight_core::local::{Local, LocalAction, decide};
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::{Failure, Outcome};
use std::pin::pin;
use std::time::Duration;

/// A crash recovery may have to read a lot.
const RESTART_DEADLINE: Duration = Duration::from_secs(60);

/// Starting instances.
const CAPACITY_DEADLINE: Duration = Duration::from_secs(30);

/// Between two decisions when nothing signals, not even a look: the end of a lease has no signal of its own here.
const INTERVAL: Duration = Duration::from_millis(200);

/// Decides and acts until shutdown.
pub(crate) async fn run(agent: &Agent, target: &Target) {
    let signals = agent.picture.signals(target);
    let (mut trouble, mut sight) = (Trouble::default(), Sight::default());
    let mut over = pin!(agent.shutdown.cancelled());
    loop {
        tokio::select! {
            biased;
            () = agent.clock.sleep(INTERVAL) => {}
            () = signals.decide.notified() => {}
            () = &mut over => return,
        }
        // A run's effect has the turn: it will be followed by a look, and that by a decision.
        let Some(turn) = agent.hands.try_turn(target) else { continue };
        let Some(situation) = agent.picture.situation(target) else { continue };
        sight.note(target, &situation.state);
        if situation.state.role.is_some() {
            keep_copy(agent, target, &turn, &situation, &mut trouble).await;
        } else if adopt_capacity(agent, target, &turn, &situation, &mut trouble).await {
            // From here on runs say how many there shall be. The turn is theirs.
            break;
        }
    }
    over.await;
}

async fn keep_copy(agent: &Agent, target: &Target, turn: &Turn, now: &Situation, trouble: &mut Trouble) {
    let Some(role) = &now.state.role else { return };
    let action = decide(&Local {
        region: &agent.region,
        unit: now.view.as_deref(),
        asked: now.asked,
        lease_valid: agent.leases.is_valid(&now.unit),
        once_granted: agent.leases.once_granted(&now.unit),
        role,
        was_writer: now.was_writer,
        may_write: now.may_write,
        remains: now.state.facts.get("postmaster").is_some_and(|f| f == "dead"),
        in_production: now.state.facts.get("control").is_some_and(|f| f == "in production"),
        seen_alive: now.seen_alive,
        gated: agent.gates.end_writes(&target.component),
        unnamed: agent.gates.end_writes(&target.component) && now.state.follows_as.is_none(),
        on_writer_death: agent.plan.policy.on_writer_death,
        restarts: &now.restarts,
        standby_start: now.standby_start,
        now: agent.clock.mono(),
    });
    if matches!(role, Role::Standby { .. }) {
        agent.gates.rest(&target.component, |unit| agent.leases.is_valid(unit));
    }
    let (component, region) = (target.component.clone(), agent.region.clone());
    match action {
        LocalAction::None => {}
        LocalAction::Fence { why } | LocalAction::GiveUp { why } => {
            agent.hands.fence_at_once(target, &why).await;
        }
        LocalAction::RestartWriter => {
            let leased = agent.leases.is_valid(&now.unit);
            let why = if leased { "under a valid lease" } else { "and nobody can take its place" };
            tracing::warn!(%component, "the writer lies still {why}: starting it in place");
            agent.picture.note_restart(target, agent.clock.mono());
            let effect = Effect::ResumeWrites { component, region };
            let started = if leased {
                agent.hands.own(turn, target, now.generation, &effect, RESTART_DEADLINE).await
            } else {
                agent.hands.restart_unopposed(turn, target, now.generation, &effect, RESTART_DEADLINE).await
            };
            trouble.note(target, started);
        }
        LocalAction::StartStandby { upstream } => {
            tracing::info!(%component, %upstream, "the standby lies still or has no name: making it follow");
            agent.picture.note_standby_start(target, agent.clock.mono());
            let effect = Effect::Rejoin { component, region, upstream };
            let deadline = agent.plan.components[&target.component].rejoin_within();
            trouble.note(target, agent.hands.own(turn, target, now.generation, &effect, deadline).await);
        }
    }
}

/// Starts the instances the plan wants here, once, if nothing of them is recorded as running. Returns whether that is
/// settled.
async fn adopt_capacity(agent: &Agent, target: &Target, turn: &Turn, now: &Situation, trouble: &mut Trouble) -> bool {
    let Some(plan) = agent.plan.components.get(&target.component) else { return true };
    let Some((_, wanted)) = plan.capacity() else { return true };
    let Some(writer) = now.view.as_ref().and_then(|v| v.writer.as_ref()) else { return false };
    let instances = if *writer == agent.region { wanted.active } else { wanted.standby };
    let running = now.state.capacity.is_some_and(|c| c.desired > 0);
    if running || instances == 0 {
        return true;
    }
    tracing::info!(component = %target.component, instances, "nothing of it runs here: starting it");
    let effect = Effect::SetCapacity { component: target.component.clone(), region: agent.region.clone(), instances };
    trouble.note(target, agent.hands.own(turn, target, now.generation, &effect, CAPACITY_DEADLINE).await)
}

/// Logs each trouble once until it changes or ends.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    /// Returns whether it worked.
    fn note(&mut self, target: &Target, answer: Result<Outcome, Failure>) -> bool {
        match answer {
            Ok(_) => {
                self.0 = None;
                true
            }
            Err(e) => {
                if self.0.as_ref() != Some(&e.message) {
                    let hint = e.hint.as_deref();
                    tracing::warn!(component = %target.component, hint, "that did not work, trying again: {e}");
                }
                self.0 = Some(e.message);
                false
            }
        }
    }
}

/// Logs once that a copy cannot be seen, or that there is nothing to see, until it says something else or is seen again.
#[derive(Default)]
struct Sight(Option<String>);

impl Sight {
    fn note(&mut self, target: &Target, state: &State) {
        match self.news(state) {
            None => {}
            Some(Some(says)) => {
                tracing::warn!(component = %target.component, "nothing can be decided about this copy: {says}");
            }
            Some(None) => tracing::info!(component = %target.component, "the copy is seen again"),
        }
    }

    /// What has changed: what is said now, or that it is seen again.
    fn news(&mut self, state: &State) -> Option<Option<String>> {
        let unseen = state.role == Some(Role::Unknown) || state.has_no_data();
        let says = unseen.then(|| state.says().unwrap_or("it does not say why").to_owned());
        (says != self.0).then(|| {
            self.0.clone_from(&says);
            says
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_cannot_be_seen_is_told_once_with_its_reason() {
        let mut sight = Sight::default();
        let state = |role: Role, says: &str| State {
            role: Some(role),
            facts: [("says".to_owned(), says.to_owned())].into(),
            ..State::default()
        };
        assert_eq!(sight.news(&state(Role::Writer, "")), None);
        let missing = state(Role::Unknown, "PL-0701: pg_controldata is not there");
        assert_eq!(sight.news(&missing), Some(Some("PL-0701: pg_controldata is not there".to_owned())));
        assert_eq!(sight.news(&missing), None, "once");
        assert_eq!(sight.news(&state(Role::Unknown, "another reason")), Some(Some("another reason".to_owned())));
        assert_eq!(sight.news(&state(Role::Writer, "")), Some(None));
        let mut empty = state(Role::Down { clean: true, was_writer: false }, "there is no database in /data");
        empty.facts.insert("data".to_owned(), "none".to_owned());
        assert_eq!(sight.news(&empty), Some(Some("there is no database in /data".to_owned())));
    }
}
