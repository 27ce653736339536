//! A world of two regions in the test server, a controller beside it, and a user who writes through the name.

use crate::wait::until;
use pilotlight_lab::aws::{AwsServer, AwsServerError};
use pilotlight_lab::required::{self, Need};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Two regions that are not us-east-1, where Route 53 is called.
pub(crate) const EAST: &str = "us-east-2";
pub(crate) const WEST: &str = "us-west-2";

/// How many modelled seconds go by in one.
pub(crate) const SPEED: f64 = 50.0;

pub(crate) struct Ground {
    pub(crate) server: AwsServer,
    speed: Mutex<f64>,
    folder: tempfile::TempDir,
    /// Where commands are typed.
    at: PathBuf,
    /// What was exported there.
    exported: Mutex<BTreeMap<String, String>>,
    serving: Mutex<Option<Child>>,
}

impl Ground {
    /// `None`, after saying why, where there is no environment for the server.
    pub(crate) async fn find() -> Option<Ground> {
        Self::find_at(SPEED).await
    }

    /// The same with another pace of modelled time.
    pub(crate) async fn find_at(speed: f64) -> Option<Ground> {
        match AwsServer::start(speed).await {
            Ok(server) => {
                let folder = tempfile::tempdir().unwrap();
                let at = folder.path().to_owned();
                let exported = Mutex::new([("PILOTLIGHT_TOKEN".to_owned(), "secret".to_owned())].into());
                let speed = Mutex::new(speed);
                Some(Ground { server, speed, folder, at, exported, serving: Mutex::default() })
            }
            Err(e @ AwsServerError::NotInstalled(_)) => {
                required::skip(Need::Moto, e);
                None
            }
            Err(e) => panic!("{e}"),
        }
    }

    /// How many modelled seconds go by in one.
    pub(crate) fn speed(&self) -> f64 {
        *self.speed.lock().unwrap()
    }

    /// Modelled time goes on at another pace.
    pub(crate) async fn go_on_at(&self, speed: f64) {
        self.server.tell("speed", json!({"speed": speed})).await.unwrap();
        *self.speed.lock().unwrap() = speed;
    }

    /// So many modelled seconds go by at once.
    pub(crate) async fn later(&self, seconds: f64) {
        self.server.tell("later", json!({"seconds": seconds})).await.unwrap();
    }

    /// Clusters, services and a zone as a plan names them.
    pub(crate) async fn seed(&self) -> String {
        let members = json!([[EAST, "pay-east"], [WEST, "pay-west"]]);
        let service =
            |region: &str, tasks: u32| json!({"region": region, "cluster": "pay", "service": "web", "tasks": tasks});
        let wanted = json!({
            "aurora": [{"group": "payments", "members": members}],
            "ecs": [service(EAST, 6), service(WEST, 1)],
            "zones": ["example.com"],
            "topics": [[WEST, "incidents"]],
        });
        let made = self.server.tell("seed", wanted).await.unwrap();
        made["zones"]["example.com"].as_str().unwrap().to_owned()
    }

    pub(crate) fn write_plan(&self, zone: &str, policy: &str) {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let endpoint = self.server.endpoint();
        let plan = format!(
            r#"
application: payments
objectives: {{ rto: 15m, rpo: 1m }}
regions: [{EAST}, {WEST}]
controller: {{ listen: {listen}, state: state, token: {{ env: PILOTLIGHT_TOKEN }} }}
policy: {{ {policy} }}
aws: {{ endpoint: "{endpoint}", account: "123456789012" }}
components:
  database:
    kind: aurora
    global_cluster: payments
    regions: {{ {EAST}: {{ cluster: pay-east }}, {WEST}: {{ cluster: pay-west }} }}
  web:
    kind: ecs
    active: 6
    standby: 1
    regions: {{ {EAST}: {{ cluster: pay, service: web }}, {WEST}: {{ cluster: pay, service: web }} }}
  name:
    kind: route53
    zone: {zone}
    name: pay.example.com
    answers: {{ {EAST}: {{ value: 192.0.2.1 }}, {WEST}: {{ value: 192.0.2.2 }} }}
  people:
    kind: sns
    topic: "arn:aws:sns:{WEST}:123456789012:incidents"
"#
        );
        fs::write(self.folder.path().join("pilotlight.yaml"), plan).unwrap();
    }

    /// Types commands in a folder of its own below, where nothing is exported yet.
    pub(crate) fn type_in(&mut self, folder: &str) {
        self.at = self.folder.path().join(folder);
        fs::create_dir_all(&self.at).unwrap();
        self.exported = Mutex::default();
    }

    /// `export NAME=VALUE`.
    pub(crate) fn export(&self, name: &str, value: &str) {
        self.exported.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// Puts a plan of the project there.
    pub(crate) fn write_text(&self, text: &str) {
        fs::write(self.at.join("pilotlight.yaml"), self.placed(text)).unwrap();
    }

    /// The plan with a free port for the controller and the server for AWS.
    pub(crate) fn placed(&self, text: &str) -> String {
        let listen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = text.replace("listen: 127.0.0.1:7400", &format!("listen: {listen}"));
        let endpoint = self.server.endpoint();
        match text.split_once("\naws:\n") {
            Some((before, after)) => format!("{before}\naws:\n  endpoint: \"{endpoint}\"\n{after}"),
            None => format!("{text}\naws: {{ endpoint: \"{endpoint}\", account: \"123456789012\" }}\n"),
        }
    }

    /// The binary with what was exported and keys that the test server takes. Programs in `bin` are found first.
    pub(crate) fn pilotlight(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilotlight"));
        command.env_clear().current_dir(&self.at).stdin(Stdio::null()).args(words);
        if let Some(home) = std::env::var_os("HOME") {
            command.env("HOME", home);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::iter::once(self.folder.path().join("bin")).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(found).unwrap());
        command.envs(&*self.exported.lock().unwrap());
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Exit code, stdout, stderr.
    pub(crate) fn said(&self, words: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = self.pilotlight(words).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (status.code().unwrap_or(-1), text(&stdout), text(&stderr))
    }

    pub(crate) fn status(&self) -> Value {
        let (_, out, _) = self.said(&["status", "--json"]);
        serde_json::from_str(&out).unwrap_or_default()
    }

    /// Starts what goes on beside everything else: the controller.
    pub(crate) fn start(&self, words: &[&str]) {
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let started = self.pilotlight(words).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let before = self.serving.lock().unwrap().replace(started);
        assert!(before.is_none(), "two controllers");
    }

    /// Starts the controller and waits until the unit is healthy and both regions are heard, whatever the plan has.
    pub(crate) async fn serve_any(&self) {
        self.start(&["serve"]);
        self.until("the unit to be healthy and both regions to be heard", |ground| {
            let status = ground.status();
            let verdict = status["units"][0]["judgement"]["verdict"].clone();
            let regions = status["regions"].as_array().cloned().unwrap_or_default();
            let heard = regions.len() == 2 && regions.iter().all(|r| r["heard"] == true);
            if verdict == "healthy" && heard { Ok(()) } else { Err(format!("{status}\n{}", ground.log())) }
        })
        .await;
    }

    /// Starts the controller and waits until it knows the unit and leads users to it.
    pub(crate) async fn serve(&self) {
        self.start(&["serve"]);
        self.until("the unit to be healthy and the name to lead home", |ground| {
            let status = ground.status();
            let verdict = status["units"][0]["judgement"]["verdict"].clone();
            let shares = status["shared"][0]["state"]["shares"].clone();
            let good = verdict == "healthy" && shares[EAST] == 100;
            if good { Ok(()) } else { Err(format!("{verdict} {shares} {}", ground.log())) }
        })
        .await;
    }

    pub(crate) fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Everything of this world.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where commands are typed.
    pub(crate) fn at(&self) -> &Path {
        &self.at
    }

    /// Waits for what `ask` answers.
    pub(crate) async fn until<T>(&self, what: &str, mut ask: impl FnMut(&Ground) -> Result<T, String>) -> T {
        until(what, Duration::from_secs(90), async || ask(self)).await
    }

    /// Types a command beside what else goes on: its exit code and all that was said, the controller's last words too.
    pub(crate) async fn say(self: &Arc<Self>, words: &[&str]) -> (i32, String) {
        let typed: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let (code, out, err, log) = self
            .beside(move |ground| {
                let words: Vec<&str> = typed.iter().map(String::as_str).collect();
                let (code, out, err) = ground.said(&words);
                (code, out, err, ground.log())
            })
            .await;
        (code, format!("{out}\n{err}\n{log}"))
    }

    /// Waits until the status is so.
    pub(crate) async fn until_status(self: &Arc<Self>, what: &str, is: impl Fn(&Value) -> bool) {
        let ask = async || {
            let (status, log) = self.beside(|ground| (ground.status(), ground.log())).await;
            if is(&status) { Ok(()) } else { Err(format!("{status}\n{log}")) }
        };
        until(what, Duration::from_secs(90), ask).await;
    }

    /// What blocks, on a thread of its own.
    pub(crate) async fn beside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> T {
        let ground = self.clone();
        tokio::task::spawn_blocking(move || work(&ground)).await.unwrap()
    }

    pub(crate) async fn region(&self, region: &str, control: &str, data: &str) {
        let body = json!({"control": control, "data": data});
        self.server.tell(&format!("regions/{region}"), body).await.unwrap();
    }

    /// Calls that reached a region since a modelled moment.
    pub(crate) async fn calls(&self, since: f64, region: &str) -> Vec<String> {
        let calls = self.server.ask(&format!("calls?since={since}")).await.unwrap();
        let of = calls.as_array().unwrap().iter().filter(|c| c["region"] == region);
        of.map(|c| c["action"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The modelled time.
    pub(crate) async fn now(&self) -> f64 {
        self.server.ask("time").await.unwrap()["now"].as_f64().unwrap()
    }

    /// A user's write: the name leads to a region, a task runs there, and its database acknowledges.
    pub(crate) async fn write(&self) -> Result<(String, u64), String> {
        let answers = self.server.ask("dns?name=pay.example.com").await?;
        let region = answers[0]["set"].as_str().ok_or("the name leads nowhere")?.to_owned();
        let running = self.server.ask(&format!("running?region={region}&cluster=pay&service=web")).await?;
        if running["running"] == 0 {
            return Err(format!("nothing runs in {region}"));
        }
        let cluster = if region == EAST { "pay-east" } else { "pay-west" };
        let number = self.server.tell("write", json!({"region": region, "name": cluster})).await?["number"].as_u64();
        Ok((region, number.ok_or("no number")?))
    }

    pub(crate) async fn held(&self, region: &str, cluster: &str) -> Vec<u64> {
        let held = self.server.ask(&format!("held?region={region}&name={cluster}")).await.unwrap_or_default();
        held["numbers"].as_array().cloned().unwrap_or_default().iter().filter_map(Value::as_u64).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(mut serving) = self.serving.lock().unwrap().take() {
            let _ = serving.kill();
            let _ = serving.wait();
        }
    }
}
