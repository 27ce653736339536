//! Notes to people through an SNS topic, called in the topic's own region.

use crate::access::Access;
use crate::call::{Call, Refused};
use crate::finding::{finding, not_asked};
use crate::words::cluster::region_of;
use crate::words::refusal::Said;
use async_trait::async_trait;
use aws_sdk_sns::Client;
use pilotlight_core::code;
use pilotlight_core::effect::{Capability, Descriptor, Effect};
use pilotlight_core::id::Component;
use pilotlight_core::observation::{State, Target};
use pilotlight_core::outcome::{Failure, Finding, Outcome, Severity};
use pilotlight_core::plan::aws::SnsPlan;
use pilotlight_driver::{Context, Driver};
use std::collections::HashMap;
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);
/// SNS takes so many characters in a subject.
const SUBJECT: usize = 100;

/// See the module.
pub struct SnsDriver {
    component: Component,
    plan: SnsPlan,
    access: Access,
}

impl SnsDriver {
    /// Calls nobody yet.
    pub fn new(component: Component, plan: SnsPlan, access: Access) -> Self {
        Self { component, plan, access }
    }

    fn region(&self) -> Result<&str, Failure> {
        region_of(&self.plan.topic).ok_or_else(|| Failure::rejected(format!("{} is no topic", self.plan.topic)))
    }

    /// What SNS says of the topic, by name.
    async fn look(&self) -> Result<HashMap<String, String>, Refused> {
        let region = region_of(&self.plan.topic).unwrap_or_default();
        let client = Client::new(&self.access.config_of(region).await.expect("a configuration is made without a call"));
        let send = || client.get_topic_attributes().topic_arn(&self.plan.topic).send();
        let call = Call { service: "sns", region, action: "GetTopicAttributes" };
        let said = self.access.read(call, LOOK, send).await?;
        Ok(said.attributes.unwrap_or_default())
    }

    /// What the topic's messages are encrypted with, in the words of whoever made it: an ARN, an id, an alias.
    pub(crate) async fn key(&self) -> Result<Option<String>, Failure> {
        self.region()?;
        let mut said = self.look().await.map_err(|r| r.not_seen())?;
        Ok(said.remove("KmsMasterKeyId").filter(|key| !key.is_empty()))
    }

    /// Nobody is told through a topic that is not there. One whose region is silent may answer by then.
    async fn findings(&self) -> Vec<Finding> {
        let (component, topic) = (&self.component, &self.plan.topic);
        match self.look().await {
            Ok(_) => Vec::new(),
            Err(refused) if refused.said == Said::Missing => {
                let message = format!("there is no topic {topic}, so {component} would tell nobody");
                let hint = "it was deleted, or the plan names another; make it again, with its subscriptions";
                vec![finding(code::AWS_MISSING, Severity::Blocker, message, hint)]
            }
            Err(refused) => {
                let found = not_asked(refused.not_seen());
                let silent = matches!(refused.said, Said::Broken | Said::Lost | Said::Unreachable | Said::Throttled);
                vec![if silent { Finding { severity: Severity::Warning, ..found } } else { found }]
            }
        }
    }
}

#[async_trait]
impl Driver for SnsDriver {
    fn describe(&self) -> Descriptor {
        Descriptor::caller_checked(Capability::Message)
    }

    async fn observe(&self, _target: &Target) -> Result<State, Failure> {
        Ok(State::default())
    }

    async fn preflight(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        match effect {
            Effect::Notify { .. } => {
                self.region()?;
                Ok(self.findings().await)
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn apply(&self, effect: &Effect, context: &Context) -> Result<Outcome, Failure> {
        let Effect::Notify { message, .. } = effect else {
            return Err(Failure::unsupported(format!("{} cannot {:?}", self.component, effect.capability())));
        };
        let region = self.region()?;
        let client = Client::new(&self.access.config_of(region).await?);
        let subject: String = message.chars().filter(|c| c.is_ascii() && !c.is_control()).take(SUBJECT).collect();
        let send = || client.publish().topic_arn(&self.plan.topic).subject(&subject).message(message).send();
        let call = Call { service: "sns", region, action: "Publish" };
        self.access.change(call, context.deadline / 2, send).await.map_err(|r| r.failure())?;
        Ok(Outcome::done_with(format!("told {}", self.plan.topic)))
    }
}
