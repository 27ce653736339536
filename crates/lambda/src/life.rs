//! One life of the controller: from the first word of an invocation to its last.
//!
//! Invariant: nothing of it is left when [`Life::end`] returns. Lambda freezes the process then, and what slept in the middle of
//! something would wake in another time, with a lead that it takes for its own. What cannot be ended ends with the process.

use crate::door::Door;
use crate::problem::Problem;
use pilotlight::hosted::Hosted;
use pilotlight_core::code;
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_driver::clock::{Clock, SystemClock, within};
use pilotlight_server::api::view::{ControllerView, StatusView};
use pilotlight_server::{Orders, ServeError, serve};
use std::net::TcpListener;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two questions whether it leads.
const OFTEN: Duration = Duration::from_millis(100);

/// The controller's own bounds for its end, and a little: effects get two seconds, requests and the lead half a second each.
pub(crate) const ENDS_WITHIN: Duration = Duration::from_secs(4);

pub(crate) struct Life {
    pub(crate) door: Door,
    pub(crate) orders: Orders,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Life {
    /// Starts it; it stands by, or leads if nobody else does.
    pub(crate) fn begin(hosted: &Hosted, name: &str) -> Result<Self, Problem> {
        let cannot = |e: std::io::Error| {
            let what = format!("the controller cannot listen on the loopback address: {e}");
            Problem::new(code::MACHINE, what, "the next invocation tries again")
        };
        let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
        let door = Door::new(listener.local_addr().map_err(cannot)?, hosted.token())?;
        let (orders, shutdown) = (Orders::default(), CancellationToken::new());
        let parts = hosted.controller(name, orders.clone(), listener, shutdown.clone());
        Ok(Self { door, orders, shutdown, serving: tokio::spawn(serve(parts)) })
    }

    /// Waits until it leads; at `until` says who does instead.
    pub(crate) async fn leads(&self, until: Mono) -> Result<Result<(), String>, Problem> {
        loop {
            let view: ControllerView = self.door.get("/v1/controller").await?;
            if view.leads {
                return Ok(Ok(()));
            }
            if let Some(why) = view.trouble.filter(|_| self.serving.is_finished()) {
                return Err(Problem::new(code::NO_LEADER, why, "the next invocation tries again"));
            }
            if SystemClock.mono() >= until {
                return Ok(Err(view.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.name)));
            }
            SystemClock.sleep(OFTEN).await;
        }
    }

    /// What it sees while it leads. One that has lost the lead for a moment answers, too, but knows nothing; `until` is for
    /// how long it may win it back. Else says who leads instead.
    pub(crate) async fn sees(&self, until: Mono) -> Result<Result<StatusView, String>, Problem> {
        loop {
            if let Err(leader) = self.leads(until).await? {
                return Ok(Err(leader));
            }
            let before: ControllerView = self.door.get("/v1/controller").await?;
            let status = self.door.get("/v1/status").await?;
            let after: ControllerView = self.door.get("/v1/controller").await?;
            if before.leads && after.leads && before.term == after.term {
                return Ok(Ok(status));
            }
        }
    }

    /// Ends it: runs stop between two records, the lead is given up. Where that cannot be seen through, tasks of it may be left
    /// that nothing reaches, one of which goes on renewing the lead: then the process ends, and Lambda starts another.
    pub(crate) async fn end(mut self) -> Result<(), Problem> {
        self.shutdown.cancel();
        match within(&SystemClock, ENDS_WITHIN, &mut self.serving).await {
            None => end_all(&format!("the controller did not end within {}", show_duration(ENDS_WITHIN))),
            Some(Err(panic)) => {
                end_all(&format!("{}: the controller ended by {panic}, please report this", code::DEFECT))
            }
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(e))) => {
                Err(Problem { code: e.code().to_owned(), message: e.to_string(), hint: e.hint().to_owned() })
            }
        }
    }
}

impl Drop for Life {
    /// Whoever lets go of it without an end must not leave one that leads.
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn end_all(why: &str) -> ! {
    tracing::error!("{why}; this process ends, and the next invocation goes on in another");
    std::process::exit(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Set where the test is the process that is to end.
    const WITHIN: &str = "PILOTLIGHT_TEST_ENDS";

    fn life(serving: impl Future<Output = Result<(), ServeError>> + Send + 'static) -> Life {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let door = Door::new(([127, 0, 0, 1], 9).into(), "token").unwrap();
        let (orders, shutdown) = (Orders::default(), CancellationToken::new());
        Life { door, orders, shutdown, serving: tokio::spawn(serving) }
    }

    /// How the process of that test ends, and what it logs.
    fn ends(test: &str) -> (Option<i32>, String) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("life::tests::{test}"), "--exact", "--nocapture"]).env(WITHIN, "1").stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }

    #[tokio::test]
    async fn one_that_does_not_end_ends_with_its_process() {
        if std::env::var_os(WITHIN).is_some() {
            pilotlight::hosted::log();
            let ended = life(std::future::pending()).end().await;
            panic!("what is left of it would be frozen with the process: {ended:?}");
        }
        let (code, said) = ends("one_that_does_not_end_ends_with_its_process");
        assert!(code == Some(1) && said.contains("did not end within 4.0 s; this process ends"), "{code:?}: {said}");
    }

    #[tokio::test]
    async fn one_that_breaks_ends_with_its_process() {
        if std::env::var_os(WITHIN).is_some() {
            pilotlight::hosted::log();
            let ended = life(async { panic!("a defect") }).end().await;
            panic!("what is left of it would be frozen with the process: {ended:?}");
        }
        let (code, said) = ends("one_that_breaks_ends_with_its_process");
        assert!(code == Some(1) && said.contains("this process ends"), "{code:?}: {said}");
    }

    #[tokio::test]
    async fn one_that_is_let_go_of_is_told_to_end() {
        let life = life(std::future::pending());
        let told = life.shutdown.clone();
        drop(life);
        assert!(told.is_cancelled());
    }
}
