//! CloudWatch's alarms: what one says, by its ARN.

use crate::access::Access;
use crate::call::Call;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use pilotlight_core::health::Alarm;
use pilotlight_core::outcome::Failure;
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

impl Access {
    /// Asks the region that the ARN names, where the alarm lives. One that is not there is a failure, and no opinion.
    pub async fn alarm(&self, arn: &str) -> Result<Alarm, Failure> {
        let mut parts = arn.splitn(7, ':').skip(3);
        let (region, name) = (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default());
        let client = Client::new(&self.config_of(region).await?);
        let send = || {
            let call = client.describe_alarms().alarm_names(name);
            // Without them only those of one metric are answered.
            call.alarm_types(AlarmType::MetricAlarm).alarm_types(AlarmType::CompositeAlarm).send()
        };
        let call = Call { service: "monitoring", region, action: "DescribeAlarms" };
        let answer = self.read(call, LOOK, send).await.map_err(|r| r.not_seen())?;
        let one = answer.metric_alarms().first().map(|a| (a.state_value(), a.state_reason()));
        let other = answer.composite_alarms().first().map(|a| (a.state_value(), a.state_reason()));
        let Some((state, why)) = one.or(other) else {
            return Err(Failure::rejected(format!("there is no alarm {name} in {region}")));
        };
        let why = why.unwrap_or("no reason is given");
        Ok(match state {
            Some(StateValue::Ok) => Alarm::Quiet(format!("alarm {name} is OK")),
            Some(StateValue::Alarm) => Alarm::Raised(format!("alarm {name} has gone off: {why}")),
            other => Alarm::Untold(format!("alarm {name} is {}: {why}", other.map_or("unknown", StateValue::as_str))),
        })
    }
}
