//! Work for the controller: asks for tasks, runs them side by side, reports what became of each.
//!
//! A task may be delivered twice, because an answer may be lost on the way: its id says whether it runs or has ended, and
//! an ended one is reported again. A task that an earlier agent process took is told apart by the driver's guard, by key.

use crate::Agent;
use crate::WayError;
use pilotlight_core::code;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::protocol::{Answer, Job, JobContext, OLDEST, RESULT_MOST, Task, TaskResult, VERSION, WorkRequest};
use pilotlight_driver::Context;
use pilotlight_driver::clock::within;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the controller may hold the request. Short, so that a connection cut without a word is noticed.
const WAIT: Duration = Duration::from_secs(5);

/// Time for the way of a request whose wait is over.
const WAY: Duration = Duration::from_secs(2);

/// Pause after a request that failed.
const RETRY: Duration = Duration::from_millis(200);

/// A result that nobody takes for so long is dropped: the run that wanted it has long looked by itself.
const REPORT_FOR: Duration = Duration::from_secs(600);

/// A look, a preflight or a comparison that takes longer is of no use.
const QUESTION: Duration = Duration::from_secs(10);

/// Ended tasks that are remembered.
const REMEMBERED: usize = 1_000;

/// Asks for work until shutdown; tasks under way are dropped then, and taken up by the next agent.
pub(crate) async fn run(agent: &Arc<Agent>) {
    let desk = Arc::new(Desk::default());
    let mut jobs = JoinSet::new();
    let request = WorkRequest {
        version: OLDEST,
        region: agent.region.clone(),
        instance: agent.instance.clone(),
        place: agent.place.clone(),
        wait_ms: WAIT,
    };
    while !agent.shutdown.is_cancelled() {
        let reply = tokio::select! {
            biased;
            reply = agent.way.work(&request, WAIT + WAY) => reply,
            () = agent.shutdown.cancelled() => break,
        };
        match reply {
            Ok(reply) => {
                for task in reply.tasks {
                    take(agent, &desk, &mut jobs, task);
                }
            }
            Err(_) => agent.clock.sleep(RETRY).await,
        }
        while jobs.try_join_next().is_some() {}
    }
}

fn take(agent: &Arc<Agent>, desk: &Arc<Desk>, jobs: &mut JoinSet<()>, task: Task) {
    let (agent, desk) = (agent.clone(), desk.clone());
    match desk.begin(&task.id) {
        Known::New => drop(jobs.spawn(async move {
            let answer = perform(&agent, task.job).await;
            let (region, instance, place) = (agent.region.clone(), agent.instance.clone(), agent.place.clone());
            let result = TaskResult { region, instance, place, id: task.id, answer: sendable(answer) };
            desk.end(&result);
            report(&agent, &result).await;
        })),
        Known::Ended(result) => drop(jobs.spawn(async move { report(&agent, &result).await })),
        Known::Running => {}
    }
}

async fn perform(agent: &Agent, job: Job) -> Answer {
    let driver = &agent.driver;
    let question = match job {
        Job::Observe { target } => within(&*agent.clock, QUESTION, driver.observe(&target))
            .await
            .map(|r| r.map(|s| Answer::Observed { state: Box::new(s) })),
        Job::Preflight { effect } => within(&*agent.clock, QUESTION, driver.preflight(&effect))
            .await
            .map(|r| r.map(|findings| Answer::Findings { findings })),
        Job::Rescue { target, question } => within(&*agent.clock, QUESTION, driver.rescue(&target, &question))
            .await
            .map(|r| r.map(|answer| Answer::Told { rescue: Box::new(answer) })),
        Job::Compare { target, first, second } => {
            within(&*agent.clock, QUESTION, driver.compare(&target, &first, &second))
                .await
                .map(|r| r.map(|order| Answer::Compared { order }))
        }
        Job::Apply { effect, context } => {
            let context = context_of(agent, context);
            Some(agent.hands.apply(&effect, &context).await.map(|outcome| Answer::Returned { outcome }))
        }
        Job::Resume { handle, context } => {
            let context = context_of(agent, context);
            let resumed = within(&*agent.clock, context.deadline, driver.resume(&handle, &context)).await;
            let resumed = resumed.unwrap_or_else(|| Err(Failure::unknown("no answer before the deadline")));
            Some(resumed.map(|outcome| Answer::Returned { outcome }))
        }
        Job::Unread { why } => Some(Err(not_known(&why))),
    };
    let answer = question.unwrap_or_else(|| Err(Failure::transient(format!("no answer within {QUESTION:?}"))));
    answer.unwrap_or_else(|failure| Answer::Failed { failure })
}

/// An answer that no controller would take is never answered: whoever asked is told that instead.
fn sendable(answer: Answer) -> Answer {
    /// What stands around it.
    const AROUND: usize = 64 << 10;
    let bytes = serde_json::to_vec(&answer).map_or(0, |text| text.len());
    if bytes <= RESULT_MOST - AROUND {
        return answer;
    }
    let message = format!("PL-0966: the answer has {bytes} bytes, a controller takes {RESULT_MOST}");
    let short = |output| Output { text: message.clone(), rescue: None, ..output };
    match answer {
        // It was done: only what it says of itself is too long.
        Answer::Returned { outcome: Outcome::Done { output } | Outcome::Warned { output, .. } } => {
            Answer::Returned { outcome: Outcome::Done { output: short(output) } }
        }
        Answer::Returned { .. } => Answer::Failed { failure: Failure::unknown(message) },
        _ => Answer::Failed { failure: Failure::rejected(message).hint("look at it where it lies") },
    }
}

/// The controller is newer. Nothing was done, and the same again would not be.
fn not_known(why: &str) -> Failure {
    let code = code::TASK_UNKNOWN;
    tracing::error!("{code}: a task of the controller is not known here (this agent speaks version {VERSION}): {why}");
    let what = format!("{code}: the agent does not know the task and did nothing; it speaks version {VERSION}: {why}");
    Failure::unsupported(what).hint("install the controller's version in that region, and restart the agent")
}

fn context_of(agent: &Agent, context: JobContext) -> Context {
    let JobContext { unit, epoch, key, deadline_ms } = context;
    Context { unit, epoch, key, deadline: deadline_ms, cancel: agent.shutdown.child_token() }
}

/// Tells the controller until it has heard.
async fn report(agent: &Agent, result: &TaskResult) {
    let until = agent.clock.mono() + REPORT_FOR;
    while agent.clock.mono() < until {
        match agent.way.result(result, WAY).await {
            Ok(()) => return,
            Err(e @ WayError::Garbled { .. }) => {
                tracing::error!(task = result.id, "the controller does not take the result of a task: {e}");
                return;
            }
            Err(_) => agent.clock.sleep(RETRY).await,
        }
    }
}

/// The tasks this process has met.
#[derive(Default)]
struct Desk(Mutex<Met>);

#[derive(Default)]
struct Met {
    /// `None` while it runs.
    tasks: BTreeMap<String, Option<TaskResult>>,
    /// Ended ones, oldest first.
    ended: VecDeque<String>,
}

/// What is known of a delivered task.
enum Known {
    New,
    Running,
    Ended(Box<TaskResult>),
}

impl Desk {
    fn begin(&self, id: &str) -> Known {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match met.tasks.get(id) {
            Some(None) => Known::Running,
            Some(Some(result)) => Known::Ended(Box::new(result.clone())),
            None => {
                met.tasks.insert(id.to_owned(), None);
                Known::New
            }
        }
    }

    fn end(&self, result: &TaskResult) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.tasks.insert(result.id.clone(), Some(result.clone()));
        met.ended.push_back(result.id.clone());
        if met.ended.len() > REMEMBERED
            && let Some(oldest) = met.ended.pop_front()
        {
            met.tasks.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::outcome::FailureKind;

    #[test]
    fn an_answer_that_no_controller_takes_is_told_as_such() {
        let long = || "x".repeat(RESULT_MOST);
        let failed = sendable(Answer::Failed { failure: Failure::transient(long()) });
        let Answer::Failed { failure } = failed else { panic!("{failed:?}") };
        assert!(failure.message.contains("PL-0966"), "{failure}");
        let done = sendable(Answer::Returned { outcome: Outcome::done_with(long()) });
        let Answer::Returned { outcome } = done else { panic!("{done:?}") };
        assert!(outcome.output().is_some_and(|o| o.text.contains("PL-0966")), "{outcome:?}");
        let short = Answer::Returned { outcome: Outcome::done_with("ok") };
        assert_eq!(sendable(short.clone()), short);
    }

    #[test]
    fn a_task_that_is_not_known_is_a_failure_that_did_nothing() {
        let failure = not_known("unknown variant `levitate`");
        assert_eq!((failure.kind, failure.coded().0), (FailureKind::Unsupported, Some(code::TASK_UNKNOWN)));
        assert!(failure.message.contains("levitate"), "{failure}");
    }
}
