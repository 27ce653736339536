//! Objects in memory: what the other engines are held against, and the ground for faults.

use crate::{Expect, Object, Objects, Refused, Tag};
use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Clones share the objects.
#[derive(Debug, Clone, Default)]
pub(super) struct World(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    objects: BTreeMap<String, Object>,
    puts: u64,
}

#[async_trait]
impl Objects for World {
    fn name(&self) -> String {
        "the world in memory".to_owned()
    }

    fn chunk_bytes(&self) -> usize {
        4 * 1024
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError> {
        Ok(self.0.lock().unwrap().objects.get(name).cloned())
    }

    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused> {
        let mut inner = self.0.lock().unwrap();
        let found = inner.objects.get(name).map_or(Expect::Absent, |o| Expect::Tagged(o.tag.clone()));
        if found != *expect {
            return Err(Refused::Changed);
        }
        inner.puts += 1;
        let tag = Tag(inner.puts.to_string());
        inner.objects.insert(name.to_owned(), Object { tag: tag.clone(), body });
        Ok(tag)
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        let prefix = format!("{folder}/");
        let inner = self.0.lock().unwrap();
        let leaf = |(name, o): (&String, &Object)| Some((name.strip_prefix(&prefix)?.to_owned(), o.tag.clone()));
        Ok(inner.objects.iter().filter_map(leaf).collect())
    }

    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.0.lock().unwrap().objects.remove(name);
        Ok(())
    }
}

#[tokio::test]
async fn the_world_in_memory_passes_the_batteries() {
    super::batteries(|| async { Arc::new(World::default()) as Arc<dyn Objects> }).await;
}
