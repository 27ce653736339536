//! One call to AWS: paced, repeated where that is harmless, and its failure in our words.

use crate::access::Access;
use crate::keys::said_of;
use crate::words::rate::pause;
use crate::words::refusal::Said;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use pilotlight_core::cause::chain;
use pilotlight_core::outcome::Failure;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// AWS shows a change that it has accepted within seconds; before that a look may still show the old state.
pub(crate) const SHOWS_WITHIN: Duration = Duration::from_secs(60);

/// Which call, for pacing and for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// For example `rds`.
    pub(crate) service: &'static str,
    /// AWS's name of the region that is called.
    pub(crate) region: &'a str,
    /// For example `SwitchoverGlobalCluster`.
    pub(crate) action: &'static str,
}

/// A call that failed.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) said: Said,
    text: String,
}

impl Refused {
    /// As a failure of an effect.
    pub(crate) fn failure(&self) -> Failure {
        let failure = Failure::new(self.said.kind(), self.text.clone());
        match self.said.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    /// As a failure of a look: nothing can have changed.
    pub(crate) fn not_seen(&self) -> Failure {
        let failure = match self.said {
            Said::Broken | Said::Lost | Said::Unreachable => Failure::unreachable(self.text.clone()),
            _ => return self.failure(),
        };
        failure.hint("is the region's API up, and does this machine reach it?")
    }
}

impl Access {
    /// A call that changes nothing: repeated while it is throttled or unanswered and time is left.
    pub(crate) async fn read<T, E, F>(&self, call: Call<'_>, time: Duration, send: impl Fn() -> F) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let again = |said| matches!(said, Said::Throttled | Said::Broken | Said::Lost);
        self.repeat(call, time, send, again).await
    }

    /// A call that changes something: repeated only while it is certain that nothing was done.
    pub(crate) async fn change<T, E, F>(
        &self,
        call: Call<'_>,
        time: Duration,
        send: impl Fn() -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.repeat(call, time, send, |said| said == Said::Throttled).await
    }

    /// The same, and repeated also while the thing is busy: nothing was done then either.
    pub(crate) async fn insist<T, E, F>(
        &self,
        call: Call<'_>,
        time: Duration,
        send: impl Fn() -> F,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        self.repeat(call, time, send, |said| matches!(said, Said::Throttled | Said::Busy)).await
    }

    async fn repeat<T, E, F>(
        &self,
        call: Call<'_>,
        time: Duration,
        send: impl Fn() -> F,
        again: impl Fn(Said) -> bool,
    ) -> Result<T, Refused>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let until = self.clock().mono() + time;
        let mut repetition = 0;
        loop {
            self.turn(call).await;
            let refused = match send().await {
                Ok(answer) => return Ok(answer),
                Err(error) => read_error(call, &error),
            };
            let wait = pause(repetition, chance());
            if !again(refused.said) || self.clock().mono() + wait >= until {
                return Err(refused);
            }
            tracing::debug!(?call, repetition, "{}; again in {wait:?}", refused.text);
            self.clock().sleep(wait).await;
            repetition += 1;
        }
    }
}

fn read_error<E>(call: Call<'_>, error: &SdkError<E, HttpResponse>) -> Refused
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let Call { action, region, .. } = call;
    match error {
        SdkError::ServiceError(inner) => {
            let meta = inner.err().meta();
            let code = meta.code().unwrap_or("unknown").to_owned();
            let said = Said::of_code(&code, inner.raw().status().as_u16());
            let message = meta.message().unwrap_or_default();
            Refused { said, text: format!("{action} in {region} was refused: {code}: {message}") }
        }
        SdkError::ResponseError(inner) if inner.raw().status().as_u16() < 500 => {
            let text = format!("{action} in {region} was answered with status {}", inner.raw().status());
            Refused { said: Said::Wrong, text }
        }
        SdkError::ConstructionFailure(_) => {
            let text = format!("{action} in {region} cannot be asked: {}", chain(error));
            Refused { said: Said::Denied, text }
        }
        SdkError::DispatchFailure(_) if keys_were_not_had(error) => {
            let why = chain(error);
            let said = said_of(&why);
            Refused { said, text: format!("{action} in {region} was not sent, there are no keys for it: {why}") }
        }
        SdkError::DispatchFailure(inner) if never_left(inner) => {
            let text = format!("{action} in {region}: the API does not answer: {}", chain(error));
            Refused { said: Said::Unreachable, text }
        }
        _ => {
            let text = format!("{action} in {region} was sent and no answer came: {}", chain(error));
            Refused { said: Said::Lost, text }
        }
    }
}

/// It failed before it was signed: a role could not be assumed, or keys ran out.
fn keys_were_not_had(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<CredentialsError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Only what failed while connecting was certainly not sent.
fn never_left(failure: &aws_smithy_runtime_api::client::result::DispatchFailure) -> bool {
    let mut next = failure.as_connector_error().and_then(std::error::Error::source);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        next = error.source();
    }
    false
}

/// Something between 0 and 1 that differs from process to process and from call to call. Not for secrets.
fn chance() -> f64 {
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}
