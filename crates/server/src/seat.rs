//! Who leads, where several controllers share a store: standing by, taking the lead, keeping it, giving it up.
//!
//! Border: the loop, the store and the clock; the arithmetic is in [`pilotlight_core::leader`], what the lead allows in
//! [`pilotlight_engine::lead`].
//!
//! Invariant: a lead counts from before the put that won or renewed it was sent, so an answer that comes late, or a pause
//! of the whole process, makes it shorter and never longer.

use crate::front::Front;
use crate::hold::HoldWish;
use pilotlight_core::code;
use pilotlight_core::leader::{Challenger, LeaderRecord, look_every, renew_every};
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::clock::Clock;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{PutError, Store, Versioned};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where the record of the lead is.
const KEY: &str = "leader";

/// Giving the lead up may take so long; without it the others wait for its end.
const RESIGN: Duration = Duration::from_millis(500);

/// What a controller needs to take part.
#[derive(Clone)]
pub(crate) struct Seat {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) lease: Duration,
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) front: Arc<Front>,
    pub(crate) shutdown: CancellationToken,
}

/// A lead with the version of its record.
pub(crate) struct Won {
    pub(crate) lead: Lead,
    version: u64,
    record: LeaderRecord,
}

impl Seat {
    /// Stands by until it leads; `None` at shutdown.
    pub(crate) async fn win(&self) -> Option<Won> {
        let mut challenger = Challenger::new(self.lease);
        let mut read = None;
        // At shutdown the lead that was given up a moment ago is free: it must not be taken again.
        while !self.shutdown.is_cancelled() {
            let may = self.look(&mut challenger, &mut read).await;
            if let Some(version) = may
                && let Some(won) = self.challenge(&challenger, version).await
            {
                return Some(won);
            }
            let now = self.clock.mono();
            let left = challenger.tries_at().map(|at| at.since(now)).filter(|left| !left.is_zero());
            let pause = look_every(self.lease).min(left.unwrap_or(Duration::MAX));
            tokio::select! {
                biased;
                () = self.clock.sleep(pause) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
        None
    }

    /// Whoever leads from a store takes every unit and run of it: those of another application are not ours to move.
    fn not_ours(&self, record: &LeaderRecord) -> Option<String> {
        let own = &self.front.plan.application;
        let other = record.of_another(own)?;
        Some(format!(
            "the store is of application {other}, led by {} at {}, and this controller is of {own}: each needs a store, or a \
             prefix in it, of its own",
            record.name, record.url
        ))
    }

    /// Reads the record; says which version it may replace now (`None` inside: nothing is there).
    async fn look(&self, challenger: &mut Challenger, before: &mut Option<Read>) -> Option<Option<u64>> {
        let found = self.find().await;
        let now = self.clock.mono();
        match found.and_then(|found| found.map(|found| understood(before, found)).transpose()) {
            Ok(Some((version, record))) => {
                if let Some(why) = self.not_ours(record) {
                    self.front.knows_trouble(why);
                    return None;
                }
                challenger.saw(version, record, now);
                self.front.knows(Ok(challenger.leader()));
                challenger.may_replace(now)
            }
            Ok(None) => {
                if challenger.saw_none(now) {
                    let wait = show_duration(challenger.tries_at().map_or(Duration::ZERO, |at| at.since(now)));
                    tracing::info!(
                        "nobody has led from this store, or it was emptied: waits {wait}, a lead, before it takes it"
                    );
                }
                self.front.knows(Ok(None));
                challenger.may_replace(now)
            }
            Err(why) => {
                self.front.knows(Err(why.to_string()));
                None
            }
        }
    }

    async fn find(&self) -> Result<Option<Versioned>, StorageError> {
        self.store.get(KEY).await
    }

    async fn read(&self) -> Result<Option<(u64, LeaderRecord)>, StorageError> {
        let found = self.find().await?;
        found.map(|found| Ok((found.version, understand(&found)?))).transpose()
    }

    async fn challenge(&self, challenger: &Challenger, replaces: Option<u64>) -> Option<Won> {
        let record = LeaderRecord {
            term: challenger.next_term().max(self.front.terms.to_pass().next()),
            name: self.name.clone(),
            url: self.url.clone(),
            application: Some(self.front.plan.application.clone()),
            lease: self.lease,
            resigned: false,
            hold: challenger.hold().cloned(),
        };
        let sent = self.clock.mono();
        match self.put(&record, replaces).await {
            Ok(version) => {
                tracing::info!(term = %record.term, "this controller leads now");
                self.front.knows(Ok(Some(&record)));
                let lead = Lead::won(record.term, Arc::clone(&self.clock), sent, self.lease);
                Some(Won { lead, version, record })
            }
            Err(PutError::Changed { .. }) => None,
            Err(PutError::Storage(why)) => {
                tracing::warn!("the lead could not be taken: {why}");
                None
            }
        }
    }

    async fn put(&self, record: &LeaderRecord, replaces: Option<u64>) -> Result<u64, PutError> {
        let value = serde_json::to_vec(record).expect("a leader's record has only names and numbers");
        self.store.put(KEY, value, replaces).await
    }

    /// Renews the lead until it is lost, which ends the term through `over`, or until `done` says that nothing of the term
    /// runs any more; then it is given up.
    ///
    /// A person who puts this store over another's term ends the lead as well: everything of a term is made anew for the next.
    /// What is left in the record says that the newer term was, so whoever leads next passes it.
    ///
    /// A person's hold is written with a renewal that is made for it. One that got no answer is written again with the next.
    pub(crate) async fn keep(&self, won: Won, over: &CancellationToken, done: &CancellationToken) {
        let Won { lead, mut version, mut record } = won;
        loop {
            let wish = tokio::select! {
                biased;
                () = self.clock.sleep(renew_every(self.lease)) => None,
                () = done.cancelled() => {
                    lead.end();
                    return self.resign(record, version).await;
                }
                heard = self.front.terms.wants_more_than(record.term) => {
                    let code = code::STORE_BEHIND;
                    tracing::warn!(term = %record.term, "{code}: agents have heard of term {heard}; gives up the lead for one past it");
                    lead.end();
                    over.cancel();
                    done.cancelled().await;
                    return self.resign(LeaderRecord { term: heard, ..record }, version).await;
                }
                wish = self.front.holds.next_wish() => Some(wish),
            };
            let asked = wish.filter(|wish| !wish.reply.is_closed()).map(|HoldWish { hold, reply }| {
                record.hold = hold;
                reply
            });
            let sent = self.clock.mono();
            let renewed = tokio::select! {
                biased;
                renewed = self.renew(&record, version) => renewed,
                () = self.until(lead.valid_until()) => Err(Lost::Silence("no renewal came through in time".into())),
            };
            if renewed.is_ok() {
                // Before the reply: whoever is answered looks at once.
                self.front.knows(Ok(Some(&record)));
            }
            if let Some(reply) = asked {
                // A person who does not wait any more looks at `status`.
                let _ = reply.send(renewed.as_ref().map(|_| ()).map_err(ToString::to_string));
            }
            match renewed {
                Ok(newest) => {
                    version = newest;
                    lead.renewed(sent, self.lease);
                }
                Err(Lost::Silence(why)) if lead.is_valid() => {
                    self.front.knows(Err(why));
                }
                Err(lost) => {
                    tracing::warn!(term = %record.term, "this controller leads no more: {lost}");
                    break;
                }
            }
        }
        lead.end();
        over.cancel();
    }

    /// A renewal whose answer was lost twice may have changed the version: the record says whose it is.
    async fn renew(&self, record: &LeaderRecord, version: u64) -> Result<u64, Lost> {
        match self.put(record, Some(version)).await {
            Ok(version) => Ok(version),
            Err(PutError::Storage(why)) => Err(Lost::Silence(why.to_string())),
            Err(PutError::Changed { .. }) => match self.read().await {
                Ok(Some((version, found))) if found.is_of(record) => {
                    self.put(record, Some(version)).await.map_err(|e| Lost::Silence(e.to_string()))
                }
                Ok(found) => Err(Lost::To(found.map_or_else(|| "nobody".to_owned(), |(_, record)| record.name))),
                Err(why) => Err(Lost::Silence(why.to_string())),
            },
        }
    }

    async fn until(&self, end: Option<Mono>) {
        if let Some(end) = end {
            self.clock.sleep(end.since(self.clock.mono())).await;
        }
    }

    /// The others need not wait. Called when nothing is granted or sent any more.
    async fn resign(&self, record: LeaderRecord, version: u64) {
        let resigned = LeaderRecord { resigned: true, ..record };
        let put = tokio::select! {
            biased;
            put = self.put(&resigned, Some(version)) => put.is_ok(),
            () = self.clock.sleep(RESIGN) => false,
        };
        if put {
            tracing::info!(term = %resigned.term, "gave up the lead");
        }
    }
}

/// A record as it lay in the store, and what it says.
struct Read {
    value: Vec<u8>,
    record: LeaderRecord,
}

/// Whoever stands by looks many times between two renewals: the same bytes say the same.
fn understood(before: &mut Option<Read>, found: Versioned) -> Result<(u64, &LeaderRecord), StorageError> {
    if before.as_ref().is_none_or(|before| before.value != found.value) {
        *before = Some(Read { record: understand(&found)?, value: found.value });
    }
    let read = before.as_ref().expect("it was read before or is now");
    Ok((found.version, &read.record))
}

fn understand(found: &Versioned) -> Result<LeaderRecord, StorageError> {
    serde_json::from_slice(&found.value).map_err(|e| StorageError::Damaged {
        file: "store".into(),
        place: format!("{KEY}, version {}", found.version),
        why: e.to_string(),
    })
}

/// Why a lead was not renewed.
#[derive(Debug, Clone, thiserror::Error)]
enum Lost {
    #[error("{0} leads")]
    To(String),
    #[error("{0}")]
    Silence(String),
}
