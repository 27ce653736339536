//! Real processes: started, adopted, killed, ended. Whatever a test leaves running is ended when its yard is dropped.

use super::identity::Identity;
use super::*;
use crate::group::Group;
use crate::probe::SystemNames;
use crate::redact::Redactor;
use crate::stage;
use crate::stage::wait::{PATIENCE, until};
use pilotlight_core::id::{EffectKey, Epoch};
use pilotlight_core::outcome::FailureKind;
use pilotlight_driver::battery::{self, Bench, CapacityBench};
use pilotlight_driver::guard::Guarded;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::time::Instant;

/// A folder whose instances end with it.
struct Yard(TempDir);

impl Yard {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    /// Every live instance, by the notes on disk and not by what a driver says.
    fn alive(&self) -> Vec<Identity> {
        let entries = std::fs::read_dir(self.folder()).unwrap().map(|entry| entry.unwrap().path());
        let notes = entries.filter(|path| path.extension().is_some_and(|e| e == "json"));
        let noted = notes.filter_map(|path| serde_json::from_slice::<Identity>(&std::fs::read(path).ok()?).ok());
        noted.filter(Identity::is_alive).collect()
    }

    fn parts(&self, argv: &[&str]) -> ProcessParts {
        ProcessParts {
            application: "payments".into(),
            component: "app".into(),
            region: "east".into(),
            command: CommandLine {
                argv: argv.iter().map(|a| (*a).to_owned()).collect(),
                env: BTreeMap::from([("NUMBERED".to_owned(), "number {instance}".to_owned())]),
                idempotent: false,
            },
            ready: None,
            initial: 0,
            probes: ProbeDriver::new(stage::client(), Arc::new(SystemNames), Redactor::default()),
            folder: self.folder().to_owned(),
            withheld: vec!["HOME".to_owned()],
        }
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for instance in self.alive() {
            if let Some(group) = Group::of(instance.pid) {
                group.kill();
            }
        }
    }
}

fn context(step: &str) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(1),
        key: EffectKey::new(&"run".into(), &step.into(), 1),
        deadline: PATIENCE,
        cancel: CancellationToken::new(),
    }
}

fn set(instances: u32) -> Effect {
    Effect::SetCapacity { component: "app".into(), region: "east".into(), instances }
}

fn target() -> Target {
    Target { component: "app".into(), region: Some("east".into()) }
}

async fn ready(driver: &ProcessDriver) -> u32 {
    driver.observe(&target()).await.unwrap().capacity.unwrap().ready
}

#[tokio::test]
async fn instances_are_told_who_they_are_and_write_to_their_log() {
    let yard = Yard::new();
    let text = r#"echo "$PILOTLIGHT_REGION $PILOTLIGHT_INSTANCE $NUMBERED $1 [${HOME-}]"; exec sleep 60"#;
    let driver = ProcessDriver::open(yard.parts(&["sh", "-c", text, "sh", "arg {instance}"])).unwrap();
    driver.apply(&set(2), &context("set")).await.unwrap();
    let log = |n: u32| {
        let path = yard.folder().join(format!("instance-{n}.log"));
        async move || std::fs::read_to_string(&path).unwrap_or_default()
    };
    until("east 1 number 1 arg 1 []\n".to_owned(), log(1)).await;
    until("east 2 number 2 arg 2 []\n".to_owned(), log(2)).await;
    let mut pids: Vec<String> = yard.alive().iter().map(|i| i.pid.to_string()).collect();
    let listed = std::fs::read_to_string(yard.folder().join("pids")).unwrap();
    let mut listed: Vec<_> = listed.lines().map(str::to_owned).collect();
    pids.sort();
    listed.sort();
    assert_eq!(pids, listed);
}

#[tokio::test]
async fn the_next_agent_adopts_what_runs_and_ends_it_when_told() {
    let yard = Yard::new();
    {
        let driver = ProcessDriver::open(yard.parts(&["sleep", "60"])).unwrap();
        driver.apply(&set(3), &context("set")).await.unwrap();
    }
    let before = yard.alive();
    // As if the agent had died between starting the third and noting it.
    std::fs::remove_file(yard.folder().join("instance-3.json")).unwrap();
    let driver = ProcessDriver::open(yard.parts(&["sleep", "60"])).unwrap();
    assert_eq!(ready(&driver).await, 3);
    let pids = |mut all: Vec<Identity>| {
        all.sort_by_key(|i| i.pid);
        all
    };
    assert_eq!(pids(yard.alive()), pids(before));
    let again = driver.apply(&set(3), &context("again")).await.unwrap();
    assert!(matches!(again, Outcome::Skipped { .. }), "{again:?}");
    driver.apply(&set(0), &context("none")).await.unwrap();
    assert_eq!(yard.alive(), []);
}

#[tokio::test]
async fn a_process_that_took_over_a_number_is_never_touched() {
    let yard = Yard::new();
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let note = Identity { pid: stranger.id(), born: "in another life".to_owned() };
    std::fs::write(yard.folder().join("instance-1.json"), serde_json::to_vec(&note).unwrap()).unwrap();
    std::fs::write(yard.folder().join("desired.json"), r#"{"instances":1}"#).unwrap();
    let driver = ProcessDriver::open(yard.parts(&["sleep", "60"])).unwrap();
    let adopted = ready(&driver).await;
    let scaled = driver.apply(&set(0), &context("none")).await;
    let lives = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!((adopted, scaled, lives), (0, Ok(Outcome::done()), true));
}

#[tokio::test]
async fn the_dead_come_back_with_a_pause_that_grows() {
    let yard = Yard::new();
    let text = "echo started; exit 1";
    let parts = ProcessParts { initial: 1, ..yard.parts(&["sh", "-c", text]) };
    let driver = Arc::new(ProcessDriver::open(parts).unwrap());
    let shutdown = CancellationToken::new();
    let supervised = tokio::spawn({
        let (driver, shutdown) = (Arc::clone(&driver), shutdown.clone());
        async move { driver.supervise(shutdown).await }
    });
    let log = yard.folder().join("instance-1.log");
    let starts = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let began = Instant::now();
    until(true, async || starts() >= 4).await;
    // Pauses of 100, 200 and 400 ms lie between four starts.
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    until(true, async || driver.observe(&target()).await.unwrap().facts.contains_key("complaint")).await;
    shutdown.cancel();
    supervised.await.unwrap();
}

#[tokio::test]
async fn the_end_of_supervision_leaves_instances_running() {
    let yard = Yard::new();
    let parts = ProcessParts { initial: 2, ..yard.parts(&["sleep", "60"]) };
    let driver = Arc::new(ProcessDriver::open(parts).unwrap());
    let shutdown = CancellationToken::new();
    let supervised = tokio::spawn({
        let (driver, shutdown) = (Arc::clone(&driver), shutdown.clone());
        async move { driver.supervise(shutdown).await }
    });
    until(2, async || ready(&driver).await).await;
    shutdown.cancel();
    supervised.await.unwrap();
    assert_eq!(yard.alive().len(), 2);
}

#[tokio::test]
async fn the_whole_group_of_a_stubborn_instance_ends() {
    let yard = Yard::new();
    let inner = yard.folder().join("inner");
    let text = format!("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {}; sleep 60' & wait", inner.display());
    let driver = ProcessDriver::open(yard.parts(&["sh", "-c", &text])).unwrap();
    driver.apply(&set(1), &context("set")).await.unwrap();
    until(true, async || std::fs::read_to_string(&inner).is_ok_and(|t| t.ends_with('\n'))).await;
    let inner: u32 = std::fs::read_to_string(&inner).unwrap().trim().parse().unwrap();
    let inner = Identity::of(inner).unwrap();
    let hurried = Context { deadline: Duration::from_secs(1), ..context("none") };
    driver.apply(&set(0), &hurried).await.unwrap();
    until(false, async || inner.is_alive()).await;
    assert_eq!(yard.alive(), []);
}

#[tokio::test]
async fn a_probe_says_when_an_instance_is_ready() {
    let yard = Yard::new();
    // Instance 1 is asked at a port that ends in 1.
    let listening = loop {
        let listening = stage::silent().await;
        if listening.local_addr().unwrap().port() % 10 == 1 {
            break listening;
        }
    };
    let address = listening.local_addr().unwrap().to_string();
    let address = format!("{}{{instance}}", address.strip_suffix('1').unwrap());
    let ready_when = Probe::Tcp { address, timeout_ms: PATIENCE };
    let driver = ProcessDriver::open(ProcessParts { ready: Some(ready_when), ..yard.parts(&["sleep", "60"]) }).unwrap();
    assert_eq!(ready(&driver).await, 0, "nothing runs yet");
    driver.apply(&set(1), &context("set")).await.unwrap();
    assert_eq!(ready(&driver).await, 1);
    assert_eq!(driver.preflight(&set(2)).await.unwrap(), []);
    drop(listening);
    assert_eq!(ready(&driver).await, 0, "it runs and does not answer");
    let found = driver.preflight(&set(2)).await.unwrap();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.code.as_str(), one.severity), ("PL-0875", Severity::Warning));
    assert!(one.message.contains("0 of 1 running instances ready") && one.message.contains("refused"), "{one:?}");
    assert_eq!(driver.preflight(&set(0)).await.unwrap(), [], "what is ended need not be ready");
    assert_eq!(yard.alive().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_and_changes_nothing() {
    let yard = Yard::new();
    let driver = ProcessDriver::open(yard.parts(&["/no/such/program"])).unwrap();
    let findings = driver.preflight(&set(2)).await.unwrap();
    let missing = findings.iter().find(|f| f.severity == Severity::Blocker).expect("it is found before");
    assert_eq!(missing.message, "there is no program \"/no/such/program\" of app that can be run in east");
    let failure = driver.apply(&set(2), &context("set")).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.contains("/no/such/program"), "{failure}");
    let seen = driver.observe(&target()).await.unwrap().capacity.unwrap();
    assert_eq!((seen.desired, seen.ready), (0, 0));
    let elsewhere = Effect::SetCapacity { component: "app".into(), region: "west".into(), instances: 1 };
    assert_eq!(driver.apply(&elsewhere, &context("west")).await.unwrap_err().kind, FailureKind::Rejected);
}

struct Real {
    driver: Guarded<Arc<ProcessDriver>>,
    yard: Yard,
    _guard: TempDir,
}

impl Bench for Real {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl CapacityBench for Real {
    async fn process(&self) -> (Component, Region) {
        ("app".into(), "east".into())
    }

    async fn running(&self) -> u32 {
        u32::try_from(self.yard.alive().len()).unwrap()
    }

    async fn kill_one(&self) -> bool {
        let first = self.yard.alive().first().and_then(|instance| Group::of(instance.pid));
        first.map(Group::kill).is_some()
    }
}

#[tokio::test]
async fn real_processes_keep_every_law() {
    let (yard, guard) = (Yard::new(), TempDir::new().unwrap());
    let process = Arc::new(ProcessDriver::open(yard.parts(&["sleep", "60"])).unwrap());
    let shutdown = CancellationToken::new();
    let supervised = tokio::spawn({
        let (process, shutdown) = (Arc::clone(&process), shutdown.clone());
        async move { process.supervise(shutdown).await }
    });
    let driver = Guarded::open(process, guard.path()).unwrap();
    let bench = Real { driver, yard, _guard: guard };
    battery::capacity(&bench).await.assert_kept();
    shutdown.cancel();
    supervised.await.unwrap();
}
