//! CloudWatch: the newest value of a metric, as old as AWS publishes it, and sums.

use crate::access::Access;
use crate::call::Call;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::Failure;
use pilotlight_core::position::{Lag, LagQuality};
use pilotlight_core::time::{Mono, Wall};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// CloudWatch keeps one value a minute; older than this it says nothing of now.
const WINDOW: Duration = Duration::from_secs(600);

/// Each question costs, and the answer changes once a minute.
const KEPT: Duration = Duration::from_secs(20);

/// Which metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Metric {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    pub(crate) dimensions: Vec<(&'static str, String)>,
}

/// A value and the beginning of the minute it is the largest of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Value {
    pub(crate) value: f64,
    pub(crate) at: Wall,
}

impl Value {
    /// The same in seconds, of what AWS publishes in milliseconds.
    pub(crate) fn to_seconds(self) -> Self {
        Value { value: self.value / 1_000.0, ..self }
    }

    /// As the lag of a copy, in seconds.
    pub(crate) fn lag(&self, now: Wall) -> Lag {
        Lag {
            received_bytes: None,
            replay_bytes: None,
            seconds_ms: Duration::try_from_secs_f64(self.value).ok(),
            quality: LagQuality::ProviderMetric,
            age_ms: now.since(self.at),
        }
    }

    /// Everything written until then is in the copy, in milliseconds of the wall clock.
    pub(crate) fn reached(&self) -> Option<u64> {
        let lag = Duration::try_from_secs_f64(self.value).ok()?;
        Some(self.at.0.saturating_sub(u64::try_from(lag.as_millis()).ok()?))
    }
}

/// Newest values by region and metric, and when they were asked for.
#[derive(Default)]
pub(crate) struct Kept(Mutex<BTreeMap<(Region, Metric), Answer>>);

/// When it was asked for, and the value.
type Answer = (Mono, Option<Value>);

impl Access {
    /// The newest value, asked for now or else anew at most every [`KEPT`]; `None` when there was none lately.
    pub(crate) async fn metric(&self, region: &Region, metric: &Metric, now: bool) -> Result<Option<Value>, Failure> {
        let key = (region.clone(), metric.clone());
        let kept = self.kept().0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        match kept {
            Some((asked, value)) if !now && self.clock().mono().since(asked) < KEPT => Ok(value),
            _ => self.metric_now(region, metric).await,
        }
    }

    async fn metric_now(&self, region: &Region, metric: &Metric) -> Result<Option<Value>, Failure> {
        let points = self.points(region, metric, WINDOW, 60, Statistic::Maximum).await?;
        let read = |d: &Datapoint| {
            let at = u64::try_from(d.timestamp()?.to_millis().ok()?).ok()?;
            Some(Value { value: d.maximum()?, at: Wall(at) })
        };
        // Below zero says that there was nothing to measure, as RDS does when a source is lost: what it said before counts, as
        // old as that is.
        let newest = points.iter().filter_map(read).filter(|v| v.value >= 0.0).max_by_key(|v| v.at);
        let mut kept = self.kept().0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((region.clone(), metric.clone()), (self.clock().mono(), newest));
        Ok(newest)
    }

    /// The sum over a time until now; zero when there was nothing.
    pub(crate) async fn total_now(&self, region: &Region, metric: &Metric, over: Duration) -> Result<f64, Failure> {
        let points = self.points(region, metric, over, 3_600, Statistic::Sum).await?;
        Ok(points.iter().filter_map(Datapoint::sum).sum())
    }

    async fn points(
        &self,
        region: &Region,
        metric: &Metric,
        over: Duration,
        period: i32,
        statistic: Statistic,
    ) -> Result<Vec<Datapoint>, Failure> {
        let client = Client::new(&self.config(region).await?);
        let end = self.clock().wall();
        let start = Wall(end.0.saturating_sub(u64::try_from(over.as_millis()).unwrap_or(u64::MAX)));
        let dimensions: Vec<Dimension> = metric
            .dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(value).build())
            .collect();
        let send = || {
            let call = client.get_metric_statistics().namespace(metric.namespace).metric_name(metric.name);
            let call = call.set_dimensions(Some(dimensions.clone())).period(period).statistics(statistic.clone());
            call.start_time(moment(start)).end_time(moment(end)).send()
        };
        let call = Call { service: "monitoring", region: self.name(region), action: "GetMetricStatistics" };
        let answer = self.read(call, LOOK, send).await.map_err(|r| r.not_seen())?;
        Ok(answer.datapoints.unwrap_or_default())
    }
}

fn moment(at: Wall) -> DateTime {
    DateTime::from_millis(i64::try_from(at.0).unwrap_or(i64::MAX))
}
