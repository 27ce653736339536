//! Puts the controller together and runs it.

use crate::desk::Desk;
use crate::hub::Hub;
use crate::looks;
use crate::recorder::RecordingTo;
use crate::{api, controller, notes, reports, traffic};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use pilotlight_core::code;
use pilotlight_core::effect::Descriptor;
use pilotlight_core::id::Component;
use pilotlight_core::plan::{Plan, Tls};
use pilotlight_driver::Driver;
use pilotlight_driver::clock::Clock;
use pilotlight_driver::port::PortLook;
use pilotlight_engine::Engine;
use pilotlight_engine::storage::StorageError;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Requests under way at the end get this long.
const LAST_REQUESTS: Duration = Duration::from_millis(500);

/// What a controller is made of.
pub struct ServerParts {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Executes runs, keeps units, grants leases.
    pub engine: Engine,
    /// The router the engine uses: for looks at what belongs to no region.
    pub driver: Arc<dyn Driver>,
    /// What each component's driver says of itself.
    pub descriptors: BTreeMap<Component, Descriptor>,
    /// The agents; the same one the router's remote agents use.
    pub hub: Arc<Hub>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Dials ports.
    pub port_look: Arc<dyn PortLook>,
    /// Where to listen.
    pub listen: Listen,
    /// Certificate and key; without it plain HTTP.
    pub tls: Option<Tls>,
    /// The shared secret: opens everything.
    pub token: String,
    /// The agents' own: opens what they need.
    pub agent_token: Option<String>,
    /// Folder with one folder of reports per run.
    pub reports: Option<PathBuf>,
    /// Where what was seen and decided is kept.
    pub recording: Option<RecordingTo>,
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
    /// A task that must run for ever has ended.
    #[error("the controller's task `{0}` has ended")]
    TaskEnded(String),
}

impl ServeError {
    /// The page of `pilotlight explain`.
    pub fn code(&self) -> &'static str {
        match self {
            ServeError::PortInUse { .. } | ServeError::Listen { .. } => code::PORT_IN_USE.as_str(),
            ServeError::Tls { .. } => code::PLAN_TLS.as_str(),
            ServeError::Storage(e) => e.code(),
            ServeError::TaskEnded(_) => code::DEFECT.as_str(),
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
            ServeError::TaskEnded(_) => "start it again: it goes on with its runs; please report this",
        }
    }
}

/// Opens the address of a controller.
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    open(Listen::At(address))
}

/// Listens, takes up unfinished runs, decides and answers until shutdown.
pub async fn serve(mut parts: ServerParts) -> Result<(), ServeError> {
    // First of all: two controllers on one address are found out before anything is touched.
    let listener = open(std::mem::replace(&mut parts.listen, Listen::At(([0, 0, 0, 0], 0).into())))?;
    let tls = match parts.tls.take() {
        Some(tls) => Some(load(&tls).await?),
        None => None,
    };
    let port_look = parts.port_look.clone();
    let desk = Arc::new(Desk::new(parts));
    take_up(&desk).await?;
    let handle = Handle::new();
    let mut tasks: JoinSet<String> = JoinSet::new();
    spawn(&mut tasks, &desk, port_look);
    let (reporter, teller) = (desk.clone(), desk.clone());
    tasks.spawn(async move {
        reports::run(reporter).await;
        "reports".to_owned()
    });
    tasks.spawn(async move {
        notes::run(teller).await;
        "notes".to_owned()
    });
    tasks.spawn(answer(desk.clone(), listener, tls, handle.clone()));
    watch_over(&desk, tasks, &handle).await
}

/// Goes on with the runs that an earlier controller left.
pub(crate) async fn take_up(desk: &Desk) -> Result<(), StorageError> {
    for run in desk.engine.recover().await? {
        tracing::info!(%run, "goes on where an earlier controller left it");
    }
    tracing::info!(application = %desk.plan.application, "the controller has started");
    Ok(())
}

/// Spawns everything that looks and decides; each ends at shutdown and never before.
pub(crate) fn spawn(tasks: &mut JoinSet<String>, desk: &Arc<Desk>, port_look: Arc<dyn PortLook>) {
    let (decides, dials, shares, publishes) = (desk.clone(), desk.clone(), desk.clone(), desk.clone());
    let asks = desk.clone();
    tasks.spawn(async move {
        controller::run(decides).await;
        "decisions".to_owned()
    });
    if let Some(writing) = desk.take_writing() {
        let shutdown = desk.shutdown.clone();
        tasks.spawn(async move {
            writing.run(shutdown).await;
            "recording of observations".to_owned()
        });
    }
    tasks.spawn(async move {
        looks::ports(dials, port_look).await;
        "looks at ports".to_owned()
    });
    tasks.spawn(async move {
        looks::shared(shares).await;
        "looks at what belongs to no region".to_owned()
    });
    tasks.spawn(async move {
        looks::managed(asks).await;
        "looks through the provider's API".to_owned()
    });
    tasks.spawn(async move {
        traffic::run(publishes).await;
        "first publications".to_owned()
    });
}

async fn watch_over(desk: &Desk, mut tasks: JoinSet<String>, handle: &Handle<SocketAddr>) -> Result<(), ServeError> {
    let first = tokio::select! {
        biased;
        () = desk.shutdown.cancelled() => None,
        ended = tasks.join_next() => ended,
    };
    let ended_early = first.filter(|_| !desk.shutdown.is_cancelled());
    desk.shutdown.cancel();
    handle.graceful_shutdown(Some(LAST_REQUESTS));
    while tasks.join_next().await.is_some() {}
    desk.engine.shutdown().await;
    tracing::info!("the controller has ended");
    match ended_early {
        None => Ok(()),
        Some(Ok(name)) => Err(ServeError::TaskEnded(name)),
        Some(Err(panic)) => Err(ServeError::TaskEnded(panic.to_string())),
    }
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
    RustlsConfig::from_pem_file(&tls.certificate, &tls.key).await.map_err(|source| ServeError::Tls {
        certificate: tls.certificate.clone(),
        key: tls.key.clone(),
        source,
    })
}

async fn answer(
    desk: Arc<Desk>,
    listener: TcpListener,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
) -> String {
    let service = api::router(desk).into_make_service();
    let ended = match tls {
        Some(tls) => match axum_server::from_tcp_rustls(listener, tls) {
            Ok(server) => server.handle(handle).serve(service).await,
            Err(e) => Err(e),
        },
        None => match axum_server::from_tcp(listener) {
            Ok(server) => server.handle(handle).serve(service).await,
            Err(e) => Err(e),
        },
    };
    match ended {
        Ok(()) => "HTTP".to_owned(),
        Err(e) => format!("HTTP: {e}"),
    }
}
