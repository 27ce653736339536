//! Runs a controller: listens, and works while it leads. The only one leads from its start to its end; one of several
//! stands by until it wins the lead, works for one term, and stands by again.
//!
//! Invariant: everything of a term is made anew for it and ends with it: what agents said to an earlier term is not known
//! to the next.

use crate::desk::Desk;
use crate::front::{self, Front};
use crate::hub::Hub;
use crate::looks;
use crate::orders::Orders;
use crate::recorder::RecordingTo;
use crate::seat::Seat;
use crate::tokens::Tokens;
use crate::{controller, notes, others, remembered, reports, traffic};
use pilotlight_core::code;
use pilotlight_core::effect::Descriptor;
use pilotlight_core::id::Component;
use pilotlight_core::plan::{Plan, Tls};
use pilotlight_door::{Bounds, Handle, RustlsConfig};
use pilotlight_driver::clock::{Clock, within};
use pilotlight_driver::port::PortLook;
use pilotlight_engine::Engine;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::Store;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Requests under way at the end get this long.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// Effects under way at the end of a term get this long.
const TERM_ENDS: Duration = Duration::from_secs(2);

/// What a term of a controller is made of.
pub struct ServerParts {
    /// Executes runs, keeps units, grants leases; does nothing once its lead is over.
    pub engine: Engine,
    /// What each component's driver says of itself.
    pub descriptors: BTreeMap<Component, Descriptor>,
    /// The agents; the same one the router's remote agents use.
    pub hub: Arc<Hub>,
    /// Dials ports.
    pub port_look: Arc<dyn PortLook>,
    /// Folder with one folder of reports per run.
    pub reports: Option<PathBuf>,
    /// Where what was seen and decided is kept.
    pub recording: Option<RecordingTo>,
    /// Standing orders, which others may give and take back meanwhile.
    pub orders: Orders,
    /// The lead that the engine was given.
    pub lead: Lead,
}

/// Makes the parts of a term.
pub type Assemble =
    Box<dyn Fn(Lead) -> Pin<Box<dyn Future<Output = Result<ServerParts, ServeError>> + Send>> + Send + Sync>;

/// Where a controller is found, whoever leads.
pub struct Door {
    /// Where to listen.
    pub listen: Listen,
    /// Certificate and key; without it plain HTTP.
    pub tls: Option<Tls>,
    /// Whose token opens what.
    pub tokens: Tokens,
    /// For how long, and from where, it bears connections.
    pub bounds: Bounds,
}

/// Who the controller is among several.
pub struct Standing {
    /// Its name.
    pub name: String,
    /// What agents and operators dial.
    pub url: String,
    /// What they share; `None` for the only one.
    pub store: Option<Arc<dyn Store>>,
    /// How long a lead is counted.
    pub lease: Duration,
    /// While this file is there, nothing starts by itself.
    pub hold: PathBuf,
}

/// A controller.
pub struct ControllerParts {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it is found.
    pub door: Door,
    /// Who it is.
    pub standing: Standing,
    /// Makes what works while it leads.
    pub assemble: Assemble,
    /// Ends the controller; runs stop between two records and are taken up by the next.
    pub shutdown: CancellationToken,
}

/// An address, or a socket that is open already.
pub enum Listen {
    /// Opened here.
    At(SocketAddr),
    /// Opened by the caller.
    On(TcpListener),
}

/// Why the controller did not start or did not stay.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// PL-0404
    #[error("{address} is in use by another process")]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// PL-0404
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// PL-0116
    #[error("cannot use certificate {certificate} with key {key}")]
    Tls {
        /// The file.
        certificate: PathBuf,
        /// The file.
        key: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// PL-0501 and following
    #[error("the unfinished runs cannot be read")]
    Storage(#[from] StorageError),
    /// What a term is made of cannot be made.
    #[error("the controller cannot be put together: {0}")]
    Parts(String),
    /// A task that must run for ever has ended.
    #[error("the controller's task `{0}` has ended")]
    TaskEnded(String),
}

impl ServeError {
    /// The page of `pilotlight explain`.
    pub fn code(&self) -> &'static str {
        match self {
            ServeError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrNotAvailable => {
                code::NOT_OUR_ADDRESS.as_str()
            }
            ServeError::PortInUse { .. } | ServeError::Listen { .. } => code::PORT_IN_USE.as_str(),
            ServeError::Tls { .. } => code::PLAN_TLS.as_str(),
            ServeError::Storage(e) => e.code(),
            ServeError::Parts(_) | ServeError::TaskEnded(_) => code::DEFECT.as_str(),
        }
    }
}

impl ServeError {
    /// What a person can do.
    pub fn hint(&self) -> &'static str {
        match self {
            ServeError::PortInUse { .. } => {
                "does a controller run here already? else choose another `controller.listen`"
            }
            ServeError::Listen { .. } => "is the address one of this machine, and may you use that port?",
            ServeError::Tls { .. } => {
                "look at `controller.tls` in the plan: are both PEM, and do they belong together?"
            }
            ServeError::Storage(e) => e.hint(),
            ServeError::Parts(_) => "it could be at the start: what has changed since in the plan's files?",
            ServeError::TaskEnded(_) => "start it again: it goes on with its runs; please report this",
        }
    }
}

/// Opens the address of a controller.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    open(Listen::At(address))
}

/// Listens, and while it leads takes up unfinished runs, decides and answers; until shutdown.
pub async fn serve(parts: ControllerParts) -> Result<(), ServeError> {
    let ControllerParts { plan, clock, door, standing, assemble, shutdown } = parts;
    // First of all: two controllers on one address are found out before anything is touched.
    let listener = open(door.listen)?;
    let tls = match door.tls {
        Some(tls) => Some(load(&tls).await?),
        None => None,
    };
    let front = Arc::new(Front::new(plan, clock.clone(), door.tokens, &standing));
    let handle = Handle::new();
    let routes = front::router(front.clone());
    let serving = pilotlight_door::serve(listener, tls, routes, handle.clone(), door.bounds);
    let mut answering = tokio::spawn(async move {
        match serving.await {
            Ok(()) => "HTTP".to_owned(),
            Err(e) => format!("HTTP: {e}"),
        }
    });
    let working = work_by_turns(&front, standing, &assemble, &shutdown);
    let ended = tokio::select! {
        biased;
        ended = working => ended,
        ended = &mut answering => Err(ServeError::TaskEnded(ended.unwrap_or_else(|panic| panic.to_string()))),
    };
    shutdown.cancel();
    handle.graceful_shutdown(Some(LAST_REQUESTS));
    if !answering.is_finished() {
        let _ = answering.await;
    }
    tracing::info!("the controller has ended");
    ended
}

/// Everything but the answers: the only controller leads, one of several does so by turns, until shutdown.
pub(crate) async fn work_by_turns(
    front: &Arc<Front>,
    standing: Standing,
    assemble: &Assemble,
    shutdown: &CancellationToken,
) -> Result<(), ServeError> {
    let Standing { name, url, store, lease, .. } = standing;
    let Some(store) = store else { return term(front, assemble, Lead::alone(), shutdown).await };
    let (clock, front, shutdown) = (front.clock.clone(), front.clone(), shutdown.clone());
    take_turns(&Seat { store, clock, lease, name, url, front, shutdown }, assemble).await
}

/// Stands by and leads by turns until shutdown.
async fn take_turns(seat: &Seat, assemble: &Assemble) -> Result<(), ServeError> {
    tracing::info!(name = seat.name, "the controller stands by");
    while let Some(won) = seat.win().await {
        let lead = won.lead.clone();
        let (over, done) = (seat.shutdown.child_token(), CancellationToken::new());
        let keeping = tokio::spawn({
            let (seat, over, done) = (seat.clone(), over.clone(), done.clone());
            async move { seat.keep(won, &over, &done).await }
        });
        let ended = term(&seat.front, assemble, lead, &over).await;
        done.cancel();
        let _ = keeping.await;
        match ended {
            Ok(()) => {}
            // Another may do better, and here it is tried again when the lead is free.
            Err(ServeError::Storage(why)) => tracing::error!("the term could not begin: {why}"),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// One term: from the lead to its end.
async fn term(front: &Arc<Front>, assemble: &Assemble, lead: Lead, over: &CancellationToken) -> Result<(), ServeError> {
    let parts = tokio::select! {
        biased;
        parts = assemble(lead.clone()) => parts?,
        () = over.cancelled() => return Ok(()),
    };
    let port_look = parts.port_look.clone();
    // The term may end by itself; then its tasks end, and whoever called goes on.
    let shared = (front.holds.clone(), front.terms.clone());
    let desk = Arc::new(Desk::new(front.plan.clone(), front.clock.clone(), shared, parts, over.child_token()));
    front.leads(lead.clone(), desk.clone());
    let first = match take_up(&desk).await {
        // With several controllers the store may be away for a moment; `others` below tries again.
        Err(why) if lead.is_contested() => {
            tracing::warn!("unfinished runs cannot be continued yet: {why}");
            Ok(())
        }
        other => other,
    };
    let ended = match first {
        Ok(()) => work(&desk, port_look).await,
        Err(why) => Err(why.into()),
    };
    front.stands_by();
    desk.shutdown.cancel();
    if !lead.is_contested() {
        desk.engine.shutdown().await;
    } else if within(&*desk.clock, TERM_ENDS, desk.engine.shutdown()).await.is_none() {
        // It must not hold up the next term: its lead is over, and what comes of it is refused.
        tracing::warn!(term = %lead.term(), "an effect of the term goes on; nothing follows from it");
    }
    ended
}

/// Goes on with the runs that an earlier controller left.
async fn take_up(desk: &Desk) -> Result<(), StorageError> {
    for run in desk.engine.continue_held().await? {
        tracing::info!(%run, "goes on where an earlier controller left it");
    }
    tracing::info!(application = %desk.plan.application, "the controller leads");
    Ok(())
}

/// Everything that runs while the controller leads.
async fn work(desk: &Arc<Desk>, port_look: Arc<dyn PortLook>) -> Result<(), ServeError> {
    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    spawn(&mut tasks, desk, port_look);
    let (reporter, teller) = (desk.clone(), desk.clone());
    tasks.spawn(async move {
        reports::run(reporter).await;
        "reports"
    });
    tasks.spawn(async move {
        notes::run(teller).await;
        "notes"
    });
    let first = tokio::select! {
        biased;
        () = desk.shutdown.cancelled() => None,
        ended = tasks.join_next() => ended,
    };
    let ended_early = first.filter(|_| !desk.shutdown.is_cancelled());
    desk.shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    match ended_early {
        None => Ok(()),
        Some(Ok(name)) => Err(ServeError::TaskEnded(name.to_owned())),
        Some(Err(panic)) => Err(ServeError::TaskEnded(panic.to_string())),
    }
}

/// Spawns everything that looks and decides; each ends at shutdown and never before.
fn spawn(tasks: &mut JoinSet<&'static str>, desk: &Arc<Desk>, port_look: Arc<dyn PortLook>) {
    let (decides, dials, shares) = (desk.clone(), desk.clone(), desk.clone());
    let (publishes, follows, asks, remembers) = (desk.clone(), desk.clone(), desk.clone(), desk.clone());
    tasks.spawn(async move {
        controller::run(decides).await;
        "decisions"
    });
    let measures = desk.clone();
    tasks.spawn(async move {
        measures.watch_house().await;
        "room on the disk"
    });
    tasks.spawn(async move {
        looks::ports(dials, port_look).await;
        "looks at ports"
    });
    let (checks, hub, stop) = (desk.checkup.clone(), desk.hub.clone(), desk.shutdown.clone());
    tasks.spawn(async move {
        checks.run(move || hub.news().step(), stop).await;
        "health checks"
    });
    let (alarms, hub, stop) = (desk.alarms.clone(), desk.hub.clone(), desk.shutdown.clone());
    tasks.spawn(async move {
        alarms.run(move || hub.news().step(), stop).await;
        "alarms"
    });
    tasks.spawn(async move {
        looks::shared(shares).await;
        "looks at what belongs to no region"
    });
    tasks.spawn(async move {
        looks::managed(asks).await;
        "looks through the provider's API"
    });
    tasks.spawn(async move {
        traffic::run(publishes).await;
        "first publications"
    });
    if let Some(writing) = desk.take_writing() {
        let shutdown = desk.shutdown.clone();
        tasks.spawn(async move {
            writing.run(shutdown).await;
            "recording of observations"
        });
    }
    tasks.spawn(async move {
        others::run(follows).await;
        "what other controllers left"
    });
    tasks.spawn(async move {
        remembered::run(remembers).await;
        "what leaders remember"
    });
}

fn open(listen: Listen) -> Result<TcpListener, ServeError> {
    let (listener, address) = match listen {
        Listen::On(listener) => {
            let address = listener.local_addr().unwrap_or_else(|_| ([0, 0, 0, 0], 0).into());
            (Ok(listener), address)
        }
        Listen::At(address) => (TcpListener::bind(address), address),
    };
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { address },
        _ => ServeError::Listen { address, source },
    };
    let listener = listener.map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

async fn load(tls: &Tls) -> Result<RustlsConfig, ServeError> {
    pilotlight_door::load(&tls.certificate, &tls.key).await.map_err(|source| ServeError::Tls {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source,
    })
}
