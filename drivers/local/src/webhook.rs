//! Notes to people: a JSON object with `text`, posted to a URL that is itself a secret (Slack-compatible).
//!
//! Invariants: the URL is in no message, log or debug output; a key is sent once by one process (a guard around it
//! makes that true across restarts). What was not answered may have been told: its outcome is unknown.

use crate::redact::Redactor;
use async_trait::async_trait;
use pilotlight_core::cause;
use pilotlight_core::effect::{Capability, Descriptor, Effect};
use pilotlight_core::id::{Component, EffectKey};
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_driver::{Context, Driver};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Keys remembered; a run sends a handful of messages.
const KEYS_KEPT: usize = 256;

/// Sends notes to one place.
pub struct WebhookDriver {
    component: Component,
    client: reqwest::Client,
    url: String,
    redactor: Redactor,
    sent: Mutex<VecDeque<EffectKey>>,
}

impl WebhookDriver {
    /// Posts with that client to that URL.
    pub fn new(component: Component, client: reqwest::Client, url: String, redactor: Redactor) -> Self {
        Self { component, client, url, redactor, sent: Mutex::default() }
    }

    async fn send(&self, message: &str, context: &Context) -> Result<Outcome, Failure> {
        if self.sent().contains(&context.key) {
            return Ok(Outcome::done());
        }
        let text = self.redactor.redact(message);
        let request = self
            .client
            .post(&self.url)
            .header("idempotency-key", context.key.as_str())
            .json(&serde_json::json!({ "text": text }))
            .timeout(context.deadline);
        let who = &self.component;
        let response = request.send().await.map_err(|e| {
            let never_left = e.is_connect() || e.is_builder();
            // The innermost cause only: the outer ones name the URL's host, which for some services is part of the secret.
            let why = cause::root(&e.without_url());
            if never_left {
                return Failure::transient(format!("the message was not sent through {who}: {why}"));
            }
            Failure::unknown(format!("the message may have been told: {who} did not answer: {why}"))
        })?;
        let status = response.status();
        if !status.is_success() {
            let answer: String = response.text().await.unwrap_or_default().chars().take(300).collect();
            return Err(Failure::transient(format!("{who} answered {status} to a message"))
                .output(self.redactor.redact(&answer.replace(&self.url, "[secret]"))));
        }
        let mut sent = self.sent();
        sent.push_back(context.key.clone());
        if sent.len() > KEYS_KEPT {
            sent.pop_front();
        }
        Ok(Outcome::done())
    }

    fn sent(&self) -> std::sync::MutexGuard<'_, VecDeque<EffectKey>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Driver for WebhookDriver {
    fn describe(&self) -> Descriptor {
        Descriptor::caller_checked(Capability::Message)
    }

    async fn observe(&self, target: &Target) -> Result<State, Failure> {
        Err(Failure::unsupported(format!("{} takes messages; there is nothing to see", target.component)))
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        message_of(effect)?;
        let usable = self.url.parse::<reqwest::Url>().is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        Ok(if usable {
            Vec::new()
        } else {
            vec![Finding {
                code: pilotlight_core::code::WEBHOOK_URL.to_string(),
                severity: Severity::Warning,
                message: format!("the URL of {} is not an http or https address", self.component),
                hint: "Put the whole address, with https://, where the plan says the secret is.".to_owned(),
            }]
        })
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        self.send(message_of(effect)?, context).await
    }
}

fn message_of(effect: &Effect) -> Result<&str, Failure> {
    match effect {
        Effect::Notify { message, .. } => Ok(message),
        other => Err(Failure::unsupported(format!("messages only, not {other:?}"))),
    }
}

#[cfg(test)]
mod tests;
