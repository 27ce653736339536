//! Stands between engine and drivers and looks into the journal whenever an effect passes: its intent must be there.

use crate::journal::Journal;
use async_trait::async_trait;
use pilotlight_core::effect::{Descriptor, Effect};
use pilotlight_core::id::{EffectKey, RunId};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome};
use pilotlight_core::run::{Event, Record};
use pilotlight_driver::{Context, Driver};
use std::sync::{Arc, Mutex};

/// What was sent without an intent, over all lives of a stage.
#[derive(Default, Clone)]
pub(super) struct Witness(Arc<Mutex<Vec<String>>>);

impl Witness {
    pub(super) fn complaints(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub(super) fn before(&self, driver: Arc<dyn Driver>, journal: Arc<dyn Journal>) -> Watched {
        Watched { driver, journal, witness: self.clone() }
    }
}

pub(super) struct Watched {
    driver: Arc<dyn Driver>,
    journal: Arc<dyn Journal>,
    witness: Witness,
}

impl Watched {
    async fn look(&self, key: &EffectKey) {
        let run = RunId::from(key.as_str().split('/').next().unwrap());
        // A part of an effect is covered by the intent of the whole.
        let parts: Vec<&str> = key.as_str().split('/').map(|part| part.split('.').next().unwrap()).collect();
        let whole = parts.join("/");
        let records = self.journal.read(&run, 1, usize::MAX).await.unwrap();
        let intends = |record: &Record| match &record.event {
            Event::StepStarted { step, attempt } => EffectKey::new(&run, step, *attempt).as_str() == whole,
            Event::UndoStarted { step, attempt } => EffectKey::undo(&run, step, *attempt).as_str() == whole,
            _ => false,
        };
        if !records.iter().any(intends) {
            self.witness.0.lock().unwrap().push(format!("{key} was sent, its intent is not in the journal"));
        }
    }
}

#[async_trait]
impl Driver for Watched {
    fn describe(&self) -> Descriptor {
        self.driver.describe()
    }
    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        self.driver.observe(target).await
    }
    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        self.driver.preflight(effect).await
    }
    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.look(&context.key).await;
        self.driver.apply(effect, context).await
    }
    async fn watch(&self, target: &Target) {
        self.driver.watch(target).await;
    }
    async fn resume(&self, handle: &str, context: &Context) -> Result<Outcome, Failure> {
        self.driver.resume(handle, context).await
    }
}
