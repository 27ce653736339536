//! A controller without its doors: everything that hears, looks, decides and walks, and no HTTP. For simulations, which
//! carry the messages of agents and people themselves.

use crate::api::Refusal;
use crate::api::view::{MoveReply, MoveRequest};
use crate::desk::Desk;
use crate::hub::Unwelcome;
use crate::serve::{ServerParts, spawn, take_up};
use crate::{PortLook, moves};
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{Heartbeat, HeartbeatReply, TaskResult, WorkReply, WorkRequest};
use pilotlight_driver::clock::Clock;
use pilotlight_engine::Engine;
use pilotlight_engine::storage::StorageError;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// See the module. Clones are one controller.
#[derive(Clone)]
pub struct Offstage {
    desk: Arc<Desk>,
    port_look: Arc<dyn PortLook>,
}

impl Offstage {
    /// Puts one term of it together; nothing runs yet.
    pub fn new(plan: Arc<Plan>, clock: Arc<dyn Clock>, parts: ServerParts, shutdown: CancellationToken) -> Self {
        let port_look = parts.port_look.clone();
        let hold = plan.controller.members.first().map(|member| plan.hold_file(member)).unwrap_or_default();
        Self { desk: Arc::new(Desk::new(plan, clock, hold, parts, shutdown)), port_look }
    }

    /// Takes up unfinished runs and decides until shutdown.
    pub async fn run(&self) -> Result<(), StorageError> {
        take_up(&self.desk).await?;
        let mut tasks = JoinSet::new();
        spawn(&mut tasks, &self.desk, self.port_look.clone());
        tasks.join_all().await;
        Ok(())
    }

    /// An agent is heard.
    pub fn heartbeat(&self, heartbeat: Heartbeat) -> Result<HeartbeatReply, Unwelcome> {
        self.desk.heard(heartbeat)
    }

    /// An agent asks for work.
    pub async fn work(&self, request: &WorkRequest) -> Result<WorkReply, Unwelcome> {
        self.desk.work(request).await
    }

    /// A task of an agent has ended.
    pub fn result(&self, result: TaskResult) -> Result<(), Unwelcome> {
        self.desk.hub.result(result)
    }

    /// A person asks for a move.
    pub async fn request(&self, request: MoveRequest) -> Result<MoveReply, Refusal> {
        moves::request(&self.desk, request).await
    }

    /// The engine, for people who steer runs.
    pub fn engine(&self) -> &Engine {
        &self.desk.engine
    }
}
