//! How people steer a run: every verb is journaled with who said it before it counts.

use super::{Engine, recover};
use crate::executor::{Asked, Live, Refused};
use crate::storage::StorageError;
use pilotlight_core::id::{RunId, StepId};
use pilotlight_core::run::{Condition, Event, Illegal, RunState, RunView, Stance};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A person's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "control", rename_all = "kebab-case")]
pub enum Control {
    /// Start nothing new; what is under way finishes.
    Pause {
        #[serde(default)]
        why: String,
    },
    /// Go on; failed steps are tried again, stuck ones looked at again.
    Resume,
    /// Pass over a step that is not under way.
    Skip {
        step: StepId,
        #[serde(default)]
        why: String,
    },
    /// End the run: take back what was done before the point of no return, leave it after.
    Abort,
    /// Let a step start that asks for it, or try a stuck one again after having looked.
    Approve { step: StepId },
}

impl Control {
    fn into_event(self, by: &str) -> Event {
        let by = by.to_owned();
        match self {
            Control::Pause { why } => Event::Paused { by, why },
            Control::Resume => Event::Resumed { by },
            Control::Skip { step, why } => Event::StepSkipped { step, by, why },
            Control::Abort => Event::AbortAsked { by },
            Control::Approve { step } => Event::Approved { step, by },
        }
    }
}

/// Why a wish was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It is over, or there never was one of that name.
    #[error("no run {0} is under way")]
    NotUnderWay(RunId),
    /// Not in this state.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// It could not be journaled, so it does not count.
    #[error("it could not be journaled")]
    Stalled(#[source] StorageError),
    /// No answer came; it may still be journaled.
    #[error("run {0} did not answer in time; look at it before you ask again")]
    NoAnswer(RunId),
}

/// A journal that takes longer than this to write one record is in trouble, and a person waits.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Most ends are seen within a second; nobody needs to hear of the wait for those.
const WORTH_TELLING: Duration = Duration::from_secs(5);

impl Engine {
    /// A run for people, whether it is under way or over.
    pub async fn view(&self, run: &RunId) -> Result<Option<RunView>, StorageError> {
        self.of_run(run, Live::view, RunState::view).await
    }

    /// Where it stands: of its [`Engine::view`] only that, which is cheaper.
    pub async fn condition(&self, run: &RunId) -> Result<Option<Condition>, StorageError> {
        self.of_run(run, Live::condition, RunState::condition).await
    }

    /// Whether it makes way for a failover.
    pub async fn stance(&self, run: &RunId) -> Result<Option<Stance>, StorageError> {
        self.of_run(run, Live::stance, RunState::stance).await
    }

    async fn of_run<T>(
        &self,
        run: &RunId,
        live: impl FnOnce(&Live) -> T,
        over: impl FnOnce(&RunState) -> T,
    ) -> Result<Option<T>, StorageError> {
        let active = self.0.active().get(run).map(|active| Arc::clone(&active.live));
        if let Some(active) = active {
            return Ok(Some(live(&active)));
        }
        let records = self.records(run).await?;
        if records.is_empty() {
            return Ok(None);
        }
        Ok(Some(over(&recover::replay(run, &records)?)))
    }

    /// Why a run stands still although no person is waited for: its records cannot be written.
    pub fn stalled(&self, run: &RunId) -> Option<String> {
        self.0.active().get(run)?.live.stalled_for()
    }

    /// What steps of a run have been waiting to see for a while, for who follows it.
    pub fn waits(&self, run: &RunId) -> Vec<String> {
        let live = self.0.active().get(run).map(|active| Arc::clone(&active.live));
        let now = self.0.parts.clock.mono();
        let Some(live) = live else { return Vec::new() };
        let long = live.waits().clone().into_iter().filter(|(_, waits)| now.since(waits.since) >= WORTH_TELLING);
        long.map(|(step, waits)| format!("{step} waits: {}", waits.saw)).collect()
    }

    /// Grants a person's wish. Returns when it is durable.
    pub async fn control(&self, run: &RunId, control: Control, by: &str) -> Result<(), ControlError> {
        self.ask(run, control.into_event(by)).await
    }

    /// Ends a run that was prepared for a writer that works again. Refused once something of it has begun. Returns when it is
    /// durable.
    pub async fn withdraw(&self, run: &RunId, why: String, evidence: Vec<String>) -> Result<(), ControlError> {
        self.ask(run, Event::Withdrawn { why, evidence }).await
    }

    pub(super) async fn ask(&self, run: &RunId, event: Event) -> Result<(), ControlError> {
        let ask = self.0.active().get(run).map(|active| active.ask.clone());
        let ask = ask.ok_or_else(|| ControlError::NotUnderWay(run.clone()))?;
        let (reply, answer) = oneshot::channel();
        let asked = Asked { event, reply };
        ask.send(asked).await.map_err(|_| ControlError::NotUnderWay(run.clone()))?;
        tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(Ok(())) => Ok(()),
                Ok(Err(Refused::Illegal(illegal))) => Err(illegal.into()),
                Ok(Err(Refused::Stalled(why))) => Err(ControlError::Stalled(why)),
                Err(_) => Err(ControlError::NoAnswer(run.clone())),
            },
            () = self.0.parts.clock.sleep(ANSWER_WITHIN) => Err(ControlError::NoAnswer(run.clone())),
        }
    }
}

impl Live {
    /// The run for people; a journal that cannot be written is where it stands then.
    pub(super) fn view(&self) -> RunView {
        let mut view = self.state().view();
        for (step, waits) in self.waits().iter() {
            if let Some(step) = view.steps.iter_mut().find(|s| s.id == *step && s.ended.is_none()) {
                step.note.get_or_insert_with(|| format!("waits, last seen: {}", waits.saw));
            }
        }
        if let Some(why) = self.stalled_for() {
            view.condition = Condition::Stalled { why };
        }
        view
    }

    fn condition(&self) -> Condition {
        self.stalled_for().map_or_else(|| self.state().condition(), |why| Condition::Stalled { why })
    }

    fn stance(&self) -> Stance {
        let stance = self.state().stance();
        Stance { gives_way: stance.gives_way && self.stalled().is_none(), ..stance }
    }

    /// Why it stands still, if the journal cannot be written, for people.
    pub(super) fn stalled_for(&self) -> Option<String> {
        let error = self.stalled()?;
        Some(format!("{}: the journal cannot be written: {error}; {}", error.code(), error.hint()))
    }
}
