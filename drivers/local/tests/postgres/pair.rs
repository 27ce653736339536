//! A writer in `east` and a standby in `west`, real, with clients; gone without a trace when dropped.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::{Component, EffectKey, Epoch, Region, Unit};
use pilotlight_core::observation::{Role, State, Target};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome};
use pilotlight_core::plan::{Guarantee, PostgresPlan, PostgresServer, RescuePlan, SecretRef};
use pilotlight_core::rescue::{Answer, Listed, Question};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_driver::{Context, Driver};
use pilotlight_local::postgres::cluster::{self, NewServer};
use pilotlight_local::postgres::{Confirmed, GateParts, PostgresDriver, PostgresGate, PostgresParts};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub const PASSPHRASE: &str = "open sesame";
pub const PASSWORD: &str = "not so secret";

/// The lease that gates are made for.
pub const LEASE: Duration = Duration::from_secs(1);

/// For what has to end by itself: no measure of how fast it is.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Two servers that are still to be started.
pub struct Pair {
    pub root: TempDir,
    pub plan: PostgresPlan,
    pub east: Arc<PostgresDriver>,
    pub west: Arc<PostgresDriver>,
    pub gates: BTreeMap<&'static str, Arc<PostgresGate>>,
    keys: AtomicU64,
    template: Arc<TempDir>,
    _turn: tokio::sync::SemaphorePermit<'static>,
}

/// Only so many pairs at once: each is a dozen processes, and the timings of some tests matter.
static TURNS: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);

pub fn component() -> Component {
    Component::from("database")
}

pub fn target(region: &str) -> Target {
    Target { component: component(), region: Some(Region::from(region)) }
}

pub fn now() -> Mono {
    SystemClock.mono()
}

/// Lets a moment pass, to cut into the middle of something or before the next look.
pub async fn moment(d: Duration) {
    SystemClock.sleep(d).await;
}

/// Waits until `look` answers something, and tells what it saw last when it does not.
pub async fn eventually<T, F: Future<Output = Result<T, String>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let began = now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(last) => {
                assert!(now().since(began) < PATIENCE, "not in {PATIENCE:?}: {what}; last seen: {last}");
            }
        }
        moment(Duration::from_millis(10)).await;
    }
}

fn free_port() -> u16 {
    pilotlight_lab::ports::free(1).expect("a free port")[0]
}

/// In memory where there is room for it: some disks take seconds to delete the thousand files of a server.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let free = nix::sys::statvfs::statvfs(memory).map_or(0, |s| s.blocks_available() * s.fragment_size());
    let made = if free > 4 << 30 { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("a temporary folder")
}

/// Kept by the pairs that live, so that the last one takes it away.
static TEMPLATE: tokio::sync::Mutex<Weak<TempDir>> = tokio::sync::Mutex::const_new(Weak::new());

async fn template() -> Arc<TempDir> {
    let mut kept = TEMPLATE.lock().await;
    if let Some(template) = kept.upgrade() {
        return template;
    }
    let root = folder();
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).expect("its own folder");
    cluster::init(&new_server(root.path().join("data"), 1)).await.expect("a new cluster");
    let template = Arc::new(root);
    *kept = Arc::downgrade(&template);
    template
}

fn new_server(data_dir: PathBuf, port: u16) -> NewServer {
    NewServer {
        address: [127, 0, 0, 1].into(),
        data_dir,
        port,
        bin_dir: None,
        run_as: None,
        user: "pilot".to_owned(),
        password: Some(PASSWORD.to_owned()),
        shared_buffers: "16MB".to_owned(),
        max_connections: 30,
    }
}

impl Pair {
    /// Data directories of neither side exist yet.
    pub async fn bare() -> Pair {
        Pair::bare_with(Guarantee::BestEffort).await
    }

    /// Rows to rescue, encrypted.
    pub fn rows() -> RescuePlan {
        let passphrase = Some(SecretRef::Env("UNUSED".to_owned()));
        RescuePlan { rows: true, passphrase, max_slot: 1 << 30, ..RescuePlan::default() }
    }

    /// The same whose writers are confirmed as the guarantee has it.
    pub async fn bare_with(guarantee: Guarantee) -> Pair {
        Pair::made(guarantee, RescuePlan::default(), None).await
    }

    /// The same with a rescue of its own.
    pub async fn bare_rescuing(rescue: RescuePlan) -> Pair {
        Pair::made(Guarantee::BestEffort, rescue, None).await
    }

    /// A pair under `bounded` whose writes stall once the candidate has lacked something for so long.
    pub async fn started_stalling(rpo: Duration) -> Pair {
        Pair::made(Guarantee::Bounded, RescuePlan::default(), Some(rpo)).await.with_both().await
    }

    async fn made(guarantee: Guarantee, rescue: RescuePlan, stall_at: Option<Duration>) -> Pair {
        Pair::planned(guarantee, stall_at, |plan, _| plan.rescue = rescue).await
    }

    /// The same with a changed plan; it may rest on files in the pair's folder.
    pub async fn planned(
        guarantee: Guarantee,
        stall_at: Option<Duration>,
        change: impl FnOnce(&mut PostgresPlan, &Path),
    ) -> Pair {
        let turn = TURNS.acquire().await.expect("never closed");
        let root = folder();
        // The account of the server must be let through.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).expect("its own folder");
        for region in ["east", "west"] {
            std::fs::create_dir_all(root.path().join(region)).expect("a folder");
        }
        let mut plan = plan_of(root.path(), &[("east", free_port()), ("west", free_port())]);
        change(&mut plan, root.path());
        let gates: BTreeMap<&str, Arc<PostgresGate>> = match guarantee {
            Guarantee::Bounded => {
                let gate = |r| PostgresGate::new(GateParts { stall_at, ..gate_parts(root.path(), &plan, r) });
                ["east", "west"].map(|r| (r, gate(r).expect("a gate"))).into()
            }
            Guarantee::Strict | Guarantee::BestEffort => BTreeMap::new(),
        };
        let made = |region: &str| {
            let waits = guarantee != Guarantee::BestEffort;
            Arc::new(new_driver(root.path(), &plan, region, Confirmed { waits, gate: gates.get(region).cloned() }))
        };
        let (east, west) = (made("east"), made("west"));
        Pair { root, plan, east, west, gates, keys: AtomicU64::new(0), template: template().await, _turn: turn }
    }

    /// A writer in east with an empty table, and a standby in west that streams.
    pub async fn started() -> Pair {
        Pair::started_with(Guarantee::BestEffort).await
    }

    /// The same whose writers are confirmed as the guarantee has it; nobody is waited for yet.
    pub async fn started_with(guarantee: Guarantee) -> Pair {
        Pair::bare_with(guarantee).await.with_both().await
    }

    /// The same with a rescue of its own.
    pub async fn started_rescuing(rescue: RescuePlan) -> Pair {
        Pair::bare_rescuing(rescue).await.with_both().await
    }

    pub async fn with_both(self) -> Pair {
        let pair = self;
        pair.start_writer().await;
        cluster::clone(&pair.new_server("west"), "127.0.0.1", pair.server("east").port).await.expect("a clone");
        // A clone's settings are made anew.
        let settings = pair.data_dir("west").join("pilotlight.conf");
        let text = std::fs::read_to_string(&settings).expect("settings of the clone");
        std::fs::write(&settings, text + &pair.ssl()).expect("settings of the clone");
        pair.rejoin("west", "east").await.expect("the first standby");
        pair.streams("west").await;
        pair.follows_by("east").await;
        pair
    }

    /// A writer in east, from a copy of an `initdb` that all tests share: a fresh one takes most of a second.
    pub async fn start_writer(&self) {
        let template = self.template.path().join("data");
        let (from, to) = (template.as_os_str(), self.data_dir("east").as_os_str());
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.is_ok_and(|status| status.success()), "the template cannot be copied");
        let settings = self.data_dir("east").join("pilotlight.conf");
        let text = std::fs::read_to_string(&settings).expect("settings of the template");
        let text = text.replace("port = 1\n", &format!("port = {}\n", self.server("east").port));
        std::fs::write(&settings, text + &self.ssl()).expect("settings of the copy");
        self.resume("east").await.expect("the first writer");
        let client = self.client("east").await.expect("the new writer");
        client.batch_execute("CREATE TABLE paid (n bigint PRIMARY KEY)").await.expect("a table");
    }

    /// Where the pair speaks TLS: a key that only the server's account reads, as the server insists.
    fn ssl(&self) -> String {
        let Some(tls) = &self.plan.tls else { return String::new() };
        let owner = std::fs::metadata(self.data_dir("east")).expect("a data directory");
        let folder = tls.ca.parent().expect("a folder");
        let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
        std::os::unix::fs::chown(&key, Some(owner.uid()), Some(owner.gid())).expect("our own file");
        let (certificate, key) = (certificate.display(), key.display());
        format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\nlog_connections = on\n")
    }

    pub fn new_server(&self, region: &str) -> NewServer {
        let server = self.server(region);
        new_server(server.data_dir.clone(), server.port)
    }

    pub fn server(&self, region: &str) -> &PostgresServer {
        &self.plan.regions[&Region::from(region)]
    }

    pub fn data_dir(&self, region: &str) -> &Path {
        &self.server(region).data_dir
    }

    pub fn state_dir(&self, region: &str) -> PathBuf {
        self.root.path().join(region).join("agent")
    }

    pub fn driver(&self, region: &str) -> &Arc<PostgresDriver> {
        if region == "east" { &self.east } else { &self.west }
    }

    /// A driver of a region under another plan.
    pub fn driver_under(&self, region: &str, plan: &PostgresPlan) -> PostgresDriver {
        new_driver(self.root.path(), plan, region, Confirmed::default())
    }

    /// A driver with a changed server in its plan.
    pub fn driver_with(&self, region: &str, change: impl FnOnce(&mut PostgresServer)) -> PostgresDriver {
        let mut plan = self.plan.clone();
        change(plan.regions.get_mut(&Region::from(region)).expect("east or west"));
        new_driver(self.root.path(), &plan, region, Confirmed::default())
    }

    pub fn context(&self, deadline: Duration) -> Context {
        let key = self.keys.fetch_add(1, Ordering::Relaxed).to_string();
        Context {
            unit: Unit::from("payments"),
            epoch: Epoch(1),
            key: EffectKey::new(&"test".into(), &key.as_str().into(), 1),
            deadline,
            cancel: CancellationToken::new(),
        }
    }

    /// Tried again, as a run does, when a server or a disk has not answered in time on a busy machine.
    pub async fn apply(&self, region: &str, effect: &Effect) -> Result<Outcome, Failure> {
        let mut tries = 1..3;
        loop {
            let answer = self.driver(region).apply(effect, &self.context(Duration::from_secs(30))).await;
            let late = |f: &Failure| f.kind == FailureKind::Transient && f.message.contains(" within ");
            if !answer.as_ref().is_err_and(late) || tries.next().is_none() {
                return answer;
            }
        }
    }

    pub async fn fence(&self, region: &str) -> Result<Outcome, Failure> {
        self.apply(region, &Effect::Fence { component: component(), region: region.into() }).await
    }

    pub async fn resume(&self, region: &str) -> Result<Outcome, Failure> {
        self.apply(region, &Effect::ResumeWrites { component: component(), region: region.into() }).await
    }

    pub async fn promote(&self, region: &str) -> Result<Outcome, Failure> {
        self.apply(region, &Effect::Promote { component: component(), region: region.into() }).await
    }

    pub async fn stop(&self, region: &str) -> Result<Outcome, Failure> {
        self.apply(region, &Effect::StopWrites { component: component(), region: region.into() }).await
    }

    pub async fn rejoin(&self, region: &str, upstream: &str) -> Result<Outcome, Failure> {
        let effect = Effect::Rejoin { component: component(), region: region.into(), upstream: upstream.into() };
        self.apply(region, &effect).await
    }

    /// The ports of both, for [`driver_at`] in another process.
    pub fn ports(&self) -> String {
        format!("{} {}", self.server("east").port, self.server("west").port)
    }

    pub async fn capture(&self, waived_by: Option<&str>) -> Result<Outcome, Failure> {
        let (component, waived_by) = (component(), waived_by.map(str::to_owned));
        let effect = Effect::CaptureRescue { component, region: "east".into(), upstream: "west".into(), waived_by };
        self.apply("east", &effect).await
    }

    /// What the agent of east does every few seconds.
    pub async fn keep_ready(&self) {
        let effect = Effect::KeepRescue { component: component(), region: "east".into() };
        self.apply("east", &effect).await.expect("a writer that is kept ready");
    }

    /// The bundles that lie beside the copy.
    pub async fn bundles(&self, region: &str) -> Vec<Listed> {
        match self.driver(region).rescue(&target(region), &Question::List).await {
            Ok(Answer::Bundles { bundles, .. }) => bundles,
            other => panic!("{other:?}"),
        }
    }

    pub async fn look(&self, region: &str) -> State {
        self.driver(region).observe(&target(region)).await.expect("a look never fails here")
    }

    pub async fn reaches(&self, region: &str, is: impl Fn(&Role) -> bool + Sync) -> State {
        let is = &is;
        eventually(&format!("the role of {region}"), || async move {
            let state = self.look(region).await;
            if state.role.as_ref().is_some_and(&is) { Ok(state) } else { Err(format!("{state:?}")) }
        })
        .await
    }

    pub async fn streams(&self, region: &str) -> State {
        self.reaches(region, |role| matches!(role, Role::Standby { streaming: true, .. })).await
    }

    pub async fn client(&self, region: &str) -> Result<tokio_postgres::Client, String> {
        self.client_of(region, "postgres").await
    }

    pub async fn client_of(&self, region: &str, database: &str) -> Result<tokio_postgres::Client, String> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.server(region).port).user(&self.plan.user).password(PASSWORD);
        config.dbname(database).connect_timeout(Duration::from_secs(2));
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(|e| format!("{e:?}"))?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub async fn pay(&self, region: &str, number: u64) -> Result<(), String> {
        let client = self.client(region).await?;
        let paid = client.execute(&format!("INSERT INTO paid VALUES ({number})"), &[]).await;
        paid.map(|_| ()).map_err(|e| format!("{e:?}"))
    }

    pub async fn paid(&self, region: &str) -> BTreeSet<u64> {
        let Ok(client) = self.client(region).await else { return BTreeSet::new() };
        let rows = client.query("SELECT n FROM paid", &[]).await.unwrap_or_default();
        rows.iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect()
    }

    /// Sends a signal to a region's gate.
    pub fn hit_gate(&self, region: &str, signal: Signal) {
        let pids = processes_in(&self.state_dir(region));
        assert!(!pids.is_empty(), "there is a gate in {region}");
        for pid in pids {
            kill(Pid::from_raw(pid), signal).expect("our own gate");
        }
    }

    /// Sends a signal to the postmaster, as an accident would.
    pub fn hit(&self, region: &str, signal: Signal) -> i32 {
        let pids = cluster::processes(self.data_dir(region));
        let postmaster = *pids.first().expect("a running server");
        kill(Pid::from_raw(postmaster), signal).expect("our own server");
        postmaster
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for region in self.gates.keys() {
            // Moved first: whoever still opens the gate finds no folder to start another process in.
            let gone = self.root.path().join(region).join("gone");
            std::fs::rename(self.state_dir(region), &gone).unwrap_or_else(|e| eprintln!("the gate of {region}: {e}"));
            for pid in processes_in(&gone) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        for server in self.plan.regions.values() {
            let left = cluster::kill(&server.data_dir);
            if left > 0 {
                eprintln!("{left} processes of {} are left", server.data_dir.display());
            }
        }
    }
}

/// Those that work in the folder, as a gate does in its agent's.
fn processes_in(folder: &Path) -> Vec<i32> {
    let folder = std::fs::canonicalize(folder).unwrap_or_default();
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter(|p| std::fs::read_link(p.path().join("cwd")).is_ok_and(|cwd| cwd == folder))
        .filter_map(|p| p.file_name().to_str()?.parse().ok())
        .collect()
}

/// A driver of east in a process that is not the one which made the pair.
pub fn driver_at(root: &Path, ports: &str) -> PostgresDriver {
    let ports: Vec<u16> = ports.split(' ').map(|p| p.parse().expect("a port")).collect();
    new_driver(root, &plan_of(root, &[("east", ports[0]), ("west", ports[1])]), "east", Confirmed::default())
}

/// A context of no particular test.
pub fn context() -> Context {
    Context {
        unit: Unit::from("payments"),
        epoch: Epoch(1),
        key: EffectKey::new(&"test".into(), &"other".into(), 1),
        deadline: Duration::from_secs(30),
        cancel: CancellationToken::new(),
    }
}

fn plan_of(root: &Path, ports: &[(&str, u16)]) -> PostgresPlan {
    let server = |(region, port): &(&str, u16)| {
        let data_dir = root.join(region).join("data");
        let server = PostgresServer {
            host: "127.0.0.1".to_owned(),
            port: *port,
            data_dir,
            bin_dir: None,
            run_as: None,
            proxy: None,
        };
        (Region::from(*region), server)
    };
    PostgresPlan {
        database: "postgres".to_owned(),
        user: "pilot".to_owned(),
        password: None,
        tls: None,
        sentinel: Duration::ZERO,
        rescue: Default::default(),
        connection_fence: Default::default(),
        rebuild: Default::default(),
        rejoin_within: Duration::from_secs(3_600),
        regions: ports.iter().map(server).collect(),
    }
}

/// This test program is the gate's program too: see `gate_process`.
pub fn gate_parts(root: &Path, plan: &PostgresPlan, region: &str) -> GateParts {
    GateParts {
        program: std::env::current_exe().expect("this program"),
        args: ["--exact", "gates::gate_process", "--ignored", "--nocapture"].map(str::to_owned).into(),
        folder: root.join(region).join("agent"),
        component: component().to_string(),
        host: "127.0.0.1".to_owned(),
        port: plan.regions[&Region::from(region)].port,
        user: plan.user.clone(),
        password: Some(PASSWORD.to_owned()),
        lease: LEASE,
        stall_at: None,
    }
}

fn new_driver(root: &Path, plan: &PostgresPlan, region: &str, confirmed: Confirmed) -> PostgresDriver {
    PostgresDriver::new(PostgresParts {
        component: component(),
        region: Region::from(region),
        plan: plan.clone(),
        state_dir: root.join(region).join("agent"),
        password: Some(PASSWORD.to_owned()),
        passphrase: plan.rescue.passphrase.as_ref().map(|_| PASSPHRASE.to_owned()),
        confirmed,
        clock: Arc::new(SystemClock),
    })
    .expect("the plan names both regions")
}
