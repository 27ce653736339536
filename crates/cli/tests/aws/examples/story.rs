//! The commands of an example's page, one after the other, and what happens around them: its home is lost before the page
//! fails over, and is back where the page waits for it. What a user saw of that is laid beside the objectives.
//!
//! Every command of the page must end well, in its order and with nothing of ours between two of them but looks, users and what
//! becomes of regions. Only the answer to a question (`--yes`), the length of a drill and a bound of each wait are put to it.
//!
//! Modelled time runs so many times faster than ours, and Pilotlight's own time with it. So each figure is told twice: as
//! measured, and with what was not AWS's phases at the pace of real time, which is what a real account would see of us.

mod held;

use super::checked::Checked;
use super::import;
use super::page::{self, Line};
use super::users::{Seen, Service, User};
use crate::ground::Ground;
use crate::seen::heard;
use pilotlight_core::plan::aws::{AwsComponent, Route53Plan};
use pilotlight_core::plan::{Kind, Plan};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Control planes that are reached while the region they are in is lost, as most often: without them users follow health
/// checks, and the last step waits for a person.
const SPARED: [&str; 2] = ["route53", "globalaccelerator"];

/// How long a drill of the page's `1h` goes on here, by Pilotlight's own clock.
const DRILLED: &str = "5s";

pub(super) struct Story {
    example: &'static str,
    folder: PathBuf,
    ground: Arc<Ground>,
    /// The example's plan, with the names of this world.
    text: String,
    plan: Plan,
    service: Service,
    home: String,
    away: String,
    /// The drill of the page is out for its whole hour, in modelled time.
    drilled_for_an_hour: bool,
    /// Another pace, once the failover is measured.
    goes_on_at: Option<f64>,
    lost: Option<Lost>,
    /// Control planes that answer while the region they are in is lost.
    spared: &'static [&'static str],
    /// Regions that are lost now.
    lost_regions: Vec<String>,
    drained: bool,
}

/// The failover, as users saw it.
struct Lost {
    at: f64,
    seen: Seen,
    /// How long resolvers keep the answer that led there.
    ttl: f64,
    /// At what pace it was.
    speed: f64,
}

impl Story {
    pub(super) fn of(folder: PathBuf, example: &'static str, ground: Arc<Ground>, text: String) -> Self {
        let plan = Plan::read(&text, example).unwrap();
        let service = Service::of(&plan);
        let home = plan.home.to_string();
        let away = plan.regions.iter().find(|r| **r != plan.home).unwrap().to_string();
        let (lost, lost_regions, drained, goes_on_at) = (None, Vec::new(), false, None);
        let drilled_for_an_hour = false;
        let by_object = moves_by_object(&plan);
        let spared: &[&str] = if by_object { &[] } else { &SPARED };
        Self {
            example,
            folder,
            ground,
            text,
            plan,
            service,
            home,
            away,
            drilled_for_an_hour,
            goes_on_at,
            lost,
            spared,
            lost_regions,
            drained,
        }
    }

    pub(super) fn drilled_for_an_hour(self) -> Self {
        Self { drilled_for_an_hour: true, ..self }
    }

    /// What follows the failover is not measured against anything that is ours: it may go faster.
    pub(super) fn then_at(self, speed: f64) -> Self {
        Self { goes_on_at: Some(speed), ..self }
    }

    /// One line of the page.
    pub(super) async fn walk(&mut self, line: &Line) {
        match line {
            Line::Export(name, value) => self.ground.export(name, value),
            Line::Beside(words) if words == &["serve"] => self.ground.start(&["serve"]),
            Line::Beside(words) => panic!("nothing here knows {words:?} beside the others"),
            Line::Say(words) if line.is_dry_run() => self.say(words, &[]).await,
            Line::Say(words) => match words[0].as_str() {
                "check" => self.check(words).await,
                "import" => self.import(words).await,
                "status" => self.wait(words).await,
                "failover" => self.failover(words).await,
                "rejoin" => self.say(words, &["--yes"]).await,
                "failback" if self.drained => self.share_back(words).await,
                "failback" => self.failback(words).await,
                "drain" => self.drain(words).await,
                "drill" => self.drill(words).await,
                _ => panic!("a command that nothing here knows: {words:?}"),
            },
        }
    }

    /// A look at AWS says whose role it was made by, and that what the plan says regions need was looked at.
    async fn check(&self, words: &[String]) {
        let said = self.said(words, &[]).await;
        if !words.iter().any(|word| word == "--live") {
            return;
        }
        let role = self.plan.aws.role.as_deref().and_then(|arn| arn.rsplit('/').next()).expect("the plan has a role");
        assert!(said.contains(&format!("assumed-role/{role}/pilotlight in account 123456789012")), "{said}");
        for region in self.plan.aws.regions.iter().filter(|(_, r)| !r.needs.is_empty()).map(|(name, _)| name) {
            assert!(said.contains(&format!("what {region} needs: is there")), "{said}");
        }
    }

    async fn import(&self, words: &[String]) {
        let [_, _, environment, _, file] = words else { panic!("another import: {words:?}") };
        import::applied(&self.ground, &self.folder, environment, &self.text);
        self.say(words, &[]).await;
        import::imported(&self.ground, file, &self.plan);
    }

    /// What the page waits for comes: what was lost is back.
    async fn wait(&mut self, words: &[String]) {
        assert!(words.iter().any(|word| word == "--until"), "a look that waits for nothing: {words:?}");
        for region in std::mem::take(&mut self.lost_regions) {
            self.region(&region, "up", "up", "ok").await;
        }
        self.say(words, &["--within", "3m"]).await;
    }

    /// Everything of home is lost; a person sees it and fails over.
    async fn failover(&mut self, words: &[String]) {
        let user = User::start(&self.ground, &self.service);
        self.serves(&self.home.clone(), "at the start").await;
        // A copy has what was written a lag ago.
        self.modelled(5.0).await;
        let lost_at = self.ground.now().await;
        self.lose(&self.home.clone()).await;
        let asked_at = self.ground.now().await;
        self.say(words, &["--yes"]).await;
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
        let ttl = self.service.ttl(&self.ground).await.unwrap_or_default();
        self.lost = Some(Lost { at: lost_at, seen, ttl, speed: self.ground.speed() });
        if let Some(speed) = self.goes_on_at {
            self.ground.go_on_at(speed).await;
        }
    }

    /// Home is back and its copies follow; everything goes there without a loss.
    async fn failback(&mut self, words: &[String]) {
        if moves_by_object(&self.plan) {
            let led = self.service.led_to(&self.ground).await.unwrap();
            assert_eq!(led, std::slice::from_ref(&self.away), "home is back, and nobody is led there by itself");
        }
        let mut written = Vec::new();
        for store in &self.service.stores {
            written.push(self.service.put(&self.ground, store, &self.away).await.unwrap());
        }
        let user = User::start(&self.ground, &self.service);
        let asked_at = self.ground.now().await;
        self.say(words, &["--yes"]).await;
        self.serves(&self.home.clone(), "after the failback").await;
        self.settled(user.stop().await, asked_at, "failback", &written).await;
    }

    /// There and back by itself.
    async fn drill(&mut self, words: &[String]) {
        let mut written = Vec::new();
        for store in &self.service.stores {
            written.push(self.service.put(&self.ground, store, &self.home).await.unwrap());
        }
        let (user, asked_at) = (User::start(&self.ground, &self.service), self.ground.now().await);
        let shorter = |word: &String| if word == "1h" { DRILLED.to_owned() } else { word.clone() };
        self.say(&words.iter().map(shorter).collect::<Vec<_>>(), &["--yes"]).await;
        self.serves(&self.away.clone(), "in the drill").await;
        self.sizes(&self.away.clone(), true).await;
        let there = user.stop().await;
        if let Some((failed, good)) = there.outage(asked_at) {
            self.tell("drill, there", failed, good, asked_at).await;
        }
        if self.drilled_for_an_hour {
            self.ground.later(3_600.0).await;
        }
        let (user, from) = (User::start(&self.ground, &self.service), self.ground.now().await);
        let back = |status: &Value| {
            let writer = &status["units"][0]["writer"];
            writer == self.home.as_str() && status["open_runs"].as_array().is_some_and(Vec::is_empty)
        };
        self.ground.until_status("the drill to take itself back", back).await;
        self.serves(&self.home.clone(), "after the drill").await;
        let mut seen = user.stop().await;
        seen.writes.extend(there.writes);
        self.settled(seen, from, "drill, back", &written).await;
    }

    /// The course by which users follow the name: what the page expects, what it must be by check and time to live, and what was
    /// measured.
    ///
    /// Modelled are the checkers, by interval and threshold of the environment, and the resolvers, by the time to live of the
    /// answer. Ours are the records: that they carry those checks and answers, and that `route-name`, which changes them
    /// meanwhile, leads nobody elsewhere.
    pub(super) async fn course(&self, checked: Checked) {
        let Lost { at: lost_at, seen, ttl, speed } = self.lost.as_ref().expect("a failover was before it");
        let (takes, said) =
            (f64::from(u32::try_from(checked.takes()).unwrap()), |words| page::seconds(&self.folder, words));
        assert!((said("(TTL ") - ttl).abs() < 0.1, "the page says another time to live than {ttl}");
        let over = seen.led.iter().position(|(at, led)| at >= lost_at && *led == self.away).expect("led over");
        let unhealthy = Some(seen.led[over].0);
        let followed = |part| seen.led_over(*lost_at, &self.away, *ttl, part);
        for (what, words, must, measured) in [
            ("unhealthy", "unhealthy after ", takes, unhealthy),
            ("most users led over", "most users led over after ", takes + 0.9 * ttl, followed(0.9)),
            ("all users led over", ", all after ", takes + ttl, followed(1.0)),
        ] {
            let (expected, measured) = (said(words), measured.unwrap_or_else(|| panic!("{what}: never")) - lost_at);
            println!(
                "{}: {what}: expected T+{expected:.0} s, by check and time to live T+{must:.0} s, measured T+{measured:.0} s",
                self.example
            );
            assert!(must <= expected, "{what}: check and time to live make it {must}, and the page says {expected}");
            // A second of ours is many modelled ones.
            assert!(measured <= must + speed, "{what}: {measured}, not {must}");
        }
        let name = self.service.name().expect("users follow a name");
        let phases = self.ground.server.ask(&format!("phases?since={lost_at}")).await.unwrap();
        let changed = |p: &&Value| p["of"] == format!("route53:{name}");
        let changed = phases.as_array().into_iter().flatten().find(changed).expect("route-name changed the records");
        let (changed, end) = (changed["began"].as_f64().unwrap(), seen.led.last().expect("users asked").0);
        assert!(changed < end, "users were still there when the records were changed at {changed}, until {end}");
        let elsewhere = seen.led[over..].iter().find(|(_, led)| *led != self.away);
        assert_eq!(elsewhere, None, "route-name, at T+{:.0} s, led users elsewhere", changed - lost_at);
    }

    /// The outage of the failover as measured, with our own time accelerated in it, is within the RTO.
    pub(super) fn meets_its_objective(&self) {
        let Lost { at, seen, .. } = self.lost.as_ref().expect("a failover was before it");
        let (failed, good) = seen.outage(*at).expect("it was told already");
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
        let at_rest = |status: &Value| {
            let roads = status["shared"].as_array().cloned().unwrap_or_default();
            let led = roads.iter().filter(|r| !r["state"]["shares"].is_null()).all(|r| r["state"]["shares"] == wanted);
            led && !roads.is_empty() && status["units"][0]["drift"].is_null()
        };
        self.ground.until_status("users to be led by the shares at rest", at_rest).await;
        let led = self.service.led_to(&self.ground).await.unwrap();
        assert!(shares.keys().all(|region| led.contains(&region.to_string())), "{when}: led to {led:?}");
        println!("{}: {when}: users are led by {told}", self.example);
    }

    /// The region without the writer is lost: its share is drained, and the writer stays.
    async fn drain(&mut self, words: &[String]) {
        let (home, away) = (self.home.clone(), self.away.clone());
        let user = User::start_near(&self.ground, &self.service, Some(away.clone()));
        self.modelled(5.0).await;
        let lost_at = self.ground.now().await;
        self.lose(&away).await;
        let asked_at = self.ground.now().await;
        self.say(words, &["--yes"]).await;
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
        self.drained = true;
    }

    /// The drained region takes its share again.
    async fn share_back(&mut self, words: &[String]) {
        self.say(words, &["--yes"]).await;
        self.drained = false;
        self.at_rest("after the drained region is back").await;
        for region in [&self.home, &self.away] {
            self.sizes(region, true).await;
        }
    }

    /// One outage, as measured and with our own time as it is.
    async fn tell(&self, what: &str, failed: f64, good: f64, asked_at: f64) {
        let phases = self.ground.server.ask(&format!("phases?since={}", asked_at.min(failed))).await.unwrap();
        let aws = busy(&phases, failed, good);
        let (outage, rest) = (good - failed, good - failed - aws);
        let honest = aws + rest / self.ground.speed();
        let rto = self.plan.objectives.rto.as_secs_f64();
        println!(
            "{}: {what}: users without service for {outage:.0} modelled s, of which AWS's phases {aws:.0}; the rest is {:.1} s \
             of real time, so RTO {honest:.0} s (objective {rto:.0})",
            self.example,
            rest / self.ground.speed()
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
        let end = self.end(300.0).await;
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
        let end = self.end(600.0).await;
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

    /// Everything of the region is lost, and a person sees it.
    async fn lose(&mut self, region: &str) {
        self.region(region, "hang", "down", "fail").await;
        self.lost_regions.push(region.to_owned());
        self.silent(region).await;
    }

    async fn silent(&self, region: &str) {
        self.ground.until_status("the region to be silent", |status| heard(status, region) == Some(false)).await;
    }

    async fn region(&self, region: &str, control: &str, data: &str, health: &str) {
        let body = json!({"control": control, "data": data, "spare": self.spared});
        self.ground.server.tell(&format!("regions/{region}"), body).await.unwrap();
        for component in self.plan.components.values() {
            let Kind::Aws(AwsComponent::Route53(name)) = &component.kind else { continue };
            // The check of a switch knows nothing of the region's health.
            if name.switch.is_some() {
                continue;
            }
            if let Some(check) = check_of(name, region) {
                self.ground.server.tell(&format!("health/{check}"), json!({"status": health})).await.unwrap();
            }
        }
    }

    /// So many modelled seconds from now, and no fewer of ours than a busy machine needs.
    async fn end(&self, seconds: f64) -> f64 {
        self.ground.now().await + seconds.max(12.0 * self.ground.speed())
    }

    /// Lets modelled time go by.
    async fn modelled(&self, seconds: f64) {
        let end = self.ground.now().await + seconds;
        while self.ground.now().await < end {
            crate::wait::pace().await;
        }
    }

    /// The health check of a region's answer.
    fn check_of(&self, region: &str) -> String {
        let mut names = self.plan.components.values().filter_map(|c| match &c.kind {
            Kind::Aws(AwsComponent::Route53(name)) => check_of(name, region),
            _ => None,
        });
        names.next().expect("the name's health is checked")
    }

    /// The command ends well. `more` answers its questions.
    async fn say(&self, words: &[String], more: &[&str]) {
        self.said(words, more).await;
    }

    /// The same, and what it said.
    async fn said(&self, words: &[String], more: &[&str]) -> String {
        let typed: Vec<&str> = words.iter().map(String::as_str).chain(more.iter().copied()).collect();
        let (code, said) = self.ground.say(&typed).await;
        assert_eq!(code, 0, "{}: {words:?}: {said}", self.example);
        said
    }
}

/// The control plane that users are moved by may be lost too: an object moves them.
fn moves_by_object(plan: &Plan) -> bool {
    let moves = |kind: &Kind| matches!(kind, Kind::Aws(AwsComponent::Route53(name)) if name.switch.is_some());
    plan.components.values().any(|c| moves(&c.kind))
}

fn check_of(name: &Route53Plan, region: &str) -> Option<String> {
    name.answers.iter().find(|(r, _)| r.as_str() == region)?.1.health_check.clone()
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
