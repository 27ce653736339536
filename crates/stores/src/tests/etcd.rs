//! A real etcd: both batteries, the death of a member, the loss of the majority.

use crate::{Etcd, EtcdSettings, Objects, SharedStore, open};
use pilotlight_engine::store::Store;
use pilotlight_lab::engines::{EngineError, EtcdCluster};
use pilotlight_lab::required::{self, Need};
use std::cell::Cell;
use std::sync::Arc;

/// A cluster that answers, or `None` where etcd is not installed.
async fn cluster(members: usize) -> Option<EtcdCluster> {
    let cluster = match EtcdCluster::start(members) {
        Ok(cluster) => cluster,
        Err(e @ EngineError::Absent { .. }) => {
            required::skip(Need::Etcd, e);
            return None;
        }
        Err(e) => panic!("{e}"),
    };
    let objects = client(cluster.endpoints(), "ready/");
    super::until("etcd answers", async || objects.get("store/x").await).await;
    Some(cluster)
}

fn client(endpoints: &[String], prefix: &str) -> Etcd {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Etcd::new(EtcdSettings {
        endpoints: endpoints.to_vec(),
        prefix: prefix.to_owned(),
        login: None,
        client: reqwest::Client::builder().no_proxy().build().unwrap(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_passes_the_batteries() {
    let Some(cluster) = cluster(1).await else { return };
    let number = Cell::new(0);
    super::batteries(|| async {
        number.set(number.get() + 1);
        Arc::new(client(cluster.endpoints(), &format!("test-{}/", number.get()))) as Arc<dyn Objects>
    })
    .await;
    super::more_than_a_page(Arc::new(client(cluster.endpoints(), "pages/"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_bear_the_loss_of_one_and_say_so_when_two_are_gone() {
    let Some(mut cluster) = cluster(3).await else { return };
    let objects = client(cluster.endpoints(), "pilotlight/");
    let (_, store) = super::until("the trial goes through", async || open(Arc::new(objects.clone())).await).await;
    let first = store.put("k", b"one".to_vec(), None).await.unwrap();
    cluster.member(0).kill();
    // The member may have led the others, who elect another: the store says "not now" until they have.
    let second = super::until("the other two take writes", async || store.put("k", b"two".to_vec(), Some(first)).await);
    let second = second.await;
    assert_eq!(
        SharedStore::new(Arc::new(client(&cluster.endpoints()[2..], "pilotlight/")))
            .get("k")
            .await
            .unwrap()
            .unwrap()
            .version,
        second
    );
    cluster.member(1).kill();
    let error = store.get("k").await.unwrap_err();
    assert_eq!(error.code(), "PL-0504", "{error}");
    cluster.member(0).restart().unwrap();
    let found = super::until("the majority is back", async || store.get("k").await).await;
    assert_eq!(found.unwrap().value, b"two");
}
