//! A failover whose last step meets a Route 53 that takes no change, by the commands of the page of PL-0373 as they stand
//! there: the run waits, the old region's check is held at bad before that region is back, and the run goes on, or goes on
//! without the step, when a person says so.

use super::Story;
use crate::examples::users::User;
use serde_json::json;
use std::process::Command;

/// What the page says to type.
struct Page(String);

impl Page {
    fn read() -> Self {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/PL-0373.md");
        Self(std::fs::read_to_string(page).unwrap())
    }

    /// These words of the page, with what stands there in capitals put in.
    fn words(&self, text: &str, put: &[(&str, &str)]) -> Vec<String> {
        assert!(self.0.contains(text), "the page does not say {text:?}");
        let place =
            |word: &str| put.iter().find(|(name, _)| *name == word).map_or(word, |(_, value)| *value).to_owned();
        text.split_whitespace().map(place).collect()
    }

    fn hold(&self, check: &str) -> Vec<String> {
        self.words("aws route53 update-health-check --health-check-id ID --disabled --inverted", &[("ID", check)])
    }

    /// The same command with the settings that take it back.
    fn let_go(&self, check: &str) -> Vec<String> {
        let mut words = self.hold(check);
        words.truncate(words.len() - 2);
        words.extend(self.words("--no-disabled --no-inverted", &[]));
        words
    }

    fn resume(&self, run: &str) -> Vec<String> {
        self.words("pilotlight run resume RUN", &[("RUN", run)])
    }

    fn skip(&self, run: &str, name: &str) -> Vec<String> {
        assert!(self.0.contains("(`STEP` is `route-NAME`)"));
        self.words("pilotlight run skip RUN STEP", &[("RUN", run), ("STEP", &format!("route-{name}"))])
    }
}

impl Story {
    /// Home is lost with Route 53's control plane in it, and the failover comes as far as its last step. Says the run.
    async fn waits_at_the_last_step(&mut self) -> String {
        let (home, away) = (self.home.clone(), self.away.clone());
        self.serves(&home, "at the start").await;
        self.modelled(5.0).await;
        self.spared = &[];
        self.region(&home, "refuse", "down", "fail").await;
        self.silent(&home).await;
        let (code, said) = self.ground.say(&["failover", "--to", &away, "--yes"]).await;
        assert!(code == 4 && said.contains("waits for a person") && said.contains("PL-0373"), "{code} {said}");
        // The writer is there, and health has led the users.
        self.serves(&away, "while the run waits").await;
        let status = self.ground.status();
        let run = status["open_runs"][0]["run"].as_str().unwrap_or_else(|| panic!("no run waits: {status}"));
        run.to_owned()
    }

    /// Route 53 answers again, and takes changes of health checks before it takes those of records.
    async fn records_cannot_be_changed(&mut self, home: &str) {
        let fault = json!({"kind": "drop", "service": "route53", "action": "ChangeResourceRecordSets", "times": 9_999});
        self.ground.server.tell("faults", fault).await.unwrap();
        self.spared = &super::SPARED;
        self.region(home, "refuse", "down", "fail").await;
    }

    /// Nobody is led home for longer than its checkers need to call it well.
    async fn nobody_is_led_home(&self, takes: f64) {
        let user = User::start(&self.ground, &self.service);
        self.modelled(2.0 * takes).await;
        let seen = user.stop().await;
        let elsewhere = seen.led.iter().find(|(_, region)| *region != self.away);
        assert_eq!(elsewhere, None, "users are led elsewhere than {}", self.away);
    }

    /// Held, back, resumed, gone home.
    pub(in crate::examples) async fn holds_home_and_resumes(&mut self, takes: f64) {
        let (page, home) = (Page::read(), self.home.clone());
        let check = self.check_of(&home);
        let run = self.waits_at_the_last_step().await;
        let refused = self.type_in(&page.hold(&check)).await.expect_err("Route 53 refuses that call too");
        assert!(!refused.is_empty());

        self.records_cannot_be_changed(&home).await;
        self.type_in(&page.hold(&check)).await.unwrap();
        self.region(&home, "up", "up", "ok").await;
        self.nobody_is_led_home(takes).await;

        // The control plane answers.
        self.ground.server.no_faults().await.unwrap();
        self.type_in(&page.resume(&run)).await.unwrap();
        self.type_in(&words(&["pilotlight", "run", "watch", &run])).await.unwrap();
        self.say(&words(&["status", "--until", "following", "--within", "3m"]), &[]).await;
        self.type_in(&page.let_go(&check)).await.unwrap();
        // Home's check is good again, and home is not the primary any more.
        self.nobody_is_led_home(takes).await;
        self.failback(&words(&["failback"])).await;
    }

    /// The same without the step: home stays the primary, and takes its users as soon as its check is let go.
    pub(in crate::examples) async fn goes_on_without_the_last_step(&mut self, name: &str) {
        let (page, home) = (Page::read(), self.home.clone());
        let check = self.check_of(&home);
        let run = self.waits_at_the_last_step().await;
        self.records_cannot_be_changed(&home).await;
        self.type_in(&page.hold(&check)).await.unwrap();
        self.type_in(&page.skip(&run, name)).await.unwrap();
        self.type_in(&words(&["pilotlight", "run", "watch", &run])).await.unwrap();
        assert_eq!(self.ground.status()["units"][0]["writer"], self.away);
        self.region(&home, "up", "up", "ok").await;
        self.type_in(&page.let_go(&check)).await.unwrap();
        self.led_to(&home).await;
    }

    /// Users are led to that region before long, whether anything serves there.
    async fn led_to(&self, region: &str) {
        let end = self.end(600.0).await;
        loop {
            let led = self.service.led_to(&self.ground).await.unwrap_or_default();
            if led.first().is_some_and(|first| first == region) {
                return;
            }
            assert!(self.ground.now().await < end, "led to {led:?}, not to {region}");
            self.modelled(1.0).await;
        }
    }

    /// What the page says to type, by Pilotlight or by AWS's own client, which must end well.
    async fn type_in(&self, words: &[String]) -> Result<(), String> {
        let more: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        let (code, said) = match words[0].as_str() {
            "pilotlight" => self.ground.say(&more).await,
            "aws" => {
                let mut command = Command::new(self.ground.server.folder.join("bin/aws"));
                command.args(["--endpoint-url", &self.ground.server.endpoint(), "--region", "us-east-1"]).args(&more);
                command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_PAGER", "");
                command.env("AWS_MAX_ATTEMPTS", "1");
                let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
                (said.status.code().unwrap_or(-1), String::from_utf8_lossy(&said.stderr).into_owned())
            }
            other => panic!("nothing here knows {other}"),
        };
        if code == 0 { Ok(()) } else { Err(format!("{words:?}: {code}: {said}\n{}", self.ground.log())) }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
