//! Reads of the data directory off the threads of whoever asks: a disk that hangs holds up what is asked of its own copy,
//! and one thread, however often it is asked.
//!
//! Invariant: at most one read of a copy is under way. One that does not come back keeps its place; whoever asks next waits,
//! without a thread, for as long as the disk hangs or until it gives up.
//!
//! What acts at once does not come here: a fence reads for itself, on a thread of its own.

use super::PostgresDriver;
use super::directory::Directory;
use super::lsn::Lsn;
use super::processes::{self, Proc};
use pilotlight_core::outcome::Failure;
use pilotlight_driver::clock::{Clock, within};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// A disk that has not answered by then hangs: what would read it in many places does not begin.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
pub(super) struct Reads {
    one: Arc<Semaphore>,
    /// Where the timeline of a server began, which does not change while that server runs.
    begun: Mutex<Option<(Proc, u32, Lsn)>>,
}

impl Default for Reads {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), begun: Mutex::default() }
    }
}

impl Reads {
    /// Returns when it has been read; may be dropped at any time.
    pub(super) async fn read<T: Send + 'static>(&self, read: impl FnOnce() -> T + Send + 'static) -> T {
        let place = Arc::clone(&self.one).acquire_owned().await.expect("nobody closes it");
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            read()
        });
        match reading.await {
            Ok(read) => read,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is at its end, and with it whoever waits here.
            Err(_) => std::future::pending().await,
        }
    }

    fn known(&self, server: Proc, timeline: u32) -> Option<Lsn> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.filter(|(of, on, _)| of.is(server) && *on == timeline).map(|(_, _, begun)| begun)
    }
}

/// What `read` says within [`PATIENCE`], for callers that have no runtime yet.
pub(super) fn patiently<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = std::sync::mpsc::channel();
    // It is left alone when it hangs.
    std::thread::Builder::new().name("disk".to_owned()).spawn(move || tell.send(read())).ok()?;
    told.recv_timeout(PATIENCE).ok()
}

impl PostgresDriver {
    /// The data directory as it is now, and the server that runs on it.
    pub(super) async fn directory_and_server(&self) -> (Directory, Option<Proc>) {
        let (path, owner) = (self.own.data_dir.clone(), self.programs.owner());
        let read = move || {
            let directory = Directory::new(&path, owner);
            let server = processes::postmaster(&directory).map(|(proc, _)| proc);
            (directory, server)
        };
        self.reads.read(read).await
    }

    /// A refusal where the disk of the data directory hangs.
    pub(super) async fn disk_answers(&self) -> Result<(), Failure> {
        let path = self.own.data_dir.display();
        let hangs = || {
            Failure::transient(format!("{path} was not read within {PATIENCE:?}: its disk hangs; nothing was done"))
                .hint("mend the disk, or move the writer away from it: `pilotlight failover`")
        };
        within(self.clock.as_ref() as &dyn Clock, PATIENCE, self.directory_and_server())
            .await
            .map(drop)
            .ok_or_else(hangs)
    }

    /// Where the timeline on which the server runs began, if that is known there.
    pub(super) async fn begun(&self, directory: &Directory, server: Proc, timeline: u32) -> Option<Lsn> {
        if let Some(known) = self.reads.known(server, timeline) {
            return Some(known);
        }
        let directory = directory.clone();
        let begun = self.reads.read(move || directory.history(timeline)).await?.begun()?;
        *self.reads.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some((server, timeline, begun));
        Some(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Confirmed, PostgresParts};
    use super::*;
    use nix::sys::stat::Mode;
    use pilotlight_core::effect::Effect;
    use pilotlight_core::id::Region;
    use pilotlight_core::observation::Target;
    use pilotlight_core::plan::{Kind, Plan, SAMPLE};
    use pilotlight_driver::Driver;
    use pilotlight_driver::clock::SystemClock;
    use std::path::Path;
    use std::sync::mpsc;

    fn target() -> Target {
        Target { component: "database".into(), region: Some("east".into()) }
    }

    /// A driver of a server that does not run; nobody listens at its port.
    fn driver(data: &Path) -> PostgresDriver {
        let plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
        let Kind::Postgres(mut plan) = plan.components[&"database".into()].kind.clone() else { panic!("it is one") };
        let own = plan.regions.get_mut(&Region::from("east")).unwrap();
        (own.data_dir, own.host, own.port, own.run_as) = (data.to_owned(), "127.0.0.1".to_owned(), 1, None);
        let parts = PostgresParts {
            component: "database".into(),
            region: "east".into(),
            plan,
            state_dir: data.join("../state"),
            password: None,
            passphrase: None,
            confirmed: Confirmed::default(),
            clock: Arc::new(SystemClock),
        };
        PostgresDriver::new(parts).unwrap()
    }

    /// A file that is opened for ever, as one on a disk that hangs.
    fn hang(data: &Path) {
        nix::unistd::mkfifo(&data.join("postmaster.pid"), Mode::S_IRWXU).unwrap();
    }

    /// Opens the other end: every read that hangs comes back.
    fn mend(data: &Path) {
        let fifo = data.join("postmaster.pid");
        let end = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
        // Before the end is closed: whoever comes later finds no file.
        std::fs::remove_file(fifo).unwrap();
        drop(end);
    }

    /// Two copies on disks that hang and one that is well, on the only thread of an agent.
    #[test]
    fn a_disk_that_hangs_stops_no_thread_of_the_agent() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two, well] = ["one", "two", "well"].map(|name| folder.path().join(name).join("data"));
        let (tell, told) = mpsc::channel();
        for data in [&one, &two, &well] {
            std::fs::create_dir_all(data).unwrap();
        }
        let (hung, healthy) = ([one.clone(), two.clone()], well);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let drivers = hung.each_ref().map(|data| Arc::new(driver(data)));
            hung.iter().for_each(|data| hang(data));
            runtime.block_on(async {
                for driver in drivers.clone() {
                    tokio::spawn(async move { driver.watch(&target()).await });
                }
                for round in 0..3 {
                    for driver in &drivers {
                        let look = tokio::time::timeout(Duration::from_millis(100), driver.observe(&target())).await;
                        assert!(look.is_err(), "round {round}: the disk hangs, and the look says {look:?}");
                    }
                }
                let resume = Effect::ResumeWrites { component: "database".into(), region: "east".into() };
                let refused = drivers[0].preflight(&resume).await.unwrap_err();
                assert!(refused.message.contains("hangs"), "{refused}");
                let seen = driver(&healthy).observe(&target()).await;
                tell.send(seen.map(|state| state.role)).unwrap();
                // They go on as soon as the disk does.
                let late = tokio::time::timeout(Duration::from_secs(20), drivers[0].observe(&target())).await;
                tell.send(late.expect("the disk is well again").map(|state| state.role)).unwrap();
            });
        });
        let seen = told.recv_timeout(Duration::from_secs(20)).expect("the agent's thread goes on").unwrap();
        assert!(seen.is_some(), "the copy on the other disk is seen");
        [&one, &two].into_iter().for_each(|data| mend(data));
        assert!(told.recv_timeout(Duration::from_secs(20)).expect("looks go on").unwrap().is_some());
    }

    #[test]
    fn a_driver_is_made_beside_a_disk_that_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        hang(&data);
        let (tell, told) = mpsc::channel();
        let its = data.clone();
        std::thread::spawn(move || tell.send(driver(&its).own.host));
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).as_deref(), Ok("127.0.0.1"));
        mend(&data);
    }

    #[tokio::test]
    async fn a_history_is_read_once_for_each_timeline_of_a_server() {
        let folder = tempfile::tempdir().unwrap();
        let (driver, wal) = (driver(folder.path()), folder.path().join("pg_wal"));
        std::fs::create_dir_all(&wal).unwrap();
        let directory = Directory::new(folder.path(), None);
        let server = Proc { pid: 7, started: 100, stopped: false };
        let write = |timeline: u32, at: &str| {
            std::fs::write(wal.join(format!("{timeline:08X}.history")), format!("{}\t{at}\tno reason\n", timeline - 1))
        };
        let at = |text: &str| Some(text.parse::<Lsn>().unwrap());
        assert_eq!(driver.begun(&directory, server, 2).await, None, "it may come");
        write(2, "0/3000000").unwrap();
        assert_eq!(driver.begun(&directory, server, 2).await, at("0/3000000"));
        write(2, "0/4000000").unwrap();
        write(3, "0/5000000").unwrap();
        assert_eq!(driver.begun(&directory, server, 2).await, at("0/3000000"), "it was not read again");
        assert_eq!(driver.begun(&directory, server, 3).await, at("0/5000000"));
        // A copy that was built anew may have another timeline of that number.
        let anew = Proc { pid: 8, ..server };
        assert_eq!(driver.begun(&directory, anew, 2).await, at("0/4000000"));
    }
}
