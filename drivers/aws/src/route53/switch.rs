//! Users moved by an object: away from home while it can be read, at home while it cannot.
//!
//! Home's record is the primary, and its health check asks for the object and is inverted. So a move is one `PutObject` or
//! `DeleteObject` in the region that is not home. No record is changed: Route 53's control plane may be down.
//!
//! Invariants:
//! - a move calls S3 in that one region; Route 53 is asked what its checkers see, and its silence holds nothing up;
//! - a move is done when most checkers say something else than before it. Where Route 53 cannot be asked, the end
//!   warns of that, after the time that checkers need;
//! - an object that cannot be looked at is no answer: nobody is said to be anywhere.

mod findings;
mod public;

use super::{LOOK, Route53Driver};
use crate::access::Access;
use crate::call::Call;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ServerSideEncryption;
use pilotlight_core::id::Region;
use pilotlight_core::observation::State;
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::plan::aws::Route53Switch;
use pilotlight_driver::Context;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The switch of a name.
pub(super) struct Switch<'a> {
    driver: &'a Route53Driver,
    plan: &'a Route53Switch,
    away: &'a Region,
}

/// A turn whose effect is not seen yet.
#[derive(Serialize, Deserialize)]
struct Turned {
    /// Where users go.
    to: Region,
    /// When, in milliseconds of the wall clock.
    at_ms: u64,
    /// What most checkers said before; not known while Route 53 does not answer.
    was_good: Option<bool>,
}

impl Route53Driver {
    pub(super) fn switch(&self) -> Option<Switch<'_>> {
        self.plan.switch().map(|(plan, away)| Switch { driver: self, plan, away })
    }
}

impl Switch<'_> {
    fn access(&self) -> &Access {
        &self.driver.access
    }

    fn call(&self, action: &'static str) -> Call<'_> {
        Call { service: "s3", region: self.access().name(self.away), action }
    }

    async fn client(&self) -> Result<Client, Failure> {
        let config = self.access().config(self.away).await?;
        // A test server has one host for all buckets.
        let path = config.endpoint_url().is_some();
        Ok(Client::from_conf(Builder::from(&config).force_path_style(path).build()))
    }

    async fn is_there(&self) -> Result<bool, Failure> {
        self.is_listed(&self.plan.object).await
    }

    async fn is_listed(&self, key: &str) -> Result<bool, Failure> {
        let client = self.client().await?;
        // The first key with this beginning is the object itself, where it is. Asked for by name, a bucket that is not there and
        // an object that is not there would look the same.
        let send = || client.list_objects_v2().bucket(&self.plan.bucket).prefix(key).max_keys(1).send();
        let answer = self.access().read(self.call("ListObjectsV2"), LOOK, send).await.map_err(|r| r.not_seen())?;
        Ok(answer.contents().iter().any(|o| o.key() == Some(key)))
    }

    /// Where the object leads users.
    pub(super) async fn state(&self) -> Result<State, Failure> {
        let is_away = self.is_there().await?;
        let shares = [(self.away.clone(), is_away), (self.plan.home.clone(), !is_away)];
        let shares = shares.map(|(region, has_all)| (region, if has_all { 100 } else { 0 }));
        Ok(State { shares: Some(shares.into()), ..State::default() })
    }

    pub(super) async fn turn(&self, shares: &BTreeMap<Region, u32>, context: &Context) -> Result<Outcome, Failure> {
        let lit = shares.iter().find(|(_, share)| **share > 0).map(|(region, _)| region);
        let to = lit.expect("shares that lead nowhere were refused").clone();
        let goes_away = to == *self.away;
        if self.is_there().await? == goes_away {
            return Ok(Outcome::Skipped { why: format!("{} leads there already", self.driver.plan.name) });
        }
        let was_good = self.most_are_good().await;
        let (client, half) = (self.client().await?, context.deadline / 2);
        let (bucket, object) = (&self.plan.bucket, &self.plan.object);
        let done = if goes_away {
            let body = format!("users of {} are led away from {}\n", self.driver.plan.name, self.plan.home);
            let send = || {
                let put = client.put_object().bucket(bucket).key(object).content_type("text/plain");
                // Whatever the bucket's default is: nobody can read without credentials what a key of KMS encrypts.
                let put = put.server_side_encryption(ServerSideEncryption::Aes256);
                put.body(ByteStream::from(body.clone().into_bytes())).send()
            };
            self.access().change(self.call("PutObject"), half, send).await.map(drop)
        } else {
            let send = || client.delete_object().bucket(bucket).key(object).send();
            self.access().change(self.call("DeleteObject"), half, send).await.map(drop)
        };
        done.map_err(|refused| refused.failure())?;
        let turned = Turned { to, at_ms: self.access().clock().wall().0, was_good };
        Ok(Outcome::Accepted { handle: serde_json::to_string(&turned).expect("a handle is text") })
    }

    pub(super) async fn take_up(&self, handle: &str) -> Result<Outcome, Failure> {
        let Turned { to, at_ms, was_good } =
            serde_json::from_str(handle).map_err(|_| Failure::unsupported(format!("no such handle: {handle}")))?;
        let (name, takes) = (&self.driver.plan.name, self.plan.takes);
        let now_good = self.most_are_good().await;
        let passed = Duration::from_millis(self.access().clock().wall().0.saturating_sub(at_ms));
        Ok(match (was_good, now_good) {
            (Some(was), Some(now)) if was != now => {
                Outcome::done_with(format!("Route 53's checkers have seen the switch: {name} leads to {to}"))
            }
            (Some(_), Some(_)) => Outcome::Accepted { handle: handle.to_owned() },
            _ if passed < takes => Outcome::Accepted { handle: handle.to_owned() },
            _ => {
                let text = format!("the switch of {name} leads to {to} since {} s", passed.as_secs());
                let warning = format!("{text}; Route 53 could not be asked whether its checkers have seen it");
                Outcome::Warned { output: Output { text, ..Output::default() }, warning }
            }
        })
    }

    fn check(&self) -> Option<&str> {
        self.driver.plan.answers.get(&self.plan.home)?.health_check.as_deref()
    }

    /// What most checkers say, in whatever way they say it of an inverted check; `None` where Route 53 cannot be asked.
    async fn most_are_good(&self) -> Option<bool> {
        let (client, check) = (self.driver.client().await.ok()?, self.check()?);
        let send = || client.get_health_check_status().health_check_id(check).send();
        let call = Route53Driver::call("GetHealthCheckStatus");
        // One question: a control plane that is down must not hold a move up.
        let status = self.access().read(call, Duration::ZERO, send).await.ok()?;
        let words = status.health_check_observations().iter().filter_map(|o| o.status_report()?.status());
        let words: Vec<&str> = words.collect();
        let good = words.iter().filter(|w| w.starts_with("Success")).count();
        (!words.is_empty()).then_some(good * 2 > words.len())
    }
}
