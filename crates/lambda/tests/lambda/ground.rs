//! A world of two regions in the test server, a bucket in a third, and places where the function runs.

use crate::runtime::{Asked, RuntimeApi, Said};
use crate::wait::until;
use pilotlight_core::time::{Wall, show_wall};
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::aws::{AwsServer, AwsServerError};
use pilotlight_lab::required::{self, Need};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) const EAST: &str = "us-east-2";
pub(crate) const WEST: &str = "us-west-2";

/// The bucket of the store.
pub(crate) const STORE: &str = "journal";

/// How many modelled seconds go by in one.
const SPEED: f64 = 50.0;

/// Long enough for a whole failover on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct Ground {
    pub(crate) server: AwsServer,
    folder: tempfile::TempDir,
    /// What the server says of what it made.
    pub(crate) made: Value,
    asked: AtomicU32,
}

/// A place where the function runs, one invocation after the other.
pub(crate) struct Sandbox {
    pub(crate) api: RuntimeApi,
    process: Child,
}

impl Ground {
    /// `None`, after saying why, where there is no environment for the server.
    pub(crate) async fn find() -> Option<Ground> {
        let service =
            |region: &str, tasks: u32| json!({"region": region, "cluster": "pay", "service": "web", "tasks": tasks});
        let wanted = json!({
            "rds": [{"instances": [[EAST, "pay-east"], [WEST, "pay-west"]]}],
            "ecs": [service(EAST, 4), service(WEST, 1)],
            "zones": ["example.com"],
            "topics": [[WEST, "incidents"]],
            "stores": [["us-east-1", STORE]],
        });
        Self::with(wanted).await
    }

    /// Another world.
    pub(crate) async fn with(wanted: Value) -> Option<Ground> {
        let server = match AwsServer::start(SPEED).await {
            Ok(server) => server,
            Err(e @ AwsServerError::NotInstalled(_)) => {
                required::skip(Need::Moto, e);
                return None;
            }
            Err(e) => panic!("{e}"),
        };
        let made = server.tell("seed", wanted).await.unwrap();
        Some(Ground { server, folder: tempfile::tempdir().unwrap(), made, asked: AtomicU32::new(0) })
    }

    /// The id of the zone.
    pub(crate) fn zone(&self) -> String {
        self.made["zones"]["example.com"].as_str().unwrap().to_owned()
    }

    pub(crate) fn plan(&self, policy: &str, alarm: &str) -> String {
        let (endpoint, zone) = (self.server.endpoint(), self.zone());
        format!(
            r#"
application: payments
objectives: {{ rto: 15m, rpo: 1m }}
regions: [{EAST}, {WEST}]
controller:
  listen: 127.0.0.1:7400
  token: {{ env: PILOTLIGHT_TOKEN }}
  leader_lease: 3s
  store: {{ s3: {{ bucket: {STORE}, region: us-east-1, endpoint: "{endpoint}" }} }}
policy: {{ {policy}, guarantee: best-effort, lease: 3s, renew: 500ms }}
aws: {{ endpoint: "{endpoint}", account: "123456789012" }}
alarms:
  east-down: {{ alarm: "East is down", alarm_region: {WEST}, region: {EAST}{alarm} }}
components:
  database:
    kind: rds
    regions:
      {EAST}: {{ instance: pay-east, open_groups: [sg-open], closed_groups: [sg-closed] }}
      {WEST}: {{ instance: pay-west, open_groups: [sg-open], closed_groups: [sg-closed] }}
  web:
    kind: ecs
    active: 4
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
        )
    }

    pub(crate) fn write_plan(&self, text: &str) {
        fs::write(self.folder.path().join("pilotlight.yaml"), text).unwrap();
    }

    /// Starts the program somewhere; its log lies in the folder of that name.
    pub(crate) async fn sandbox(&self, name: &str) -> Sandbox {
        let api = RuntimeApi::start().await;
        let process = self.process(name, api.address);
        Sandbox { api, process }
    }

    fn process(&self, name: &str, api: SocketAddr) -> Child {
        let scratch = self.folder.path().join(name);
        fs::create_dir_all(&scratch).unwrap();
        let log = fs::File::options().create(true).append(true).open(scratch.join("log")).unwrap();
        let mut command = function(self.folder.path());
        command.env("AWS_LAMBDA_RUNTIME_API", api.to_string()).env("TMPDIR", &scratch);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// The process of that place is killed, and another begins there.
    pub(crate) fn replace(&self, sandbox: &mut Sandbox, name: &str) {
        sandbox.kill();
        sandbox.process = self.process(name, sandbox.api.address);
    }

    pub(crate) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name).join("log")).unwrap_or_default()
    }

    /// A name for an invocation, as Lambda gives each.
    pub(crate) fn request(&self) -> String {
        format!("request-{}", self.asked.fetch_add(1, Ordering::Relaxed))
    }

    /// Hands in an invocation.
    pub(crate) fn ask(&self, sandbox: &Sandbox, payload: Value, timeout: Duration) -> Asked {
        sandbox.api.ask(&self.request(), payload, timeout)
    }

    /// The same, to its end.
    pub(crate) async fn invoke(&self, sandbox: &Sandbox, payload: Value) -> Said {
        self.ask(sandbox, payload, LONG).said().await
    }

    /// Wakes it by the schedule until what it says is so.
    pub(crate) async fn next(&self, sandbox: &Sandbox, is_so: impl Fn(&Value) -> bool) -> Value {
        until("what the schedule brings about", async || {
            let said = self.invoke(sandbox, schedule()).await.map_err(|e| e.to_string())?;
            if is_so(&said) { Ok(said) } else { Err(format!("{said:#}\n{}", self.log("one"))) }
        })
        .await
    }

    /// The first that ever happens: the schedule finds that nothing is known, and a controller enters the unit.
    pub(crate) async fn enter(&self, sandbox: &Sandbox, name: &str) {
        let said = self.invoke(sandbox, schedule()).await.unwrap_or_else(|e| panic!("{e}\n{}", self.log(name)));
        assert_eq!(said["units"][0]["writer"], EAST, "{said}\n{}", self.log(name));
    }

    pub(crate) async fn region(&self, region: &str, control: &str, data: &str) {
        let body = json!({"control": control, "data": data});
        self.server.tell(&format!("regions/{region}"), body).await.unwrap();
    }

    /// What AWS's own command line client is answered in the standby region.
    pub(crate) fn awscli(&self, words: &[&str]) -> Value {
        let mut command = Command::new(self.server.folder.join("bin/aws"));
        command.args(["--endpoint-url", &self.server.endpoint(), "--region", WEST, "--output", "json"]).args(words);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_PAGER", "");
        let said = command.output().unwrap();
        assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
        serde_json::from_slice(&said.stdout).unwrap_or_default()
    }

    /// The alarm of the plan in CloudWatch, on a figure of the application that has ended; as CloudWatch tells SNS of it.
    pub(crate) fn raised_by_data(&self) -> Value {
        let put = ["cloudwatch", "put-metric-alarm", "--alarm-name", "East is down", "--namespace", "Pay"];
        let what = ["--metric-name", "Served", "--statistic", "Sum", "--period", "60", "--evaluation-periods", "3"];
        let how =
            ["--comparison-operator", "LessThanThreshold", "--threshold", "1", "--treat-missing-data", "breaching"];
        self.awscli(&[put.as_slice(), &what, &how].concat());
        // Modelled minutes are short: this one was ten of them ago.
        let last = show_wall(Wall(SystemClock.wall().0 - 12_000));
        let data = json!([{"MetricName": "Served", "Value": 40, "Timestamp": last}]).to_string();
        self.awscli(&["cloudwatch", "put-metric-data", "--namespace", "Pay", "--metric-data", &data]);
        let said = self.awscli(&["cloudwatch", "describe-alarms", "--alarm-names", "East is down"]);
        let alarm = &said["MetricAlarms"][0];
        let text = |key: &str| alarm[key].as_str().unwrap_or_default().to_owned();
        assert_eq!(text("StateValue"), "ALARM", "{alarm:#}");
        let seconds = alarm["StateUpdatedTimestamp"].as_f64().unwrap();
        let changed = Wall(Duration::from_secs_f64(seconds).as_millis().try_into().unwrap());
        told(&text("AlarmArn"), &text("StateValue"), &text("StateReason"), changed)
    }

    /// Where users are led, and whether anything runs there.
    pub(crate) async fn led_to(&self) -> String {
        let answers = self.server.ask("dns?name=pay.example.com").await.unwrap();
        answers[0]["set"].as_str().unwrap_or_default().to_owned()
    }

    /// Users write in that region.
    pub(crate) async fn writes(&self, region: &str) -> bool {
        let name = if region == EAST { "pay-east" } else { "pay-west" };
        self.server.tell("write", json!({"region": region, "name": name})).await.is_ok()
    }

    /// How often AWS was told to promote.
    pub(crate) async fn promotions(&self) -> usize {
        let calls = self.server.ask("calls?since=0").await.unwrap();
        calls.as_array().unwrap().iter().filter(|c| c["action"] == "PromoteReadReplica").count()
    }

    /// How often AWS was told to change something, by call and region. People may be told twice, and marks are set again.
    pub(crate) async fn changes(&self) -> BTreeMap<String, usize> {
        let calls = self.server.ask("calls?since=0").await.unwrap();
        let mut made = BTreeMap::new();
        let of = |call: &&Value| ["rds", "ecs", "route53"].iter().any(|service| call["service"] == *service);
        for call in calls.as_array().unwrap().iter().filter(of) {
            let action = call["action"].as_str().unwrap_or_default();
            if !["Describe", "Get", "List", "AddTags", "RemoveTags"].iter().any(|other| action.starts_with(other)) {
                *made.entry(format!("{action} in {}", call["region"].as_str().unwrap_or_default())).or_default() += 1;
            }
        }
        made
    }
}

impl Sandbox {
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program with what Lambda sets, and nothing else.
pub(crate) fn function(root: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotlight-lambda"));
    command.env_clear().current_dir(root).env("LAMBDA_TASK_ROOT", root);
    for (name, value) in [
        ("AWS_LAMBDA_FUNCTION_NAME", "dr"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_SESSION_TOKEN", "lent"),
        ("PILOTLIGHT_TOKEN", "secret"),
    ] {
        command.env(name, value);
    }
    command
}

/// What the schedule sends.
pub(crate) fn schedule() -> Value {
    json!({"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}})
}

/// What SNS sends when the alarm changes: `at` are minutes and seconds after a moment that was a quarter of an hour ago.
pub(crate) fn alarm(state: &str, at: &str) -> Value {
    static BEGAN: OnceLock<Wall> = OnceLock::new();
    let began = *BEGAN.get_or_init(|| Wall(SystemClock.wall().0 - 15 * 60_000));
    let (minutes, seconds) = at.split_once(':').expect("minutes and seconds");
    let [minutes, seconds] = [minutes, seconds].map(|n| n.parse::<u64>().expect("a number"));
    alarm_of(state, Wall(began.0 + minutes * 60_000 + seconds * 1_000))
}

/// The same, of any time.
pub(crate) fn alarm_of(state: &str, at: Wall) -> Value {
    let arn = "arn:aws:cloudwatch:us-west-2:123456789012:alarm:East is down";
    told(arn, state, "Threshold Crossed: 3 datapoints were less than 1", at)
}

fn told(arn: &str, state: &str, why: &str, at: Wall) -> Value {
    let at = show_wall(at);
    let at = at.trim_end_matches('Z');
    let message = json!({
        "AlarmName": "East is down",
        "AlarmArn": arn,
        "NewStateValue": state,
        "OldStateValue": "OK",
        "NewStateReason": why,
        "StateChangeTime": format!("{at}+0000"),
    });
    let sns = json!({"Type": "Notification", "MessageId": format!("message-{at}"), "Message": message.to_string()});
    json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": sns}]})
}
