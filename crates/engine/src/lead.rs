//! The lead: what a controller may do only while it is the leader, and how it is stopped when it no longer is.
//!
//! Border: holds the lead's end and looks at it; who renews it is the server's business, its arithmetic is in
//! [`pilotlight_core::leader`].
//!
//! Invariants:
//! - a controller whose lead is over sends no effect and appends no record; one that is under way is let go of in that
//!   moment, so of a long effect no further call leaves;
//! - what it had sent a moment before is caught where it lands: by the journal's numbers, by the term in each unit's
//!   record, and by agents, who obey no older term.

use crate::journal::{AppendError, Journal};
use crate::storage::StorageError;
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::RunId;
use pilotlight_core::leader::Term;
use pilotlight_core::lease::Holder;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::position::{Order, Position};
use pilotlight_core::rescue;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::clock::Clock;
use pilotlight_driver::{Context, Driver};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// One term of one controller. Clones share it.
#[derive(Clone)]
pub struct Lead {
    term: Term,
    /// `None`: there is nobody else.
    counted: Option<Arc<Counted>>,
}

struct Counted {
    clock: Arc<dyn Clock>,
    holder: Mutex<Holder>,
    /// It was ended before its time.
    over: CancellationToken,
}

impl Lead {
    /// Of the only controller: it has no end.
    pub fn alone() -> Self {
        Self { term: Term::default(), counted: None }
    }

    /// Of one of several, won by a put that was sent at `sent`.
    pub fn won(term: Term, clock: Arc<dyn Clock>, sent: Mono, lease: Duration) -> Self {
        let mut holder = Holder::default();
        holder.renewed(sent, lease);
        Self {
            term,
            counted: Some(Arc::new(Counted { clock, holder: Mutex::new(holder), over: CancellationToken::new() })),
        }
    }

    /// Which one it is.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whether another controller may take it over.
    pub fn is_contested(&self) -> bool {
        self.counted.is_some()
    }

    /// The store holds a renewal that was sent at `sent`.
    pub fn renewed(&self, sent: Mono, lease: Duration) {
        if let Some(counted) = &self.counted {
            counted.holder().renewed(sent, lease);
        }
    }

    /// It is over, whatever was left of it.
    pub fn end(&self) {
        if let Some(counted) = &self.counted {
            counted.holder().ended();
            counted.over.cancel();
        }
    }

    /// Returns when it is over.
    async fn ended(&self) {
        let Some(counted) = &self.counted else { return std::future::pending().await };
        loop {
            let now = counted.clock.mono();
            let left = self.valid_until().map_or(Duration::ZERO, |end| end.since(now));
            if left.is_zero() {
                return;
            }
            tokio::select! {
                biased;
                () = counted.over.cancelled() => return,
                () = counted.clock.sleep(left) => {}
            }
        }
    }

    /// This controller leads now.
    pub fn is_valid(&self) -> bool {
        self.counted.as_ref().is_none_or(|counted| {
            let now = counted.clock.mono();
            counted.holder().is_valid(now)
        })
    }

    /// When it ends unless it is renewed; `None` when it has ended or never does.
    pub fn valid_until(&self) -> Option<Mono> {
        self.counted.as_ref().and_then(|counted| counted.holder().valid_until())
    }
}

impl Counted {
    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A driver that does nothing once the lead is over, however it was begun; looking goes on.
///
/// Most drivers are not alone: an agent obeys no older term, a provider may compare a condition. Behind one whose guard is
/// [`CallerChecked`](pilotlight_core::effect::Guard::CallerChecked) nobody else looks. What cannot be helped there is the
/// one call that had left.
pub(crate) struct LedDriver {
    pub(crate) inner: Arc<dyn Driver>,
    pub(crate) lead: Lead,
}

impl LedDriver {
    fn check(&self) -> Result<(), Failure> {
        let over = || Failure::transient("this controller does not lead any more, so nothing was sent");
        self.lead.is_valid().then_some(()).ok_or_else(over)
    }

    /// Lets go of what was begun when the lead ends. That is looked at before each turn of it: a process that was frozen
    /// over the end does not send another call when it goes on.
    async fn while_it_leads(&self, doing: impl Future<Output = Result<Outcome, Failure>>) -> Result<Outcome, Failure> {
        self.check()?;
        let (mut doing, mut ended) = (pin!(doing), pin!(self.lead.ended()));
        poll_fn(|context| {
            if ended.as_mut().poll(context).is_ready() || !self.lead.is_valid() {
                let what = "the lead of this controller ended while it was under way; what was sent may have happened";
                return Poll::Ready(Err(Failure::unknown(what)));
            }
            doing.as_mut().poll(context)
        })
        .await
    }
}

#[async_trait]
impl Driver for LedDriver {
    fn describe(&self) -> Descriptor {
        self.inner.describe()
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.inner.observe(target).await
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.inner.preflight(effect).await
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.while_it_leads(self.inner.apply(effect, context)).await
    }

    async fn watch(&self, target: &Target) {
        self.inner.watch(target).await;
    }

    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.while_it_leads(self.inner.resume(handle, context)).await
    }

    async fn rescue(&self, target: &Target, question: &rescue::Question) -> Result<rescue::Answer, Failure> {
        self.inner.rescue(target, question).await
    }

    async fn compare(&self, target: &Target, first: &Position, second: &Position) -> Result<Order, Failure> {
        self.inner.compare(target, first, second).await
    }
}

/// A journal that takes nothing once the lead is over: the run is let go of, and is another's to continue.
pub(crate) struct LedJournal {
    pub(crate) inner: Arc<dyn Journal>,
    pub(crate) lead: Lead,
}

#[async_trait]
impl Journal for LedJournal {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        if !self.lead.is_valid() {
            return Err(StorageError::Closed.into());
        }
        self.inner.append(run, first, events).await
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        self.inner.read(run, from, limit).await
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.inner.heads().await
    }
}

#[cfg(test)]
mod tests;
