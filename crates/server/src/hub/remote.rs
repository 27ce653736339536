//! A driver whose work is done by the agent of a region.

use super::Hub;
use super::tasks::Delivery;
use async_trait::async_trait;
use pilotlight_core::code;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::Region;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::protocol::{Answer, Job, JobContext};
use pilotlight_core::rescue;
use pilotlight_driver::{Context, Driver};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Looks and comparisons.
const LOOK: Duration = Duration::from_secs(5);

/// Preflights run programs.
const PREFLIGHT: Duration = Duration::from_secs(15);

/// The agent gets less time than the caller has, so that its answer still arrives: a tenth, at most this.
const WAY: Duration = Duration::from_millis(500);

/// How often a silent agent is noticed by those who wait for it.
const CHECK: Duration = Duration::from_millis(100);

/// See the module.
pub struct RemoteAgent {
    region: Region,
    descriptor: Descriptor,
    hub: Arc<Hub>,
}

/// Takes the task back when its caller is gone, however it went.
struct Asked<'a> {
    remote: &'a RemoteAgent,
    id: Option<String>,
}

impl Asked<'_> {
    fn give_up(&mut self) -> Delivery {
        self.id.take().map_or(Delivery::Delivered, |id| self.remote.hub.withdraw(&self.remote.region, &id))
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl RemoteAgent {
    /// The agent of `region` as the driver of one component, which it describes so.
    pub fn new(hub: Arc<Hub>, region: Region, descriptor: Descriptor) -> Self {
        Self { region, descriptor, hub }
    }

    /// Sends a job and waits for its answer. `changes` when something may have happened if none comes.
    async fn ask(
        &self,
        job: Job,
        deadline: Duration,
        cancel: &CancellationToken,
        changes: bool,
    ) -> Result<Answer, Failure> {
        let hub = &self.hub;
        hub.hears(&self.region, hub.silent_after).map_err(|why| unheard(format!("{why}; nothing was sent")))?;
        hub.understands(&self.region, job.since()).map_err(|why| too_old(&why))?;
        let Some((id, mut answer)) = hub.add(&self.region, job) else {
            return Err(Failure::rejected(format!("the plan has no region {}", self.region)));
        };
        let mut asked = Asked { remote: self, id: Some(id) };
        let end = hub.clock.mono() + deadline;
        let why = loop {
            tokio::select! {
                biased;
                answer = &mut answer => match answer {
                    Ok(Answer::Failed { failure }) => return Err(failure),
                    Ok(answer) => return Ok(answer),
                    Err(_) => break "the task was dropped".to_owned(),
                },
                () = cancel.cancelled() => break "nobody waits for it any more".to_owned(),
                () = hub.clock.sleep(CHECK.min(end.since(hub.clock.mono()))) => {}
            }
            if hub.clock.mono() >= end {
                break format!("no answer within {deadline:?}");
            }
            if let Err(why) = hub.hears(&self.region, hub.lost_after) {
                break why;
            }
        };
        Err(match asked.give_up() {
            Delivery::Withdrawn => unheard(format!("{why}; the agent of {} had not taken the task", self.region)),
            Delivery::Delivered if changes => {
                Failure::unknown(format!("{why}; the agent of {} had taken the task", self.region))
            }
            Delivery::Delivered => Failure::transient(why),
        })
    }

    pub(super) async fn question(&self, job: Job, deadline: Duration) -> Result<Answer, Failure> {
        self.ask(job, deadline, &CancellationToken::new(), false).await
    }

    /// A controller that has just begun may go on with a run before the agents have found it: a step that was not begun
    /// waits for them, within its own time, rather than fail for a silence that is the controller's own. Answers what is
    /// left of that time.
    ///
    /// What makes a writer again, other than a promotion, waits for all of them: the store may be an old copy, and another
    /// region the one that writes.
    async fn once_heard(&self, effect: &Effect, context: &Context) -> Context {
        let (clock, began) = (&self.hub.clock, self.hub.clock.mono());
        let heard = async {
            self.hub.first_word(&self.region).await;
            if let Effect::ResumeWrites { .. } = effect {
                for region in self.hub.sessions.keys() {
                    self.hub.first_word(region).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = heard => {}
            () = context.cancel.cancelled() => {}
            () = clock.sleep(context.deadline) => {}
        }
        Context { deadline: context.deadline.saturating_sub(clock.mono().since(began)), ..context.clone() }
    }

    fn job_context(context: &Context) -> JobContext {
        let way = (context.deadline / 10).min(WAY);
        JobContext {
            unit: context.unit.clone(),
            epoch: context.epoch,
            key: context.key.clone(),
            deadline_ms: context.deadline.saturating_sub(way),
        }
    }

    async fn deed(&self, job: Job, context: &Context) -> Result<Outcome, Failure> {
        match self.ask(job, context.deadline, &context.cancel, true).await? {
            Answer::Returned { outcome } => Ok(outcome),
            other => Err(Failure::unknown(misfit(&other))),
        }
    }
}

fn unheard(why: String) -> Failure {
    Failure::unreachable(why).hint("is `pilotlight agent` running in that region, and can it reach the controller?")
}

fn too_old(why: &str) -> Failure {
    let code = code::AGENT_OLD;
    Failure::unsupported(format!("{code}: {why}; nothing was sent")).hint("install the controller's version there")
}

fn misfit(answer: &Answer) -> String {
    format!("the agent answered another question: {answer:?}")
}

#[async_trait]
impl Driver for RemoteAgent {
    fn describe(&self) -> Descriptor {
        self.descriptor.clone()
    }

    /// A real look, never one of a heartbeat: whoever asks has just done something and wants to see what came of it.
    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        match self.question(Job::Observe { target: target.clone() }, LOOK).await? {
            Answer::Observed { state } => Ok(*state),
            other => Err(Failure::transient(misfit(&other))),
        }
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        match self.question(Job::Preflight { effect: effect.clone() }, PREFLIGHT).await? {
            Answer::Findings { findings } => Ok(findings),
            other => Err(Failure::transient(misfit(&other))),
        }
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let context = self.once_heard(effect, context).await;
        if context.cancel.is_cancelled() {
            return Err(unheard("nobody waits for it any more; nothing was sent".to_owned()));
        }
        let job = Job::Apply { effect: effect.clone(), context: Self::job_context(&context) };
        self.deed(job, &context).await
    }

    /// Returns at the agent's next heartbeat: it sends one at once when something changed.
    async fn watch(&self, _target: &Target) {
        let Some(session) = self.hub.sessions.get(&self.region) else { return std::future::pending().await };
        session.beats.passes(session.beats.get()).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        let job = Job::Resume { handle: handle.to_owned(), context: Self::job_context(context) };
        self.deed(job, context).await
    }

    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        let job = Job::Rescue { target: target.clone(), question: question.clone() };
        match self.question(job, PREFLIGHT).await? {
            Answer::Told { rescue } => Ok(*rescue),
            other => Err(Failure::transient(misfit(&other))),
        }
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        let job = Job::Compare { target: target.clone(), first: first.clone(), second: second.clone() };
        match self.question(job, LOOK).await? {
            Answer::Compared { order } => Ok(order),
            other => Err(Failure::transient(misfit(&other))),
        }
    }
}
