//! A controller without its doors: everything that stands by, leads, hears, looks, decides and walks, and no HTTP. For
//! simulations, which carry the messages of agents and people themselves.

use crate::api::Refusal;
use crate::api::view::{MoveReply, MoveRequest};
use crate::front::{Front, Leading};
use crate::hub::Unwelcome;
use crate::serve::{Assemble, ServeError, Standing, work_by_turns};
use crate::tokens::Tokens;
use crate::{behind, moves};
use pilotlight_core::id::Unit;
use pilotlight_core::leader::Term;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TaskResult, WorkReply, WorkRequest};
use pilotlight_driver::clock::Clock;
use pilotlight_engine::Engine;
use pilotlight_engine::store::UnitsError;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// See the module. Clones are one controller.
#[derive(Clone)]
pub struct Offstage(Arc<Front>);

/// What a controller does in one term.
#[derive(Clone)]
pub struct OffstageTerm(Arc<Leading>);

impl Offstage {
    /// A controller that does nothing yet.
    pub fn new(plan: Arc<Plan>, clock: Arc<dyn Clock>, standing: &Standing) -> Self {
        Self(Arc::new(Front::new(plan, clock, Tokens::one(String::new()), standing)))
    }

    /// Stands by, leads, takes up unfinished runs and decides, until shutdown.
    pub async fn run(
        &self,
        standing: Standing,
        assemble: &Assemble,
        shutdown: &CancellationToken,
    ) -> Result<(), ServeError> {
        work_by_turns(&self.0, standing, assemble, shutdown).await
    }

    /// What it does now, if it leads.
    pub fn leading(&self) -> Option<OffstageTerm> {
        self.0.leading().map(OffstageTerm)
    }
}

impl OffstageTerm {
    /// The term that its answers name.
    pub fn term(&self) -> Term {
        self.0.lead.term()
    }

    /// An agent is heard.
    pub fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatReply, Unwelcome> {
        self.0.desk.heard(heartbeat)
    }

    /// An agent asks for work.
    pub async fn work(&self, request: &WorkRequest) -> Result<WorkReply, Unwelcome> {
        self.0.desk.work(request).await
    }

    /// A task of an agent has ended.
    pub fn result(&self, result: TaskResult) -> Result<(), Unwelcome> {
        self.0.desk.hub.result(result)
    }

    /// A person asks for a move.
    pub async fn request(&self, request: MoveRequest) -> Result<MoveReply, Refusal> {
        moves::request(&self.0.desk, request).await
    }

    /// A person says that this is the store to go on with.
    pub async fn raise_epoch(&self, unit: &Unit, by: &str) -> Result<(), UnitsError> {
        behind::raise(&self.0.desk, unit, by).await.map(|_| ())
    }

    /// The engine, for people who steer runs.
    pub fn engine(&self) -> &Engine {
        &self.0.desk.engine
    }
}
