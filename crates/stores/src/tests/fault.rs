//! An engine that goes wrong on order.

use super::world::World;
use crate::{Expect, Object, Objects, Refused, Tag};
use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// What happens to one put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is done, and the answer is lost.
    AnswerLost,
    /// It is done, the answer is lost, the engine's client asks again and is told "changed".
    AskedAgain,
    /// It is not done, and nobody says so.
    RequestLost,
    /// It is done, the answer is lost, and somebody puts the next value before anybody looks.
    OvertakenAfterLoss,
}

/// The world behind a line that breaks.
#[derive(Clone, Default)]
pub(super) struct Faulty {
    pub(super) world: World,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Faulty {
    /// The next put goes wrong so.
    pub(super) fn next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }
}

fn silence() -> StorageError {
    StorageError::Unreachable { what: "the world in memory".to_owned(), why: "the line broke".to_owned() }
}

#[async_trait]
impl Objects for Faulty {
    fn name(&self) -> String {
        self.world.name()
    }

    fn chunk_bytes(&self) -> usize {
        self.world.chunk_bytes()
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError> {
        self.world.get(name).await
    }

    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused> {
        let fault = self.faults.lock().unwrap().pop_front();
        if fault == Some(Fault::RequestLost) {
            return Err(Refused::Unclear(silence()));
        }
        let tag = self.world.put(name, body, expect).await?;
        match fault {
            None => Ok(tag),
            Some(Fault::AskedAgain) => Err(Refused::Changed),
            Some(Fault::OvertakenAfterLoss) => {
                overtake(&self.world, name).await;
                Err(Refused::Unclear(silence()))
            }
            Some(_) => Err(Refused::Unclear(silence())),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        self.world.list(folder).await
    }

    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.world.remove(name).await
    }
}

/// Another controller puts the next value.
async fn overtake(world: &World, name: &str) {
    use crate::shelf::Shelf;
    let other = Shelf(Arc::new(world.clone()));
    let found = other.get(name).await.unwrap().unwrap();
    let next = crate::envelope::Envelope::next(Some(&found.envelope), b"theirs".to_vec());
    other.swap(name, Some(&found.tag), &next).await.unwrap();
}
