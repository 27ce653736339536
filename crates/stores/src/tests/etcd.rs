//! A real etcd: both batteries, the death of a member, the loss of the majority, accounts, TLS, no room.

use crate::{Etcd, EtcdSettings, Objects, SharedStore, open};
use base64::Engine as _;
use pilotlight_engine::store::{PutError, Store};
use pilotlight_lab::certificates;
use pilotlight_lab::engines::{EngineError, EtcdCluster, EtcdOptions};
use pilotlight_lab::required::{self, Need};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;

/// A cluster that answers, or `None` where etcd is not installed.
async fn cluster(members: usize) -> Option<EtcdCluster> {
    let cluster = started(members, &EtcdOptions::default())?;
    let objects = client(cluster.endpoints(), "ready/");
    super::until("etcd answers", async || objects.get("store/x").await).await;
    Some(cluster)
}

fn started(members: usize, options: &EtcdOptions) -> Option<EtcdCluster> {
    match EtcdCluster::start_with(members, options) {
        Ok(cluster) => Some(cluster),
        Err(e @ EngineError::Absent { .. }) => {
            required::skip(Need::Etcd, e);
            None
        }
        Err(e) => panic!("{e}"),
    }
}

fn client(endpoints: &[String], prefix: &str) -> Etcd {
    client_as(endpoints, prefix, None)
}

fn client_as(endpoints: &[String], prefix: &str, login: Option<(&str, &str)>) -> Etcd {
    let login = login.map(|(name, password)| (name.to_owned(), password.to_owned()));
    let (endpoints, prefix) = (endpoints.to_vec(), prefix.to_owned());
    Etcd::new(EtcdSettings { endpoints, prefix, login, client: http(None) })
}

/// Trusts this authority and no other, or what the system trusts.
fn http(ca: Option<&Path>) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().no_proxy();
    let ca = ca.map(|file| reqwest::Certificate::from_pem(&std::fs::read(file).unwrap()).unwrap());
    ca.into_iter().fold(builder, |builder, ca| builder.tls_certs_only([ca])).build().unwrap()
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

/// Whoever minds the accounts of a cluster.
struct Root {
    client: reqwest::Client,
    url: String,
}

impl Root {
    async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Value {
        let mut request = self.client.post(format!("{}/v3/{path}", self.url)).json(body);
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        request.send().await.unwrap().json().await.unwrap()
    }

    /// As `root`, once accounts are asked for. A token of before a change may be worth nothing: a new one each time.
    async fn order(&self, what: &str, body: Value) {
        let given = self.post("auth/authenticate", None, &json!({ "name": "root", "password": "sesame" })).await;
        let answer = self.post(&format!("auth/{what}"), given["token"].as_str(), &body).await;
        assert_eq!(answer.get("error"), None, "{what}: {answer}");
    }

    /// The role of controllers may read and write below this.
    async fn open(&self, prefix: &str) {
        let base64 = |text: String| base64::engine::general_purpose::STANDARD.encode(text);
        let (key, end) = (base64(format!("{prefix}/")), base64(format!("{prefix}0")));
        let permission = json!({ "permType": "READWRITE", "key": key, "range_end": end });
        self.order("role/grant", json!({ "name": "controllers", "perm": permission })).await;
    }

    /// Accounts as `docs/errors/PL-0506.md` wants them, for keys below `mine/`.
    async fn asks_who(cluster: &EtcdCluster) -> Root {
        let root = Root { client: http(None), url: cluster.endpoints()[0].clone() };
        for (user, password, role) in [("root", "sesame", "root"), ("pilot", "light", "controllers")] {
            root.order("user/add", json!({ "name": user, "password": password })).await;
            root.order("role/add", json!({ "name": role })).await;
            root.order("user/grant", json!({ "user": user, "role": role })).await;
        }
        root.open("mine").await;
        root.order("enable", json!({})).await;
        root
    }
}

/// Random tokens, which are forgotten with the process, and signed ones, which tell how old the accounts are that they know.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_used_and_goes_on_through_changes_of_accounts_and_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("token.key");
    std::fs::write(&key, "what nobody else knows").unwrap();
    for token_key in [None, Some(key)] {
        let Some(mut cluster) = started(1, &EtcdOptions { token_key: token_key.clone(), ..EtcdOptions::default() })
        else {
            return;
        };
        let objects = client(cluster.endpoints(), "mine/ready/");
        super::until("etcd answers", async || objects.get("store/x").await).await;
        let root = Root::asks_who(&cluster).await;
        let pilot = |prefix: &str| client_as(cluster.endpoints(), prefix, Some(("pilot", "light")));
        let number = Cell::new(0);
        pilotlight_engine::store::battery::all(|| async {
            number.set(number.get() + 1);
            SharedStore::new(Arc::new(pilot(&format!("mine/{}/", number.get()))))
        })
        .await;

        let (_, store) = open(Arc::new(pilot("mine/kept/"))).await.map_err(|e| format!("{token_key:?}: {e}")).unwrap();
        let mut version = store.put("k", b"0".to_vec(), None).await.unwrap();
        for password in ["other", "light"] {
            root.order("user/changepw", json!({ "name": "pilot", "password": password })).await;
        }
        version = store.put("k", b"the password was changed and back".to_vec(), Some(version)).await.unwrap();
        root.open("more").await;
        version = store.put("k", b"the role may do more".to_vec(), Some(version)).await.unwrap();
        let membership = json!({ "name": "pilot", "user": "pilot", "role": "controllers" });
        root.order("user/revoke", membership.clone()).await;
        assert_eq!(store.get("k").await.unwrap_err().code(), "PL-0506");
        root.order("user/grant", membership).await;
        version = store.put("k", b"the role was lost and given back".to_vec(), Some(version)).await.unwrap();
        let endpoints = cluster.endpoints().to_vec();
        cluster.member(0).kill();
        cluster.member(0).restart().unwrap();
        let found = super::until("etcd is back", async || store.get("k").await).await.unwrap();
        assert_eq!(found.version, version, "{token_key:?}");
        store.put("k", b"it was started anew".to_vec(), Some(version)).await.unwrap();

        for (prefix, login) in [
            ("mine/", Some(("pilot", "wrong"))),
            ("mine/", Some(("nobody", "light"))),
            ("mine/", None),
            ("theirs/", Some(("pilot", "light"))),
        ] {
            let error = client_as(&endpoints, prefix, login).get("store/x").await.unwrap_err();
            assert_eq!(error.code(), "PL-0506", "{prefix} {login:?}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_plan_trusts_is_spoken_tls_with_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let tls = certificates::make(folder.path(), &["127.0.0.1"]).unwrap();
    let Some(cluster) = started(1, &EtcdOptions { tls: Some(tls.clone()), ..EtcdOptions::default() }) else { return };
    let trusting = |ca| {
        let (endpoints, prefix) = (cluster.endpoints().to_vec(), "tls/".to_owned());
        Etcd::new(EtcdSettings { endpoints, prefix, login: None, client: http(Some(ca)) })
    };
    let (_, store) = super::until("the trial goes through", async || open(Arc::new(trusting(&tls.ca))).await).await;
    store.put("k", b"one".to_vec(), None).await.unwrap();
    let strange = certificates::make(&folder.path().join("strange"), &["127.0.0.1"]).unwrap();
    let error = trusting(&strange.ca).get("store/x").await.unwrap_err();
    assert_eq!(error.code(), "PL-0504", "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

/// And has room again by the commands of `docs/errors/PL-0501.md`.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_one_is_told_as_full_and_takes_writes_once_it_has_room() {
    let options = EtcdOptions { quota_bytes: Some(400_000), ..EtcdOptions::default() };
    let Some(cluster) = started(1, &options) else { return };
    let objects = client(cluster.endpoints(), "full/");
    super::until("etcd answers", async || objects.get("store/x").await).await;
    let store = SharedStore::new(Arc::new(objects.clone()));
    let mut version = None;
    let full = loop {
        match store.put("k", vec![b'x'; 50_000], version).await {
            Ok(put) => version = Some(put),
            Err(PutError::Storage(error)) => break error,
            Err(error) => panic!("{error}"),
        }
        assert!(version < Some(100), "it is never full");
    };
    assert_eq!(full.code(), "PL-0501", "{full}");
    assert!(full.to_string().contains("no space is left for etcd at "), "{full}");
    let kept = store.get("k").await.unwrap().map(|found| found.version);
    assert_eq!(kept, version, "it can be read, and nothing was done");

    let root = Root { client: http(None), url: cluster.endpoints()[0].clone() };
    let header = root.post("kv/range", None, &json!({ "key": "eA==" })).await["header"].clone();
    for (path, body) in [
        ("kv/compaction", json!({ "revision": header["revision"], "physical": true })),
        ("maintenance/defragment", json!({})),
        ("maintenance/alarm", json!({ "action": "DEACTIVATE", "memberID": header["member_id"], "alarm": "NOSPACE" })),
    ] {
        let answer = root.post(path, None, &body).await;
        assert_eq!(answer.get("error"), None, "{path}: {answer}");
    }
    store.put("k", b"small".to_vec(), version).await.unwrap();
}
