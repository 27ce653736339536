//! Figures of Pilotlight itself, published in CloudWatch.

use crate::access::Access;
use crate::call::Call;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use pilotlight_core::outcome::Failure;
use pilotlight_core::plan::aws::{AwsMetrics, Figure};
use std::time::Duration;

/// Nothing waits for longer; the next figures come soon.
const LONGEST: Duration = Duration::from_secs(5);

/// AWS takes a thousand; a call stays small.
const IN_ONE_CALL: usize = 200;

impl Access {
    /// Publishes them now. What fails is lost: the next ones are newer.
    pub async fn publish(&self, to: &AwsMetrics, figures: &[Figure]) -> Result<(), Failure> {
        let client = Client::new(&self.config_of(&to.region).await?);
        for some in figures.chunks(IN_ONE_CALL) {
            let data: Vec<MetricDatum> = some.iter().map(datum).collect();
            let send = || client.put_metric_data().namespace(&to.namespace).set_metric_data(Some(data.clone())).send();
            let call = Call { service: "monitoring", region: &to.region, action: "PutMetricData" };
            self.change(call, LONGEST, send).await.map_err(|r| r.failure())?;
        }
        Ok(())
    }
}

fn datum(figure: &Figure) -> MetricDatum {
    let dimension = |(name, value): &(&'static str, String)| Dimension::builder().name(*name).value(value).build();
    let unit = if figure.is_seconds { StandardUnit::Seconds } else { StandardUnit::Count };
    let of = figure.of.iter().map(dimension).collect();
    MetricDatum::builder().metric_name(figure.name).unit(unit).value(figure.value).set_dimensions(Some(of)).build()
}
