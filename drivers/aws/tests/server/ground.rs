//! What every test stands on: the server, names of its own, and access to it.

use async_trait::async_trait;
use pilotlight_aws::Access;
use pilotlight_core::id::{EffectKey, Epoch, Region, Unit};
use pilotlight_core::plan::aws::{AwsNeeds, AwsPlan, AwsRegion};
use pilotlight_core::time::{Mono, Wall};
use pilotlight_driver::Context;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::aws::{AwsServer, AwsServerError};
use pilotlight_lab::required::{self, Need};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) const EAST: &str = "us-east-1";
pub(crate) const WEST: &str = "us-west-2";

/// How many modelled seconds go by in one.
const SPEED: f64 = 100.0;

/// How fast [`Hurried`] is.
pub(crate) const HURRY: u32 = 40;

/// The machine's clock, only faster.
struct Hurried {
    began: (Mono, Wall),
}

#[async_trait]
impl Clock for Hurried {
    fn mono(&self) -> Mono {
        let (began, _) = self.began;
        began + SystemClock.mono().since(began) * HURRY
    }

    fn wall(&self) -> Wall {
        let (_, began) = self.began;
        Wall(began.0 + SystemClock.wall().0.saturating_sub(began.0) * u64::from(HURRY))
    }

    async fn sleep(&self, d: Duration) {
        SystemClock.sleep(d / HURRY).await;
    }
}

pub(crate) struct Ground {
    pub(crate) server: AwsServer,
    number: AtomicU32,
}

impl Ground {
    /// `None`, after saying why, where there is no environment for the server.
    pub(crate) async fn find() -> Option<Ground> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        match AwsServer::start(SPEED).await {
            Ok(server) => Some(Ground { server, number: AtomicU32::new(0) }),
            Err(e @ AwsServerError::NotInstalled(_)) => {
                required::skip(Need::Moto, e);
                None
            }
            Err(e) => panic!("{e}"),
        }
    }

    pub(crate) fn access(&self) -> Access {
        self.access_needing([EAST, WEST].map(|region| (region, AwsNeeds::default())))
    }

    /// Access whose clock runs [`HURRY`] times as fast: for what waits a minute.
    pub(crate) fn access_in_a_hurry(&self) -> Access {
        let regions = [EAST, WEST].map(|region| (Region::from(region), AwsRegion::default())).into();
        let plan = AwsPlan { endpoint: Some(self.server.endpoint()), regions, ..AwsPlan::default() };
        let began = (SystemClock.mono(), SystemClock.wall());
        Access::with_keys(plan, Arc::new(Hurried { began }), "test", "test")
    }

    /// Access to regions with these needs.
    pub(crate) fn access_needing(&self, needs: [(&str, AwsNeeds); 2]) -> Access {
        let region = |needs| AwsRegion { needs, ..AwsRegion::default() };
        self.access_to(needs.map(|(r, needs)| (Region::from(r), region(needs))).into())
    }

    pub(crate) fn access_to(&self, regions: BTreeMap<Region, AwsRegion>) -> Access {
        let plan = AwsPlan { endpoint: Some(self.server.endpoint()), regions, ..AwsPlan::default() };
        Access::with_keys(plan, Arc::new(SystemClock), "test", "test")
    }

    /// Access for a plan that names this account.
    pub(crate) fn access_of(&self, account: &str) -> Access {
        let account = Some(account.to_owned());
        let plan = AwsPlan { endpoint: Some(self.server.endpoint()), account, ..AwsPlan::default() };
        Access::with_keys(plan, Arc::new(SystemClock), "test", "test")
    }

    pub(crate) async fn seed(&self, wanted: Value) -> Value {
        self.server.tell("seed", wanted).await.unwrap()
    }

    /// A name nobody has used.
    pub(crate) fn fresh(&self, stem: &str) -> String {
        format!("{stem}-{}", self.number.fetch_add(1, Ordering::Relaxed))
    }

    /// What AWS's own command line client is answered. Nothing of ours is between it and the server.
    pub(crate) fn awscli(&self, region: &str, words: &[&str]) -> Value {
        let said = self.awscli_says(region, words);
        assert!(said.status.success(), "{words:?}: {}", String::from_utf8_lossy(&said.stderr));
        serde_json::from_slice(&said.stdout).unwrap_or_default()
    }

    /// What the client prints, however it ends. A region that the words name goes before this one.
    pub(crate) fn awscli_says(&self, region: &str, words: &[&str]) -> std::process::Output {
        let mut command = std::process::Command::new(self.server.folder.join("bin/aws"));
        command.args(["--endpoint-url", &self.server.endpoint(), "--region", region, "--output", "json"]).args(words);
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_PAGER", "");
        command.output().unwrap()
    }

    /// Actions that were called in a region since a moment.
    pub(crate) async fn calls(&self, since: f64, region: &str) -> Vec<String> {
        let calls = self.server.ask(&format!("calls?since={since}")).await.unwrap();
        let of = calls.as_array().unwrap().iter().filter(|c| c["region"] == region);
        of.map(|c| c["action"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The sets of records that users who ask for the name are answered from.
    pub(crate) async fn answered(&self, name: &str) -> Vec<String> {
        let answers = self.server.ask(&format!("dns?name={name}")).await.unwrap();
        answers.as_array().unwrap().iter().map(|a| a["set"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn now(&self) -> f64 {
        self.server.ask("time").await.unwrap()["now"].as_f64().unwrap()
    }
}

/// A context with a key of its own.
pub(crate) fn context(epoch: u64, step: &str) -> Context {
    Context {
        unit: Unit::from("main"),
        epoch: Epoch(epoch),
        key: EffectKey::new(&"run".into(), &step.into(), 1),
        deadline: Duration::from_secs(20),
        cancel: CancellationToken::new(),
    }
}
