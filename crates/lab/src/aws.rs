//! The AWS test server of the tests: started, changed and asked past the drivers, ended with whoever started it.
//!
//! The server itself is Python (`drivers/aws/testserver`); `scripts/ensure-moto.sh` makes its environment. Where that is
//! missing, [`AwsServer::start`] says so, and the tests that need it are skipped with that reason.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, Command};

/// Python loads moto in a few seconds, on a busy machine in many.
const STARTS_WITHIN: Duration = Duration::from_secs(90);

/// A test server that runs.
pub struct AwsServer {
    /// Its port on the loopback address.
    pub port: u16,
    /// Its Python environment, which holds AWS's own client too.
    pub folder: PathBuf,
    /// Ends when this is dropped: the server reads it.
    _input: ChildStdin,
    _process: Child,
}

/// Why there is no test server.
#[derive(Debug, thiserror::Error)]
pub enum AwsServerError {
    /// Its environment was not made.
    #[error("{} is missing; `make moto` makes it", .0.display())]
    NotInstalled(PathBuf),
    /// It does not start.
    #[error("the AWS test server does not start: {0}")]
    NotStarted(String),
}

impl AwsServer {
    /// Starts one; modelled time goes `speed` times as fast as real time.
    pub async fn start(speed: f64) -> Result<Self, AwsServerError> {
        let root =
            Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in crates/ of the project");
        let folder = target_folder(root).join("moto");
        let python = folder.join("bin/python");
        if !python.exists() {
            return Err(AwsServerError::NotInstalled(python));
        }
        let not_started = |e: std::io::Error| AwsServerError::NotStarted(e.to_string());
        let mut process = Command::new(python)
            .arg(root.join("drivers/aws/testserver"))
            .args(["--speed", &speed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(not_started)?;
        let input = process.stdin.take().expect("it was piped");
        let mut lines = BufReader::new(process.stdout.take().expect("it was piped")).lines();
        let first = tokio::time::timeout(STARTS_WITHIN, lines.next_line()).await;
        let line = match first {
            Ok(line) => line.map_err(not_started)?.unwrap_or_default(),
            Err(_) => return Err(AwsServerError::NotStarted("it says nothing".to_owned())),
        };
        let said: Value =
            serde_json::from_str(&line).map_err(|e| AwsServerError::NotStarted(format!("{e}: {line}")))?;
        let port = said["port"].as_u64().and_then(|p| p.try_into().ok()).unwrap_or_default();
        Ok(Self { port, folder, _input: input, _process: process })
    }

    /// What the SDK and the plan call.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Tells the control endpoint; gives its answer, or why it refused.
    pub async fn tell(&self, path: &str, body: Value) -> Result<Value, String> {
        self.exchange("POST", path, body.to_string()).await
    }

    /// Asks the control endpoint.
    pub async fn ask(&self, path: &str) -> Result<Value, String> {
        self.exchange("GET", path, String::new()).await
    }

    /// Removes every fault.
    pub async fn no_faults(&self) -> Result<Value, String> {
        self.exchange("DELETE", "faults", String::new()).await
    }

    /// Counts calls anew.
    pub async fn forget_calls(&self) -> Result<Value, String> {
        self.exchange("DELETE", "rates", String::new()).await
    }

    /// One request of HTTP/1.0 by hand: the answer ends with the connection.
    async fn exchange(&self, method: &str, path: &str, body: String) -> Result<Value, String> {
        let talk = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let head = format!("{method} /pilotlight/{path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<String, std::io::Error>(answer)
        };
        let answer = talk.await.map_err(|e| format!("{method} {path}: {e}"))?;
        let (head, text) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{method} {path}: {answer:?}"))?;
        let good = head.split(' ').nth(1) == Some("200");
        let value: Value = serde_json::from_str(text).map_err(|e| format!("{method} {path}: {e}: {text}"))?;
        if good { Ok(value) } else { Err(value["why"].as_str().unwrap_or(text).to_owned()) }
    }
}

fn target_folder(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}
