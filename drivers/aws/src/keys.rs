//! The machine's own keys, had without leaning on one region.
//!
//! Where STS makes them (a profile that assumes a role, a web identity) it is asked in one of the plan's regions after the other, the
//! home last: the region that is lost must not be the one whose STS everything waits for. Keys of the environment, of a machine or of a
//! container come from no region, and are had at the first.

use crate::words::refusal::Said;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use pilotlight_core::cause::chain;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The SDK gives up on keys after five seconds: two regions are asked in that time.
const ONE_REGION: Duration = Duration::from_millis(2400);

/// See the module.
#[derive(Debug)]
pub(crate) struct Keys {
    /// At least one, in the order in which they are asked.
    chains: Vec<SharedCredentialsProvider>,
    /// The one that answered last.
    from: AtomicUsize,
}

impl Keys {
    /// Asks nobody yet; `regions` are AWS's names of the plan's, the home last.
    pub(crate) async fn of(regions: &[String], http: &SharedHttpClient) -> Self {
        let environment = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new());
        let machine = environment.or_else(ProfileFileRegionProvider::new()).region().await;
        let mut chains = Vec::new();
        for region in order(machine.as_ref().map(AsRef::as_ref), regions) {
            let config = ProviderConfig::without_region();
            let config = config.with_http_client(http.clone()).with_retry_config(RetryConfig::disabled());
            let region = aws_config::Region::new(region);
            let made = DefaultCredentialsChain::builder().configure(config).region(region).build().await;
            chains.push(SharedCredentialsProvider::new(made));
        }
        Self::asking(chains)
    }

    fn asking(chains: Vec<SharedCredentialsProvider>) -> Self {
        Self { chains, from: AtomicUsize::new(0) }
    }

    async fn had(&self) -> Result<Credentials, CredentialsError> {
        let (count, first) = (self.chains.len(), self.from.load(Ordering::Relaxed));
        let mut silent = CredentialsError::not_loaded("there is nobody to ask for keys");
        for at in (first..first + count).map(|n| n % count) {
            // Who does not wait for the end of a region that hangs begins with the next one.
            self.from.store((at + 1) % count, Ordering::Relaxed);
            let asked = tokio::time::timeout(ONE_REGION, self.chains[at].provide_credentials()).await;
            match asked.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(ONE_REGION))) {
                Err(error) if is_silence(&error) => silent = error,
                answer => {
                    self.from.store(at, Ordering::Relaxed);
                    return answer;
                }
            }
        }
        Err(silent)
    }
}

impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.had())
    }
}

/// The region that the machine's settings name comes first, unless the plan may lose it soonest: its home.
fn order(machine: Option<&str>, regions: &[String]) -> Vec<String> {
    let first = machine.filter(|m| regions.last().is_none_or(|home| home != m));
    let mut order: Vec<String> = first.map(str::to_owned).into_iter().collect();
    order.extend(regions.iter().filter(|r| Some(r.as_str()) != first).cloned());
    if order.is_empty() {
        order.push(machine.unwrap_or(crate::access::ROUTE53_REGION).to_owned());
    }
    order
}

/// Nobody answered. A refusal is an answer, and so is that there are no keys here.
fn is_silence(error: &CredentialsError) -> bool {
    match error {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => false,
        _ => said_of(&chain(error)) == Said::Unreachable,
    }
}

/// What it means that keys were not had: STS says why a role may not be assumed; where it says nothing it did not answer.
pub(crate) fn said_of(why: &str) -> Said {
    match Said::of_code(why, 503) {
        Said::Broken => Said::Unreachable,
        said => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn the_home_is_asked_last() {
        let plan = ["us-west-2".to_owned(), "us-east-1".to_owned()];
        for (machine, asked) in [
            (None, vec!["us-west-2", "us-east-1"]),
            (Some("us-east-1"), vec!["us-west-2", "us-east-1"]),
            (Some("us-west-2"), vec!["us-west-2", "us-east-1"]),
            (Some("eu-central-1"), vec!["eu-central-1", "us-west-2", "us-east-1"]),
        ] {
            assert_eq!(order(machine, &plan), asked, "{machine:?}");
        }
        assert_eq!(order(Some("eu-west-1"), &[]), ["eu-west-1"]);
    }

    #[derive(Debug)]
    enum Answer {
        Keys,
        Silence,
        Hangs,
        Denied,
        None,
    }

    #[derive(Debug)]
    struct Sts {
        answer: Answer,
        asked: Arc<AtomicBool>,
    }

    impl ProvideCredentials for Sts {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.asked.store(true, Ordering::Relaxed);
            match self.answer {
                Answer::Hangs => future::ProvideCredentials::new(std::future::pending()),
                Answer::Keys => {
                    future::ProvideCredentials::ready(Ok(Credentials::new("id", "secret", None, None, "t")))
                }
                Answer::Silence => future::ProvideCredentials::ready(Err(CredentialsError::provider_error("cut"))),
                Answer::Denied => {
                    future::ProvideCredentials::ready(Err(CredentialsError::provider_error("AccessDenied: no")))
                }
                Answer::None => future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("nothing here"))),
            }
        }
    }

    /// Whether keys were had at the first and at the second time, and who was asked then.
    async fn twice(answers: [Answer; 2]) -> Vec<(bool, Vec<bool>)> {
        let asked = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let of = |(answer, asked): (Answer, &Arc<AtomicBool>)| Sts { answer, asked: Arc::clone(asked) };
        let chains = answers.into_iter().zip(&asked).map(of).map(SharedCredentialsProvider::new).collect();
        let keys = Keys::asking(chains);
        let mut seen = Vec::new();
        for _ in 0..2 {
            let had = keys.provide_credentials().await.is_ok();
            seen.push((had, asked.iter().map(|a| a.swap(false, Ordering::Relaxed)).collect()));
        }
        seen
    }

    #[tokio::test]
    async fn a_region_that_is_silent_is_passed_over_and_not_asked_first_again() {
        for lost in [Answer::Silence, Answer::Hangs] {
            let seen = twice([lost, Answer::Keys]).await;
            assert_eq!(seen, [(true, vec![true, true]), (true, vec![false, true])]);
        }
    }

    #[tokio::test]
    async fn an_answer_is_an_answer() {
        for answer in [Answer::Denied, Answer::None] {
            let seen = twice([answer, Answer::Keys]).await;
            assert_eq!(seen, [(false, vec![true, false]), (false, vec![true, false])]);
        }
    }

    #[tokio::test]
    async fn one_who_gives_up_early_begins_with_the_next_region() {
        let asked = Arc::new(AtomicBool::new(false));
        let of = |answer| SharedCredentialsProvider::new(Sts { answer, asked: Arc::clone(&asked) });
        let keys = Keys::asking(vec![of(Answer::Hangs), of(Answer::Keys)]);
        let early = tokio::time::timeout(Duration::from_secs(1), keys.provide_credentials()).await;
        assert!(early.is_err());
        assert!(tokio::time::timeout(Duration::from_secs(1), keys.provide_credentials()).await.unwrap().is_ok());
    }
}
