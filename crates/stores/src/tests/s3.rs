//! An object store that honours conditions (moto), and one that does not.

use crate::{Objects, S3, S3Settings, open};
use pilotlight_lab::engines::{Buckets, EngineError};
use pilotlight_lab::required::{self, Need};
use std::cell::Cell;
use std::sync::Arc;

/// A server with one bucket, or `None` where moto is not installed.
async fn buckets() -> Option<Buckets> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let buckets = match Buckets::start() {
        Ok(buckets) => buckets,
        Err(e @ EngineError::Absent { .. }) => {
            required::skip(Need::Moto, e);
            return None;
        }
        Err(e) => panic!("{e}"),
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    super::until("the server makes the bucket", async || {
        let made = client.put(format!("{}/controllers", buckets.endpoint())).send().await;
        made.map_err(|e| e.to_string())?.error_for_status().map_err(|e| e.to_string())
    })
    .await;
    Some(buckets)
}

fn client(endpoint: &str, bucket: &str, prefix: &str) -> S3 {
    S3::new(&S3Settings {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        key: Some(("an-id".to_owned(), "a-secret".to_owned())),
        session: None,
    })
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_store_passes_the_batteries() {
    let Some(buckets) = buckets().await else { return };
    let number = Cell::new(0);
    super::batteries(|| async {
        number.set(number.get() + 1);
        let prefix = format!("test/{}", number.get());
        Arc::new(client(buckets.endpoint(), "controllers", &prefix)) as Arc<dyn Objects>
    })
    .await;
    open(Arc::new(client(buckets.endpoint(), "controllers", "trial"))).await.map(|_| ()).unwrap();
}

#[tokio::test]
async fn a_server_that_is_deaf_to_conditions_is_refused_at_the_start() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let endpoint = format!("http://{}", super::deaf::server().await);
    let error = open(Arc::new(client(&endpoint, "controllers", "x"))).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "PL-0505", "{error}");
    assert!(error.to_string().contains("was done"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_there_or_a_server_that_is_gone_has_its_own_error() {
    let Some(mut buckets) = buckets().await else { return };
    let error = open(Arc::new(client(buckets.endpoint(), "elsewhere", "x"))).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "PL-0506", "{error}");
    assert!(error.to_string().contains("elsewhere"), "{error}");
    buckets.server().kill();
    let error = open(Arc::new(client(buckets.endpoint(), "controllers", "x"))).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "PL-0504", "{error}");
}
