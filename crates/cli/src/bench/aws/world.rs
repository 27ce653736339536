//! A world of two regions in the AWS test server, and a controller beside it: this binary's own `serve`.

use super::path::Phase;
use crate::connect;
use crate::demo::DemoError;
use crate::demo::plan::TOKEN_VARIABLE;
use crate::operator::Operator;
use pilotlight_core::id::{Region, Unit};
use pilotlight_core::observation::Role;
use pilotlight_core::placement::Verb;
use pilotlight_core::plan::Plan;
use pilotlight_core::run::{Condition, RunResult, RunView};
use pilotlight_core::time::Wall;
use pilotlight_core::verdict::Verdict;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::aws::{AwsServer, AwsServerError};
use pilotlight_lab::folder::Folder;
use pilotlight_lab::ports;
use pilotlight_server::api::view::{MoveReply, MoveRequest, StatusView};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// Two regions that are not us-east-1, where Route 53 is called.
pub(super) const EAST: &str = "us-east-2";
pub(super) const WEST: &str = "us-west-2";

/// Nothing here takes as long, however slow the machine is.
const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at the controller.
const LOOK: Duration = Duration::from_millis(50);
const TOKEN: &str = "the-benchmark";

/// See the module. Ends its processes when it is dropped.
pub(super) struct World {
    server: AwsServer,
    speed: f64,
    operator: Option<Operator>,
    _serving: Option<Child>,
    folder: Folder,
}

impl World {
    /// Starts the server, empty.
    pub(super) async fn start(speed: f64) -> Result<Self, DemoError> {
        let server = AwsServer::start(speed).await.map_err(|e| match e {
            AwsServerError::NotInstalled(_) | AwsServerError::NotStarted(_) => DemoError::Ended(e.to_string()),
        })?;
        let folder = Folder::create("pilotlight-bench-aws-", false);
        let folder = folder.map_err(|e| DemoError::at("the benchmark's folder", e))?;
        Ok(Self { server, speed, operator: None, _serving: None, folder })
    }

    /// What every plan here begins with.
    pub(super) fn listen(&self) -> Result<String, DemoError> {
        let port = ports::free(1).map_err(|e| DemoError::at("a free port", e))?[0];
        let state = self.folder.path().join("state");
        Ok(format!(
            "application: payments\nobjectives: {{ rto: 15m, rpo: 1m }}\nregions: [{EAST}, {WEST}]\n\
             controller: {{ listen: 127.0.0.1:{port}, state: {}, token: {{ env: {TOKEN_VARIABLE} }} }}\n\
             policy: {{ mode: manual }}\naws: {{ endpoint: \"{}\", account: \"123456789012\" }}",
            state.display(),
            self.server.endpoint()
        ))
    }

    /// Starts a controller with this plan.
    pub(super) async fn serve(&mut self, plan: &str) -> Result<(), DemoError> {
        let file = self.folder.path().join("plan.yaml");
        std::fs::write(&file, plan).map_err(|e| DemoError::at("the benchmark's plan", e))?;
        let read = Plan::read(plan, &file.display().to_string()).map_err(|f| DemoError::Plan(f.to_string()))?;
        self.operator = Some(Operator::with_token(&read, TOKEN.to_owned()).map_err(|e| refused(&e))?);
        let program = std::env::current_exe().map_err(|e| DemoError::at("the binary's own path", e))?;
        let log = std::fs::File::create(self.log()).map_err(|e| DemoError::at("the controller's log", e))?;
        let mut serve = Command::new(program);
        serve.arg("serve").arg("--plan").arg(file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        serve.env(TOKEN_VARIABLE, TOKEN).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        let serving = serve.kill_on_drop(true).spawn();
        self._serving = Some(serving.map_err(|e| DemoError::at("the controller", e))?);
        Ok(())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("controller.log")
    }

    fn operator(&self) -> &Operator {
        self.operator.as_ref().expect("a controller was started before it is asked")
    }

    /// Tells the server's control endpoint.
    pub(super) async fn tell(&self, path: &str, body: Value) -> Result<Value, DemoError> {
        self.server.tell(path, body).await.map_err(DemoError::Ended)
    }

    /// Asks it.
    pub(super) async fn ask(&self, path: &str) -> Result<Value, DemoError> {
        self.server.ask(path).await.map_err(DemoError::Ended)
    }

    /// Calls are counted anew from here on.
    pub(super) async fn forget_calls(&self) -> Result<(), DemoError> {
        self.server.forget_calls().await.map(|_| ()).map_err(DemoError::Ended)
    }

    /// A region's API and what it holds, for example `hang` and `down`.
    pub(super) async fn region(&self, region: &str, control: &str, data: &str) -> Result<(), DemoError> {
        self.tell(&format!("regions/{region}"), json!({"control": control, "data": data})).await.map(|_| ())
    }

    /// The modelled moment.
    pub(super) async fn now(&self) -> Result<f64, DemoError> {
        Ok(self.ask("time").await?["now"].as_f64().unwrap_or_default())
    }

    /// What the server recorded since a modelled moment.
    pub(super) async fn phases(&self, since: f64) -> Result<Vec<Phase>, DemoError> {
        let told = self.ask(&format!("phases?since={since}")).await?;
        let read = |one: &Value| {
            let long = one["ends"].as_f64()? - one["began"].as_f64()?;
            let long = Duration::try_from_secs_f64(long / self.speed).ok()?;
            let began = Duration::try_from_secs_f64(one["wall"].as_f64()?).ok()?.as_millis();
            let of = one["of"].as_str()?.to_owned();
            Some(Phase { of, began: Wall(u64::try_from(began).ok()?), long })
        };
        Ok(told.as_array().into_iter().flatten().filter_map(read).collect())
    }

    /// Waits until the controller's view is so.
    pub(super) async fn until(
        &self,
        what: &str,
        is: impl Fn(&StatusView) -> Result<(), String>,
    ) -> Result<(), DemoError> {
        let end = SystemClock.mono() + PATIENCE;
        loop {
            let seen = match self.operator().status().await {
                Ok(status) => match is(&status) {
                    Ok(()) => return Ok(()),
                    Err(seen) => seen,
                },
                Err(e) => format!("{:#}", e.cause),
            };
            if SystemClock.mono() > end {
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                let last: String = log.lines().rev().take(5).collect::<Vec<_>>().join(" | ");
                let seen = format!("{seen}; {last}");
                return Err(DemoError::Waited { what: what.to_owned(), seconds: PATIENCE.as_secs(), seen });
            }
            SystemClock.sleep(LOOK).await;
        }
    }

    /// Makes a move, and waits for its end, which must be good.
    pub(super) async fn run(&self, verb: Verb, unit: Option<&str>, to: &str) -> Result<RunView, DemoError> {
        let request = MoveRequest {
            unit: unit.map(Unit::from),
            target: Some(Region::new(to)),
            why: "the benchmark".to_owned(),
            ..MoveRequest::new(verb, connect::whoami())
        };
        let MoveReply::Started { run } = self.operator().post("/v1/moves", &request).await.map_err(|e| refused(&e))?
        else {
            return Err(DemoError::Refused("a dry run was made although a run was asked for".to_owned()));
        };
        let end = SystemClock.mono() + PATIENCE;
        loop {
            let view: RunView = self.operator().get(&format!("/v1/runs/{run}")).await.map_err(|e| refused(&e))?;
            match &view.condition {
                Condition::Ended { result: RunResult::Done | RunResult::DoneWithWarnings } => return Ok(view),
                Condition::Running if SystemClock.mono() < end => SystemClock.sleep(LOOK).await,
                other => return Err(DemoError::Refused(format!("{run} did not end well: {other:?}"))),
            }
        }
    }
}

fn refused(e: &crate::error::CliError) -> DemoError {
    DemoError::Refused(format!("{:#}", e.cause))
}

/// Every unit is healthy, no run goes on, both regions are heard, and so many names lead to the writers.
pub(super) fn well(status: &StatusView, names: usize) -> Result<(), String> {
    for unit in &status.units {
        let verdict = unit.judgement.as_ref().map(|j| j.verdict);
        if verdict != Some(Verdict::Healthy) || unit.run.is_some() {
            return Err(format!("{}: {verdict:?}, run {:?}", unit.unit, unit.run));
        }
    }
    if let Some(silent) = status.regions.iter().find(|r| !r.heard) {
        return Err(format!("{} is not heard", silent.region));
    }
    let led = status.shared.iter().filter(|c| c.state.shares.as_ref().is_some_and(|s| s.values().sum::<u32>() == 100));
    match (status.units.is_empty(), led.count()) {
        (false, led) if led >= names => Ok(()),
        (_, led) => Err(format!("{led} of {names} names lead somewhere")),
    }
}

/// The region is not heard.
pub(super) fn silent(status: &StatusView, region: &str) -> Result<(), String> {
    let heard = status.regions.iter().any(|r| r.region.as_str() == region && r.heard);
    if heard { Err(format!("{region} is heard")) } else { Ok(()) }
}

/// Every copy of data in the region follows.
pub(super) fn follows(status: &StatusView, region: &str) -> Result<(), String> {
    let there = status.regions.iter().filter(|r| r.region.as_str() == region);
    let mut roles = there.flat_map(|r| &r.components).filter_map(|c| c.state.role.as_ref());
    match roles.find(|role| !matches!(role, Role::Standby { streaming: true, .. })) {
        None => Ok(()),
        Some(role) => Err(format!("a copy in {region} is {role:?}")),
    }
}
