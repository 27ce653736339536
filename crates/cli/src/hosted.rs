//! A controller inside another program, which decides when it runs and for how long: what `pilotlight-lambda` is made of.
//!
//! Border: the very parts of `pilotlight serve`. Only where it listens, where it keeps what need not last, and when it ends
//! are the host's; nothing of it is read from the plan's `controller.listen`, `url`, `tls`, `members`.

use crate::command::check::{self, CheckError};
use crate::command::log_to_stderr;
use crate::connect;
use crate::error::CliError;
use crate::wiring::controller::ledger;
use crate::wiring::store::{self, Opened};
use crate::wiring::term::{Kept, assemble, try_wiring};
use pilotlight_core::plan::{Member, Plan};
use pilotlight_driver::clock::SystemClock;
use pilotlight_driver::guard::Ledger;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::Store;
use pilotlight_engine::{Archive, RunSummary};
use pilotlight_server::{Bounds, ControllerParts, Door, Listen, Orders, Standing, Tokens};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Why there is no controller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// A code of `pilotlight explain`.
    pub code: String,
    /// What happened, with its causes.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl From<CliError> for Problem {
    fn from(e: CliError) -> Self {
        Self { code: e.catalogued(), message: format!("{:#}", e.cause), hint: e.hint.unwrap_or_default() }
    }
}

/// Logs to stderr, as the long-running verbs do.
pub fn log() {
    log_to_stderr();
}

/// Reads a plan; of its faults the first is told, and how many there are.
pub fn read_plan(file: &Path) -> Result<Plan, Problem> {
    check::plan(file).map_err(|e| {
        let code = e.code().to_string();
        let place = |f: &pilotlight_core::plan::Fault| format!("{}:{}:{}: {}", f.file, f.line, f.column, f.message);
        let (message, hint) = match &e {
            CheckError::Unreadable { cause, .. } => (format!("{e}: {cause}"), "is it beside the program?".to_owned()),
            CheckError::Faulty { faults, .. } => {
                let first = faults.iter().next();
                let message = format!("{e}; the first: {}", first.map(place).unwrap_or_default());
                (message, first.map(|f| f.hint.clone()).filter(|h| !h.is_empty()).unwrap_or(ASK_CHECK.to_owned()))
            }
        };
        Problem { code, message, hint }
    })
}

const ASK_CHECK: &str = "`pilotlight check` shows every fault with its place";

/// What the terms of a controller share, from one life of it to the next.
pub struct Hosted {
    plan: Arc<Plan>,
    member: Member,
    opened: Arc<Opened>,
    ledger: Arc<Ledger>,
    token: String,
    archive: Archive,
}

impl Hosted {
    /// Opens the plan's store and tries it. In the folder `state` it keeps what need not outlive the machine.
    pub async fn open(plan: Plan, state: &Path) -> Result<Self, Problem> {
        let member = Member { state: state.to_owned(), ..plan.controller.members[0].clone() };
        let token = connect::secret(&plan.controller.token)?;
        std::fs::create_dir_all(state).map_err(CliError::from)?;
        let opened = Arc::new(store::open(&plan, &member).await?);
        let ledger = ledger(state)?;
        try_wiring(&plan, &ledger)?;
        Ok(Self { plan: Arc::new(plan), member, opened, ledger, token, archive: Archive::default() })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// What its controllers share.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.opened.store
    }

    /// The runs in the journal, without a controller.
    pub async fn runs(&self) -> Result<Vec<RunSummary>, StorageError> {
        self.archive.runs(&*self.opened.journal).await
    }

    /// What opens its API.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A controller that takes part in the lead until `shutdown`. `name` is for people.
    pub fn controller(
        &self,
        name: &str,
        orders: Orders,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> ControllerParts {
        let member = Member { name: name.to_owned(), ..self.member.clone() };
        let standing = Standing {
            name: name.to_owned(),
            url: String::new(),
            store: Some(self.opened.store.clone()),
            lease: self.plan.leader_lease(),
            hold: self.plan.hold_file(&member),
        };
        let (plan, opened, ledger) = (self.plan.clone(), self.opened.clone(), self.ledger.clone());
        ControllerParts {
            clock: Arc::new(SystemClock),
            door: Door {
                listen: Listen::On(listener),
                tls: None,
                tokens: Tokens::one(self.token.clone()),
                bounds: Bounds::default(),
            },
            standing,
            assemble: assemble(Kept { plan, member, opened, ledger, recording: None, orders }),
            shutdown,
            plan: self.plan.clone(),
        }
    }
}
