//! A journal in which an ended run cannot be read any more.

use super::lab::Lab;
use crate::api::view::{AcknowledgeReply, AcknowledgeRequest, DecisionView, StatusView};
use async_trait::async_trait;
use pilotlight_core::id::RunId;
use pilotlight_core::placement::Verb;
use pilotlight_core::run::{Event, Record};
use pilotlight_core::time::Wall;
use pilotlight_engine::journal::{AppendError, Journal};
use pilotlight_engine::storage::StorageError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of the records of each failover.
#[derive(Clone, Default)]
pub(super) struct Damage {
    damaged: Arc<AtomicBool>,
    gone: Arc<AtomicBool>,
}

impl Damage {
    /// While it is set, the middle is damaged: the first and the last record can be read, the whole cannot.
    pub(super) fn set(&self, damaged: bool) {
        self.damaged.store(damaged, Ordering::SeqCst);
    }

    /// While it is set, there is none, as where a bucket's lifecycle rule has removed them.
    pub(super) fn set_gone(&self, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
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
        if self.damage.gone.load(Ordering::SeqCst) && run.as_str().starts_with("failover") {
            return Ok(Vec::new());
        }
        if self.damage.damaged.load(Ordering::SeqCst) && run.as_str().starts_with("failover") && limit > 1 {
            let (file, place) = ("pilotlight.db".into(), format!("run {run}, record 7"));
            return Err(StorageError::Damaged { file, place, why: "its checksum is another".to_owned() });
        }
        self.journal.read(run, from, limit).await
    }

    async fn heads(&self) -> Result<Vec<(RunId, u64)>, StorageError> {
        let mut heads = self.journal.heads().await?;
        heads.retain(|(run, _)| !self.damage.gone.load(Ordering::SeqCst) || !run.as_str().starts_with("failover"));
        Ok(heads)
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

#[tokio::test(flavor = "multi_thread")]
async fn an_automatic_failover_whose_records_are_gone_does_not_count_as_one_that_ended_well() {
    let mut lab = Lab::up(|p| p.policy.cool_down = std::time::Duration::ZERO).await;
    lab.lose("east");
    assert_eq!(lab.until_ended(1).await, [Verb::Failover]);
    lab.until("west is well", |s| s.is_well("west")).await;
    lab.kill_controller();
    lab.damaged.set_gone(true);
    lab.world.heal("east");
    lab.start_agent("east");
    lab.start_controller();
    let says_gone = |s: &StatusView| match &s.units[0].decision {
        DecisionView::Hold { why, code } => {
            code.as_deref() == Some("PL-0502") && why.contains("no record of run failover")
        }
        DecisionView::Start { .. } => false,
    };
    let status = lab.until("nobody knows how it ended", |s| s.is("healthy") && says_gone(s)).await;
    let unit = status.units[0].unit.clone();
    let by = AcknowledgeRequest { by: "ada".to_owned(), raise_epoch: false };
    lab.send::<AcknowledgeReply>(&format!("/v1/units/{unit}/acknowledge"), &by).await.unwrap();
    lab.until("a person has looked", |s| s.is("healthy") && !says_gone(s)).await;
    lab.no_rule_was_broken();
}
