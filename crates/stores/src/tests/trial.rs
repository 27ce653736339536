//! The trial finds out engines that are no locks.

use super::fault::{Fault, Faulty};
use super::world::World;
use crate::{Expect, Object, Objects, Refused, Tag, open};
use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;
use std::sync::Arc;

/// What a broken engine does not look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignores {
    Absence,
    Tags,
    Both,
    /// Takes the write and shows the old value for ever.
    Writes,
}

struct Broken {
    world: World,
    ignores: Ignores,
}

#[async_trait]
impl Objects for Broken {
    fn name(&self) -> String {
        "the broken engine".to_owned()
    }

    fn chunk_bytes(&self) -> usize {
        1
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError> {
        self.world.get(name).await
    }

    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused> {
        let ignored = match (self.ignores, expect) {
            (Ignores::Both, _) | (Ignores::Absence, Expect::Absent) | (Ignores::Tags, Expect::Tagged(_)) => true,
            (Ignores::Writes, Expect::Tagged(tag)) => return Ok(tag.clone()),
            _ => false,
        };
        if !ignored {
            return self.world.put(name, body, expect).await;
        }
        let found = self.world.get(name).await.map_err(Refused::Unclear)?;
        let expect = found.map_or(Expect::Absent, |o| Expect::Tagged(o.tag));
        self.world.put(name, body, &expect).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        self.world.list(folder).await
    }

    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.world.remove(name).await
    }
}

#[tokio::test]
async fn an_engine_that_ignores_a_condition_is_refused() {
    for ignores in [Ignores::Absence, Ignores::Tags, Ignores::Both, Ignores::Writes] {
        let world = World::default();
        let error = open(Arc::new(Broken { world: world.clone(), ignores })).await.map(|_| ()).unwrap_err();
        assert!(matches!(error, StorageError::Unconditional { .. }), "{ignores:?}: {error:?}");
        assert_eq!(error.code(), "PL-0505");
        assert_eq!(world.list("trial").await.unwrap(), [], "the trial leaves nothing");
    }
}

#[tokio::test]
async fn an_engine_that_honours_them_is_taken_and_left_empty() {
    let world = World::default();
    open(Arc::new(world.clone())).await.map(|_| ()).unwrap();
    assert_eq!(world.list("trial").await.unwrap(), []);
}

/// An answer that was lost says nothing about conditions: refusing the engine would send its owner looking for another.
#[tokio::test]
async fn a_client_that_asks_again_by_itself_is_no_reason_to_refuse_the_engine() {
    let objects = Faulty::default();
    objects.next(Fault::AskedAgain);
    objects.next(Fault::AskedAgain);
    objects.next(Fault::AskedAgain);
    open(Arc::new(objects.clone())).await.map(|_| ()).unwrap();
    assert_eq!(objects.world.list("trial").await.unwrap(), []);
}
