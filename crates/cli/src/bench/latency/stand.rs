//! The servers of the latency benchmark, and what stands before them: the real gate, the real fences.

use super::load;
use crate::bench::floor;
use crate::bench::pair;
use crate::demo::DemoError;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::gate::Gate;
use pilotlight_lab::bare::BareServer;
use pilotlight_lab::database::{self, Database};
use pilotlight_lab::folder::Folder;
use pilotlight_lab::ports;
use pilotlight_local::connections::{KernelGate, KernelLease, ProxyGate, ProxyParts};
use pilotlight_local::postgres::{GateParts, PostgresGate};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;

/// The lease of the other figures; a gate is renewed six times in it.
const LEASE: Duration = Duration::from_secs(3);
/// The pages that are changed fit in.
const BUFFERS: &str = "256MB";
/// The name of a standby that was given none.
const CANDIDATE: &str = "walreceiver";
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(10);
/// So many times the disk is asked each round.
const FSYNCS: usize = 50;

/// How commits are acknowledged and clients let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Nobody is waited for, no gate runs.
    Plain,
    /// The candidate alone, as PostgreSQL does it by itself: what a guarantee costs without a gate.
    Synchronous,
    /// The candidate or the gate.
    Bounded,
    /// The same behind the lease that the kernel keeps.
    Kernel,
    /// The same through the proxy.
    Proxy,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Plain => "asynchronous",
            Way::Synchronous => "synchronous",
            Way::Bounded => "bounded",
            Way::Kernel => "bounded+kernel",
            Way::Proxy => "bounded+proxy",
        })
    }
}

impl Way {
    /// What it is held against.
    pub(super) fn against(self) -> &'static [Way] {
        match self {
            Way::Plain => &[],
            Way::Synchronous => &[Way::Plain],
            Way::Bounded => &[Way::Plain, Way::Synchronous],
            Way::Kernel | Way::Proxy => &[Way::Bounded],
        }
    }

    fn has_gate(self) -> bool {
        !matches!(self, Way::Plain | Way::Synchronous)
    }

    /// What the server says of those that follow it when the way is in force.
    fn states(self) -> &'static [&'static str] {
        match self {
            Way::Plain => &["async"],
            Way::Synchronous => &["quorum"],
            Way::Bounded | Way::Kernel | Way::Proxy => &["quorum", "quorum"],
        }
    }
}

/// The running servers. Dropping it ends them and takes the fence away.
pub(super) struct Stand {
    pub(super) bin_dir: PathBuf,
    one: BareServer,
    way: Way,
    gate: Arc<PostgresGate>,
    kernel: Option<(KernelLease, Arc<KernelGate>)>,
    proxy: (SocketAddr, Arc<ProxyGate>),
    renewed: Arc<Mutex<Vec<Arc<dyn Gate>>>>,
    renewing: JoinHandle<()>,
    // Ends what runs in it; after everything that speaks to it.
    folder: Folder,
}

impl Stand {
    /// Makes two servers and what stands before the first; says which ways cannot be had here.
    pub(super) async fn start(progress: &(dyn Fn(&str) + Sync)) -> Result<Self, DemoError> {
        let folder = Folder::create("pilotlight-latency-", false).map_err(|e| DemoError::at("the folder", e))?;
        let (one, _, bin_dir) = floor::start_pair(&folder, BUFFERS).await?;
        let free = ports::free(1).map_err(|e| DemoError::at("a free port", e))?;
        let program = std::env::current_exe().map_err(|e| DemoError::at("the path of this program", e))?;
        let gate = gate(&folder, &program, &one).map_err(|e| DemoError::at("the gate", e))?;
        let kernel = match kernel(one.database.at.port()) {
            Ok(kernel) => Some(kernel),
            Err(why) => {
                progress(&format!("the fence of the kernel is left out: {why}"));
                None
            }
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], free[0]));
        let parts = ProxyParts { program, listen, server: one.database.at, folder: folder.path().join("proxy") };
        let proxy = ProxyGate::new(parts, "latency").map_err(|e| DemoError::at("the proxy", e))?;
        let renewed = Arc::new(Mutex::new(Vec::new()));
        let renewing = tokio::spawn(renew(renewed.clone()));
        let proxy = (listen, Arc::new(proxy));
        let stand = Self { bin_dir, one, way: Way::Plain, gate, kernel, proxy, renewed, renewing, folder };
        // Nothing of the server's own accord while it is measured.
        for setting in ["checkpoint_timeout = '1h'", "max_wal_size = '8GB'", "autovacuum = off"] {
            stand.say(&format!("alter system set {setting}")).await?;
        }
        stand.say("select pg_reload_conf()").await?;
        load::prepare(&stand).await?;
        Ok(stand)
    }

    /// The ways that can be had here.
    pub(super) fn ways(&self) -> Vec<Way> {
        let kernel = self.kernel.is_some().then_some(Way::Kernel);
        [Way::Plain, Way::Synchronous, Way::Bounded].into_iter().chain(kernel).chain([Way::Proxy]).collect()
    }

    /// Where clients connect.
    pub(super) fn door(&self) -> Database {
        let at = if self.way == Way::Proxy { self.proxy.0 } else { self.one.database.at };
        Database { at, password: self.one.database.password.clone() }
    }

    /// A statement beside the load.
    pub(super) async fn say(&self, statement: &str) -> Result<(), DemoError> {
        let done = database::execute(&self.door(), statement).await;
        done.map_err(|e| failed("do as asked", e.into()))
    }

    /// Waits until the standby holds everything.
    pub(super) async fn caught_up(&self) -> Result<(), DemoError> {
        pair::wait_streaming(&self.door()).await
    }

    /// Changes to another way, and returns when it is in force.
    pub(super) async fn set(&mut self, way: Way) -> Result<(), DemoError> {
        let mut open: Vec<Arc<dyn Gate>> = Vec::new();
        if way.has_gate() {
            open.push(self.gate.clone());
        }
        let kernel = self.kernel.as_ref().map(|(_, gate)| gate.clone());
        open.extend(kernel.clone().filter(|_| way == Way::Kernel).map(|gate| gate as Arc<dyn Gate>));
        if way == Way::Proxy {
            open.push(self.proxy.1.clone());
        }
        self.open(open);
        // Only now that nobody renews them.
        if let (true, Some(gate)) = (way != Way::Kernel, kernel) {
            gate.rest();
        }
        if way != Way::Proxy {
            self.proxy.1.close();
        }
        self.way = way;
        self.until(way, "clients to be let in", async || {
            let answer = database::execute(&self.door(), "select 1").await;
            answer.map_err(|e| format!("{:#}", anyhow::Error::new(e)))
        })
        .await?;
        if !way.has_gate() {
            self.gate.close();
        }
        let names = match way {
            Way::Plain => String::new(),
            Way::Synchronous => format!("ANY 1 (\"{CANDIDATE}\")"),
            _ => format!("ANY 1 (\"{CANDIDATE}\", \"{}\")", self.gate.standby_name()),
        };
        self.say(&format!("alter system set synchronous_standby_names = '{names}'")).await?;
        self.say("select pg_reload_conf()").await?;
        let states = "select sync_state from pg_stat_replication where state = 'streaming'";
        self.until(way, "everybody to follow as they shall", async || {
            let seen = database::column(&self.door(), states).await;
            let seen = seen.map_err(|e| format!("{:#}", anyhow::Error::new(e)))?;
            if seen == way.states() { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await?;
        self.caught_up().await
    }

    /// These are open from now on and renewed, and no others.
    fn open(&self, gates: Vec<Arc<dyn Gate>>) {
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().for_each(|gate| gate.allow(SystemClock.mono() + LEASE));
        *renewed = gates;
    }

    async fn until(&self, way: Way, what: &str, look: impl AsyncFn() -> Result<(), String>) -> Result<(), DemoError> {
        let end = SystemClock.mono() + PATIENCE;
        loop {
            let Err(seen) = look().await else { return Ok(()) };
            if SystemClock.mono() > end {
                return Err(DemoError::Waited { what: format!("{what} ({way})"), seconds: PATIENCE.as_secs(), seen });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What 8 kB that must be on the disk take, in milliseconds: the median of some.
    pub(super) fn fsync(&self) -> Result<f64, DemoError> {
        let time = || -> std::io::Result<Vec<f64>> {
            let mut file = File::create(self.folder.path().join("fsync"))?;
            let mut once = || {
                let began = SystemClock.mono();
                file.write_all(&[7; 8_192])?;
                file.sync_data()?;
                Ok(SystemClock.mono().since(began).as_secs_f64() * 1_000.0)
            };
            (0..FSYNCS).map(|_| once()).collect()
        };
        let took = time().map_err(|e| DemoError::at("a file to time fsync", e))?;
        Ok(pilotlight_core::measure::median(&took).unwrap_or_default())
    }

    /// Ends everything.
    pub(super) fn close(self) {}
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.renewing.abort();
        self.open(Vec::new());
        let Some((lease, gate)) = &self.kernel else { return };
        gate.rest();
        // Carried out by the gate's thread, which ends with the gate.
        let end = SystemClock.mono() + PATIENCE;
        while lease.is_armed().unwrap_or_default() && SystemClock.mono() < end {
            std::thread::park_timeout(LOOK);
        }
    }
}

/// As an agent does.
async fn renew(gates: Arc<Mutex<Vec<Arc<dyn Gate>>>>) {
    loop {
        {
            // Held meanwhile, so that nothing is opened that was just closed; no gate waits for anything.
            let open = gates.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter().for_each(|gate| gate.allow(SystemClock.mono() + LEASE));
        }
        tokio::time::sleep(LEASE / 6).await;
    }
}

fn gate(folder: &Folder, program: &std::path::Path, server: &BareServer) -> std::io::Result<Arc<PostgresGate>> {
    PostgresGate::new(GateParts {
        program: program.to_owned(),
        args: vec!["gate".to_owned()],
        folder: folder.path().join("gate"),
        component: "latency".to_owned(),
        host: server.database.at.ip().to_string(),
        port: server.database.at.port(),
        user: "postgres".to_owned(),
        password: Some(server.database.password.clone()),
        lease: LEASE,
        stall_at: None,
    })
}

fn kernel(port: u16) -> Result<(KernelLease, Arc<KernelGate>), String> {
    let lease = KernelLease::new("latency", port, []);
    lease.check().map_err(|e| e.to_string())?;
    let gate = KernelGate::start(lease.clone(), "latency", Arc::new(SystemClock)).map_err(|e| e.to_string())?;
    Ok((lease, Arc::new(gate)))
}

/// The database of the benchmark would not.
pub(super) fn failed(what: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> DemoError {
    DemoError::Database { region: "the benchmark".to_owned(), what, source }
}
