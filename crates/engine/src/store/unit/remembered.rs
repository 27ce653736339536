//! What leaders keep of a unit for each other, beside its record: it changes by itself while nothing of the unit does, and a
//! run must not lose a race against it.

use super::{Units, UnitsError};
use crate::storage::StorageError;
use crate::store::{PutError, Versioned};
use pilotlight_core::id::Unit;
use pilotlight_core::remembered::Remembered;

impl Units {
    /// What was kept last; nothing where nobody has kept anything.
    pub async fn remembered(&self, unit: &Unit) -> Result<Remembered, StorageError> {
        let found = self.store.get(&key(unit)).await?;
        found.map_or(Ok(Remembered::default()), |found| read(unit, &found))
    }

    /// Keeps it, unless a leader of a newer term has kept something. Returns what the store has now.
    pub async fn remember(&self, unit: &Unit, newest: &Remembered) -> Result<Remembered, UnitsError> {
        loop {
            let found = self.store.get(&key(unit)).await?;
            // What cannot be read bars nothing: it is replaced.
            let kept = found.as_ref().and_then(|found| read(unit, found).ok()).unwrap_or_default();
            if kept.term > self.term {
                return Err(UnitsError::Deposed { unit: unit.clone(), term: kept.term });
            }
            let next = Remembered { term: self.term, ..newest.clone().over(&kept) };
            let value = serde_json::to_vec(&next).expect("names, numbers and times");
            match self.store.put(&key(unit), value, found.map(|found| found.version)).await {
                Ok(_) => return Ok(next),
                Err(PutError::Changed { .. }) => {}
                Err(PutError::Storage(e)) => return Err(e.into()),
            }
        }
    }
}

fn key(unit: &Unit) -> String {
    format!("remembered/{unit}")
}

fn read(unit: &Unit, found: &Versioned) -> Result<Remembered, StorageError> {
    serde_json::from_slice(&found.value).map_err(|e| StorageError::Damaged {
        file: "store".into(),
        place: format!("{}, version {}", key(unit), found.version),
        why: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{MemoryStore, Store};
    use pilotlight_core::leader::Term;
    use pilotlight_core::remembered::CoolDown;
    use std::sync::Arc;
    use std::time::Duration;

    fn counted(run: &str, seconds: u64) -> Remembered {
        let cool_down = CoolDown { run: run.into(), counted: Duration::from_secs(seconds), ended: None };
        Remembered { cool_down: Some(cool_down), ..Remembered::default() }
    }

    fn seconds(kept: &Remembered) -> Option<u64> {
        kept.cool_down.as_ref().map(|c| c.counted.as_secs())
    }

    #[tokio::test]
    async fn the_next_leader_finds_what_was_kept_and_the_one_before_changes_it_no_more() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (unit, of) = (Unit::from("payments"), |term| Units::new(store.clone(), Term(term)));
        assert_eq!(of(1).remembered(&unit).await.unwrap(), Remembered::default());
        of(1).remember(&unit, &counted("r", 20)).await.unwrap();
        assert_eq!(seconds(&of(2).remembered(&unit).await.unwrap()), Some(20));
        let kept = of(2).remember(&unit, &counted("r", 10)).await.unwrap();
        assert_eq!((seconds(&kept), kept.term), (Some(20), Term(2)), "what has passed has passed");
        let late = of(1).remember(&unit, &counted("old", 3_000)).await;
        assert!(matches!(late, Err(UnitsError::Deposed { term: Term(2), .. })), "{late:?}");
        assert_eq!(of(2).remembered(&unit).await.unwrap(), kept);
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_told_and_replaced() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let (unit, units) = (Unit::from("payments"), Units::new(store.clone(), Term(1)));
        store.put("remembered/payments", b"{\"term\":".to_vec(), None).await.unwrap();
        let read = units.remembered(&unit).await;
        assert!(matches!(read, Err(StorageError::Damaged { .. })), "{read:?}");
        units.remember(&unit, &counted("r", 5)).await.unwrap();
        assert_eq!(seconds(&units.remembered(&unit).await.unwrap()), Some(5));
    }
}
