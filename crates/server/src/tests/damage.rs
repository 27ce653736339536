//! A journal in which an ended run cannot be read any more.

use super::lab::Lab;
use crate::api::view::{DecisionView, StatusView};
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::placement::Verb;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use pilotlight_engine::journal::{AppendError, Journal};
use pilotlight_engine::storage::StorageError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// While it is set, the middle of each failover is damaged: its first and its last record can be read, the whole cannot.
#[derive(Clone, Default)]
pub(super) struct Damage(Arc<AtomicBool>);

impl Damage {
    pub(super) fn set(&self, damaged: bool) {
        self.0.store(damaged, Ordering::SeqCst);
    }

    pub(super) fn over<J: Journal>(&self, journal: J) -> Damaged<J> {
        Damaged { journal, damage: self.clone() }
    }
}

pub(super) struct Damaged<J> {
    journal: J,
    damage: Damage,
}

#[async_trait]
impl<J: Journal> Journal for Damaged<J> {
    async fn append(&self, run: &RunId, first: u64, events: Vec<(Wall, Event)>) -> Result<(), AppendError> {
        self.journal.append(run, first, events).await
    }

    async fn read(&self, run: &RunId, from: u64, limit: usize) -> Result<Vec<Record>, StorageError> {
        if self.damage.0.load(Ordering::SeqCst) && run.as_str().starts_with("failover") && limit > 1 {
            let (file, place) = ("pilotlight.db".into(), format!("run {run}, record 7"));
            return Err(StorageError::Damaged { file, place, why: "its checksum is another".to_owned() });
        }
        self.journal.read(run, from, limit).await
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        self.journal.heads().await
    }
}

fn says_damaged(status: &StatusView) -> bool {
    match &status.units[0].decision {
        DecisionView::Hold { why, code } => code.as_deref() == Some("PL-0502") && why.contains("record 7"),
        DecisionView::Start { .. } => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_failover_that_cannot_be_read_is_a_reason_to_hold_that_status_shows() {
    let mut lab = Lab::up(|_| ()).await;
    lab.lose("east");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.kill_controller();
    lab.damaged.set(true);
    lab.start_controller();
    let status = lab.until("the damage is the reason to hold", says_damaged).await;
    assert!(status.is("healthy"), "{status:#?}");
    lab.damaged.set(false);
    lab.until("it was put back", |s| !says_damaged(s) && s.is("healthy")).await;
    lab.no_rule_was_broken();
}
