//! The home of an example is lost, users are served elsewhere, everything goes home, and a drill takes itself back: what a
//! user saw of it, laid beside the objectives.
//!
//! Modelled time runs so many times faster than ours, and Pilotlight's own time with it. So each figure is told twice: as
//! measured, and with what was not AWS's phases at the pace of real time, which is what a real account would see of us.

use super::page::Page;
use super::users::{Seen, Service, User};
use crate::ground::Ground;
use pilotlight_core::plan::aws::AwsComponent;
use pilotlight_core::plan::{Kind, Plan};
use serde_json::{Value, json};
use std::sync::Arc;

/// Control planes that are reached while the region they are in is lost, as most often: without them users follow health
/// checks, and the last step waits for a person.
const SPARED: [&str; 2] = ["route53", "globalaccelerator"];

pub(super) struct Story {
    example: &'static str,
    ground: Arc<Ground>,
    plan: Plan,
    page: Page,
    service: Service,
    home: String,
    away: String,
    lost: Option<(f64, Seen)>,
}

impl Story {
    pub(super) fn of(example: &'static str, ground: Arc<Ground>, plan: Plan, page: Page, away: String) -> Self {
        let service = Service::of(&plan);
        let home = plan.home.to_string();
        Self { example, ground, plan, page, service, home, away, lost: None }
    }

    /// Everything of home is lost; a person sees it and fails over.
    pub(super) async fn failover(&mut self) {
        let user = User::start(&self.ground, &self.service);
        self.serves(&self.home.clone(), "at the start").await;
        // A copy has what was written a lag ago.
        self.modelled(5.0).await;
        let lost_at = self.ground.now().await;
        self.region(&self.home, "hang", "down", "fail").await;
        self.until("home to be silent", |status, home| {
            let regions = status["regions"].as_array().cloned().unwrap_or_default();
            regions.iter().any(|r| r["region"] == home && r["heard"] == false)
        })
        .await;
        let asked_at = self.ground.now().await;
        self.say(&self.page.answered("failover", &[])).await;
        self.serves(&self.away.clone(), "after the failover").await;
        let seen = user.stop().await;
        let calls = self.ground.calls(lost_at, &self.home).await;
        let looks = |action: &String| ["Describe", "Get", "List"].iter().any(|word| action.starts_with(word));
        let other = |action: &&String| {
            !looks(action) && !["ChangeResourceRecordSets", "UpdateEndpointGroup"].contains(&action.as_str())
        };
        assert!(!calls.iter().any(|a| other(&a)), "only looks reach a lost region: {calls:?}");
        let held = self.service.held(&self.ground, &self.service.stores[0], &self.away).await;
        let (rpo, lost) = seen.loss(lost_at, &held);
        let (failed, good) = seen.outage(lost_at).expect("users noticed the loss and were served again");
        self.tell("failover", failed, good, asked_at).await;
        println!("{}: failover: RPO {rpo:.1} modelled s, {lost} of {} writes lost", self.example, seen.writes.len());
        assert!(rpo <= self.plan.objectives.rpo.as_secs_f64(), "RPO {rpo}");
        self.sizes(&self.away.clone(), true).await;
        self.lost = Some((lost_at, seen));
    }

    /// Home is back, its copies follow, everything goes there without a loss.
    pub(super) async fn failback(&mut self) {
        self.region(&self.home, "up", "up", "ok").await;
        self.until("home to be heard", |status, home| {
            let regions = status["regions"].as_array().cloned().unwrap_or_default();
            regions.iter().any(|r| r["region"] == home && r["heard"] == true)
        })
        .await;
        if !self.follows(&self.home).await {
            // Where AWS does not make the old side follow by itself. Refused where it has begun to meanwhile.
            let _ = self.try_say(&["rejoin", "--yes"].map(str::to_owned)).await;
        }
        self.until_follows(&self.home.clone()).await;
        let mut written = Vec::new();
        for store in &self.service.stores {
            written.push(self.service.put(&self.ground, store, &self.away).await.unwrap());
        }
        let user = User::start(&self.ground, &self.service);
        let asked_at = self.ground.now().await;
        self.say(&self.page.answered("failback", &[])).await;
        self.serves(&self.home.clone(), "after the failback").await;
        self.settled(user.stop().await, asked_at, "failback", &written).await;
    }

    /// There and back by itself.
    pub(super) async fn drill(&mut self, lasts: &str) {
        self.until_follows(&self.away.clone()).await;
        let mut written = Vec::new();
        for store in &self.service.stores {
            written.push(self.service.put(&self.ground, store, &self.home).await.unwrap());
        }
        let (user, asked_at) = (User::start(&self.ground, &self.service), self.ground.now().await);
        // Its hour is shorter here.
        self.say(&self.page.answered("drill", &[("1h", lasts)])).await;
        self.serves(&self.away.clone(), "in the drill").await;
        self.sizes(&self.away.clone(), true).await;
        let there = user.stop().await;
        if let Some((failed, good)) = there.outage(asked_at) {
            self.tell("drill, there", failed, good, asked_at).await;
        }
        let (user, from) = (User::start(&self.ground, &self.service), self.ground.now().await);
        let home = self.home.clone();
        self.until("the drill to take itself back", move |status, _| {
            status["units"][0]["writer"] == home.as_str() && status["open_runs"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
        self.serves(&self.home.clone(), "after the drill").await;
        let mut seen = user.stop().await;
        seen.writes.extend(there.writes);
        self.settled(seen, from, "drill, back", &written).await;
    }

    /// What was expected of the course of the failover beside what was measured: when the name led elsewhere, and when users
    /// who keep its answer for a minute had followed.
    pub(super) fn course(&self, expected: &[(&str, f64); 3]) {
        let (lost_at, seen) = self.lost.as_ref().expect("a failover was before it");
        let measured = [0.0, 0.9, 1.0].map(|part| match part {
            0.0 => seen.led.iter().find(|(at, led)| at >= lost_at && *led == self.away).map(|(at, _)| *at),
            part => seen.led_over(*lost_at, &self.away, 60.0, part),
        });
        for ((what, expected), measured) in expected.iter().zip(measured) {
            let measured = measured.unwrap_or_else(|| panic!("{what}: never")) - lost_at;
            println!("{}: {what}: expected T+{expected:.0} s, measured T+{measured:.0} s", self.example);
            // A second of ours is many modelled ones.
            assert!(measured <= expected + 1.5 * self.ground.speed, "{what}: {measured}");
        }
    }

    /// The outage of the failover as measured, with our own time accelerated in it, is within the RTO.
    pub(super) fn meets_its_objective(&self) {
        let (lost_at, seen) = self.lost.as_ref().expect("a failover was before it");
        let (failed, good) = seen.outage(*lost_at).expect("it was told already");
        assert!(good - failed <= self.plan.objectives.rto.as_secs_f64(), "{}", good - failed);
    }

    /// After a planned move: what a user saw, that nothing is lost, and how large both sides are.
    async fn settled(&self, seen: Seen, since: f64, what: &str, written: &[u64]) {
        match seen.outage(since) {
            Some((failed, good)) => self.tell(what, failed, good, since).await,
            None => println!("{}: {what}: no write failed", self.example),
        }
        for (store, number) in self.service.stores.iter().zip(written) {
            let held = self.service.held(&self.ground, store, &self.home).await;
            assert!(held.contains(number), "{what}: {store:?} lost {number}: {held:?}");
        }
        let held = self.service.held(&self.ground, &self.service.stores[0], &self.home).await;
        let lost = seen.writes.iter().filter(|(_, n)| !held.contains(n)).count();
        assert_eq!(lost, 0, "{what}: a planned move loses nothing");
        self.sizes(&self.home.clone(), true).await;
        self.sizes(&self.away.clone(), self.plan.is_active_active()).await;
        self.at_rest(what).await;
    }

    /// Where several regions take users at rest, they do, by the shares of the plan, and nothing is told to differ.
    pub(super) async fn at_rest(&self, when: &str) {
        let Some(shares) = self.plan.shares.clone() else { return };
        let wanted = serde_json::to_value(&shares).unwrap();
        let told = wanted.to_string();
        self.until("users to be led by the shares at rest", move |status, _| {
            let roads = status["shared"].as_array().cloned().unwrap_or_default();
            let led = roads.iter().filter(|r| !r["state"]["shares"].is_null()).all(|r| r["state"]["shares"] == wanted);
            led && !roads.is_empty() && status["units"][0]["drift"].is_null()
        })
        .await;
        let led = self.service.led_to(&self.ground).await.unwrap();
        assert!(shares.keys().all(|region| led.contains(&region.to_string())), "{when}: led to {led:?}");
        println!("{}: {when}: users are led by {told}", self.example);
    }

    /// The region without the writer is lost: its share is drained, the writer stays, and a failback gives the share back.
    pub(super) async fn drain(&mut self) {
        let (home, away) = (self.home.clone(), self.away.clone());
        self.until_follows(&away).await;
        let user = User::start_near(&self.ground, &self.service, Some(away.clone()));
        self.modelled(5.0).await;
        let lost_at = self.ground.now().await;
        self.region(&away, "hang", "down", "fail").await;
        let silent = away.clone();
        self.until("the other region to be silent", move |status, _| heard(status, &silent) == Some(false)).await;
        let asked_at = self.ground.now().await;
        self.say(&self.page.answered("drain", &[])).await;
        assert_eq!(self.service.led_to(&self.ground).await.unwrap(), std::slice::from_ref(&home));
        // A user's next write.
        self.modelled(30.0).await;
        let seen = user.stop().await;
        assert!(seen.writes.iter().any(|(at, _)| *at < lost_at), "users of {away} wrote across before");
        let (failed, good) = seen.outage(lost_at).expect("users of the lost region noticed and were served again");
        self.tell("drain", failed, good, asked_at).await;
        let held = self.service.held(&self.ground, &self.service.stores[0], &home).await;
        let lost = seen.writes.iter().filter(|(_, n)| !held.contains(n)).count();
        println!("{}: drain: RPO 0.0 modelled s, {lost} of {} writes lost", self.example, seen.writes.len());
        assert_eq!(lost, 0, "the writer was not lost");
        self.region(&away, "up", "up", "ok").await;
        let back = away.clone();
        self.until("the other region to be heard", move |status, _| heard(status, &back) == Some(true)).await;
        self.until_follows(&away).await;
        self.say(&self.page.answered("failback", &[])).await;
        self.at_rest("after the drained region is back").await;
        self.sizes(&home, true).await;
        self.sizes(&away, true).await;
    }

    /// One outage, as measured and with our own time as it is.
    async fn tell(&self, what: &str, failed: f64, good: f64, asked_at: f64) {
        let phases = self.ground.server.ask(&format!("phases?since={}", asked_at.min(failed))).await.unwrap();
        let aws = busy(&phases, failed, good);
        let (outage, rest) = (good - failed, good - failed - aws);
        let honest = aws + rest / self.ground.speed;
        let rto = self.plan.objectives.rto.as_secs_f64();
        println!(
            "{}: {what}: users without service for {outage:.0} modelled s, of which AWS's phases {aws:.0}; the rest is {:.1} s \
             of real time, so RTO {honest:.0} s (objective {rto:.0})",
            self.example,
            rest / self.ground.speed
        );
        assert!(honest <= rto, "RTO {honest} of {rto}");
    }

    /// How many tasks, instances and nodes run: as many as where users are, or as few as in a standby.
    async fn sizes(&self, region: &str, active: bool) {
        let wanted: Vec<u64> = self
            .plan
            .components
            .values()
            .filter_map(|c| match &c.kind {
                Kind::Aws(AwsComponent::Ecs(ecs)) => Some(u64::from(if active { ecs.active } else { ecs.standby })),
                Kind::Aws(AwsComponent::Eks(n)) => Some(u64::from(if active { n.active } else { n.standby })),
                Kind::Aws(AwsComponent::Autoscaling(g)) => Some(u64::from(if active { g.active } else { g.standby })),
                _ => None,
            })
            .collect();
        let end = self.ground.now().await + 300.0;
        loop {
            let running = self.service.running(&self.ground, region).await;
            if running == wanted {
                return;
            }
            assert!(self.ground.now().await < end, "{}: {running:?} run in {region}, not {wanted:?}", self.example);
            self.modelled(1.0).await;
        }
    }

    /// Users are led to the region and served there, before long.
    async fn serves(&self, region: &str, when: &str) {
        let end = self.ground.now().await + 600.0;
        loop {
            let led = self.service.led_to(&self.ground).await.unwrap_or_default();
            let written = self.service.write(&self.ground, region).await;
            if written.is_ok() && led.first().is_some_and(|first| first == region) {
                return;
            }
            assert!(self.ground.now().await < end, "{when}: led to {led:?}, {written:?}\n{}", self.ground.log());
            self.modelled(1.0).await;
        }
    }

    async fn follows(&self, region: &str) -> bool {
        let ground = self.ground.clone();
        let status = tokio::task::spawn_blocking(move || ground.status()).await.unwrap();
        is_standby(&status, region)
    }

    async fn until_follows(&self, region: &str) {
        let region = region.to_owned();
        self.until("every copy to follow", move |status, _| {
            is_standby(status, &region)
                && status["units"][0]["judgement"]["verdict"] == "healthy"
                && status["open_runs"].as_array().is_some_and(Vec::is_empty)
        })
        .await;
    }

    async fn until(&self, what: &'static str, is: impl Fn(&Value, &str) -> bool + Send + 'static) {
        let (ground, home) = (self.ground.clone(), self.home.clone());
        let wait = move || {
            tokio::runtime::Handle::current().block_on(ground.until(what, |ground| {
                let status = ground.status();
                if is(&status, &home) { Ok(()) } else { Err(format!("{status}\n{}", ground.log())) }
            }));
        };
        tokio::task::spawn_blocking(wait).await.unwrap();
    }

    async fn region(&self, region: &str, control: &str, data: &str, health: &str) {
        let body = json!({"control": control, "data": data, "spare": SPARED});
        self.ground.server.tell(&format!("regions/{region}"), body).await.unwrap();
        for component in self.plan.components.values() {
            let Kind::Aws(AwsComponent::Route53(name)) = &component.kind else { continue };
            // The check of a switch knows nothing of the region's health.
            if name.switch.is_some() {
                continue;
            }
            let check =
                name.answers.iter().find(|(r, _)| r.as_str() == region).and_then(|(_, a)| a.health_check.clone());
            if let Some(check) = check {
                self.ground.server.tell(&format!("health/{check}"), json!({"status": health})).await.unwrap();
            }
        }
    }

    /// Lets modelled time go by.
    async fn modelled(&self, seconds: f64) {
        let end = self.ground.now().await + seconds;
        while self.ground.now().await < end {
            crate::wait::pace().await;
        }
    }

    async fn say(&self, words: &[String]) {
        let (code, said) = self.try_say(words).await;
        assert_eq!(code, 0, "{}: {words:?}: {said}", self.example);
    }

    async fn try_say(&self, words: &[String]) -> (i32, String) {
        let (ground, words) = (self.ground.clone(), words.to_vec());
        tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let (code, out, err) = ground.said(&words);
            (code, format!("{out}\n{err}\n{}", ground.log()))
        })
        .await
        .unwrap()
    }
}

fn heard(status: &Value, region: &str) -> Option<bool> {
    status["regions"].as_array()?.iter().find(|r| r["region"] == region)?["heard"].as_bool()
}

/// Every copy of data in the region follows.
fn is_standby(status: &Value, region: &str) -> bool {
    let regions = status["regions"].as_array().cloned().unwrap_or_default();
    let region = regions.into_iter().find(|r| r["region"] == region).unwrap_or_default();
    let components = region["components"].as_array().cloned().unwrap_or_default();
    let copies: Vec<&Value> = components.iter().map(|c| &c["state"]).filter(|s| !s["role"].is_null()).collect();
    !copies.is_empty() && copies.iter().all(|s| s["role"] == "standby" && s["streaming"] == true)
}

/// How long at least one of AWS's phases went on between two moments.
fn busy(phases: &Value, from: f64, to: f64) -> f64 {
    let of = |p: &Value| Some((p["began"].as_f64()?.max(from), p["ends"].as_f64()?.min(to)));
    let mut spans: Vec<(f64, f64)> =
        phases.as_array().into_iter().flatten().filter_map(of).filter(|(began, ends)| began < ends).collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut known) = (0.0, from);
    for (began, ends) in spans {
        sum += (ends - began.max(known)).max(0.0);
        known = known.max(ends);
    }
    sum
}
