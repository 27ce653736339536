//! Figures of our own, as awscli reads them again.

use crate::ground::{Ground, WEST};
use pilotlight_core::plan::aws::{AwsMetrics, Figure};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_published_where_the_plan_says_and_a_silent_region_only_loses_them() {
    let Some(ground) = Ground::find().await else { return };
    let to =
        AwsMetrics { region: "eu-west-1".to_owned(), namespace: ground.fresh("Ours"), every: Duration::from_secs(60) };
    let lag = |region: &str, value| Figure {
        name: "Lag",
        is_seconds: true,
        value,
        of: vec![("Application", "pay".to_owned()), ("Region", region.to_owned())],
    };
    let figures: Vec<Figure> = (0..450_u32).map(|n| lag(&format!("r{n}"), f64::from(n))).collect();
    ground.access().publish(&to, &figures).await.unwrap();
    let said = ground.awscli("eu-west-1", &["cloudwatch", "list-metrics", "--namespace", &to.namespace]);
    assert_eq!(said["Metrics"].as_array().unwrap().len(), 450);
    let none = ground.awscli(WEST, &["cloudwatch", "list-metrics", "--namespace", &to.namespace]);
    assert_eq!(none["Metrics"].as_array().map_or(0, Vec::len), 0);

    ground.server.tell("regions/eu-west-1", json!({"control": "refuse"})).await.unwrap();
    assert!(ground.access().publish(&to, &figures[..1]).await.is_err());
}
