//! Writes what a turn of the executor has brought about, and finds out whether the run is still ours.

use super::{Asked, Executor, LetGo, Refused};
use crate::journal::AppendError;
use crate::storage::StorageError;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use std::sync::Arc;
use std::time::Duration;

/// How often a journal that cannot be written is tried again: soon after a person has made room, without noise before.
const TRY_AGAIN: Duration = Duration::from_millis(500);

impl Executor {
    /// Appends the queue and returns when it is durable. Meanwhile nothing else of this run happens.
    pub(super) async fn commit(&mut self) -> Result<(), LetGo> {
        if self.queue.is_empty() {
            return Ok(());
        }
        let queue = std::mem::take(&mut self.queue);
        let last = self.live.state().seq();
        let first = last + 1 - queue.len() as u64;
        loop {
            let appended = {
                let stop = self.stop.clone();
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(LetGo::Stopped),
                    appended = self.parts.journal.append(&self.run, first, queue.clone()) => appended,
                }
            };
            match appended {
                Ok(()) => break,
                Err(AppendError::Taken { seq, .. }) => match self.is_ours(first, &queue).await {
                    Ok(true) => break,
                    Ok(false) => {
                        tracing::error!(run = %self.run, seq, "another controller drives the run; letting go of it");
                        return Err(LetGo::Deposed);
                    }
                    // Whose it is is not known. Who let go now might be the only one to drive it.
                    Err(StorageError::Closed) => return Err(LetGo::Stopped),
                    Err(why) => self.stall(why).await?,
                },
                Err(AppendError::Storage(StorageError::Closed)) => return Err(LetGo::Stopped),
                Err(AppendError::Storage(why)) => self.stall(why).await?,
            }
        }
        self.live.set_stalled(None);
        self.durable.raise(last);
        self.publish(first, queue);
        for reply in self.replies.drain(..) {
            let _ = reply.send(Ok(()));
        }
        Ok(())
    }

    /// An append that was reported as failed may have been kept. If exactly our records stand there, it was.
    async fn is_ours(&self, first: u64, queue: &[(Wall, Event)]) -> Result<bool, StorageError> {
        let found = self.parts.journal.read(&self.run, first, queue.len() + 1).await?;
        let same = |(r, (at, event)): (&Record, &(Wall, Event))| r.at == *at && r.event == *event;
        Ok(found.len() == queue.len() && found.iter().zip(queue).all(same))
    }

    /// Waits a while before the next try, and tells whoever asks.
    async fn stall(&mut self, why: StorageError) -> Result<(), LetGo> {
        if self.live.stalled().is_none() {
            tracing::error!(run = %self.run, error = %why, "the journal cannot be written; nothing new starts");
        }
        self.live.set_stalled(Some(why.clone()));
        let again = self.parts.clock.sleep(TRY_AGAIN);
        tokio::pin!(again);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(LetGo::Stopped),
                Some(Asked { reply, .. }) = self.asked.recv() => drop(reply.send(Err(Refused::Stalled(why.clone())))),
                () = &mut again => return Ok(()),
            }
        }
    }

    fn publish(&self, first: u64, queue: Vec<(Wall, Event)>) {
        if self.parts.records.receiver_count() == 0 {
            return;
        }
        for ((at, event), seq) in queue.into_iter().zip(first..) {
            let _ = self.parts.records.send((self.run.clone(), Arc::new(Record { seq, at, event })));
        }
    }
}
