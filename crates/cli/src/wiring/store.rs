//! What the plan's controllers keep their journal and units in.

use crate::connect;
use crate::error::{CliError, Exit};
use anyhow::Context;
use pilotlight_core::plan::{EtcdPlan, Member, Plan, S3Plan, SecretRef, StorePlan};
use pilotlight_engine::journal::Journal;
use pilotlight_engine::sqlite;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::Store;
use pilotlight_stores::{Etcd, EtcdSettings, Folder, Objects, S3, S3Settings};
use std::sync::Arc;
use std::time::Duration;

/// Journal and store.
pub(crate) struct Opened {
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) store: Arc<dyn Store>,
}

/// Opens it; a shared one is tried first, and refused if it is no lock.
pub(crate) async fn open(plan: &Plan, member: &Member) -> Result<Opened, CliError> {
    if plan.controller.store == StorePlan::Sqlite {
        let (journal, store) = sqlite::open(&member.state).map_err(refused)?;
        return Ok(Opened { journal: Arc::new(journal), store: Arc::new(store) });
    }
    let objects: Arc<dyn Objects> = match &plan.controller.store {
        StorePlan::Folder(path) => Arc::new(Folder::open(path).map_err(refused)?),
        StorePlan::S3(s3) => Arc::new(S3::new(&bucket(s3)?).map_err(refused)?),
        StorePlan::Etcd(etcd) => Arc::new(Etcd::new(cluster(etcd)?)),
        StorePlan::Sqlite => unreachable!("answered above"),
    };
    let (journal, store) = pilotlight_stores::open(objects).await.map_err(refused)?;
    Ok(Opened { journal: Arc::new(journal), store: Arc::new(store) })
}

fn secret(reference: Option<&SecretRef>) -> Result<Option<String>, CliError> {
    reference.map(connect::secret).transpose()
}

fn bucket(s3: &S3Plan) -> Result<S3Settings, CliError> {
    let (key, session) = match (secret(s3.access_key_id.as_ref())?, secret(s3.secret_access_key.as_ref())?) {
        (Some(id), Some(secret)) => (Some((id, secret)), None),
        _ => of_environment(),
    };
    let (bucket, prefix, region) = (s3.bucket.clone(), s3.prefix.clone(), s3.region.clone());
    Ok(S3Settings { bucket, prefix, region, endpoint: s3.endpoint.clone(), key, session })
}

/// Where the plan names no key: the one of the environment, as every AWS program takes it. A function has its role there and
/// no machine that could be asked.
fn of_environment() -> (Option<(String, String)>, Option<String>) {
    let of = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => (Some((id, secret)), of("AWS_SESSION_TOKEN")),
        _ => (None, None),
    }
}

fn cluster(etcd: &EtcdPlan) -> Result<EtcdSettings, CliError> {
    let login = match (&etcd.user, secret(etcd.password.as_ref())?) {
        (Some(user), Some(password)) => Some((user.clone(), password)),
        _ => None,
    };
    let mut builder = reqwest::Client::builder().connect_timeout(Duration::from_millis(500)).no_proxy();
    if let Some(ca) = &etcd.ca {
        builder = builder.tls_certs_only([connect::authority(ca)?]);
    }
    let client = builder.build().context("cannot make the client of etcd")?;
    let prefix = format!("{}/", etcd.prefix);
    Ok(EtcdSettings { endpoints: etcd.endpoints.clone(), prefix, login, client })
}

#[allow(clippy::needless_pass_by_value)] // the shape map_err wants
pub(crate) fn refused(e: StorageError) -> CliError {
    let hint = match &e {
        // The engine's own hint is for a controller that runs; this one has not begun.
        StorageError::Io { .. } => "nothing was started; look at `controller` in the plan: may you write there?",
        StorageError::Full { .. } => "nothing was started; free some space and start again, no run is lost",
        other => other.hint(),
    };
    let (code, exit) = (e.code(), exit_of(&e));
    CliError::new(exit, e).code(code).hint(hint)
}

fn exit_of(e: &StorageError) -> Exit {
    match e {
        StorageError::Unconditional { .. } => Exit::Refused,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_driver::clock::{Clock, SystemClock};
    use pilotlight_lab::certificates;
    use pilotlight_lab::engines::{EngineError, EtcdCluster, EtcdOptions};
    use pilotlight_lab::required::{self, Need};
    use serde_json::{Value, json};

    /// Whoever may do everything, and a controller that may write what is below its prefix.
    async fn accounts(etcd: &EtcdPlan) {
        let client = cluster(etcd).unwrap().client;
        let post = async |path: &str, body: Value| {
            let sent = client.post(format!("{}/v3/auth/{path}", etcd.endpoints[0])).json(&body).send().await;
            sent.and_then(reqwest::Response::error_for_status).unwrap_or_else(|e| panic!("{path}: {e}"));
        };
        for (user, password) in [("root", "sesame"), ("pilot", "light")] {
            post("user/add", json!({ "name": user, "password": password })).await;
            post("role/add", json!({ "name": user })).await;
            post("user/grant", json!({ "user": user, "role": user })).await;
        }
        // `payments/` and all that begins so, in base64.
        let permission = json!({ "permType": "READWRITE", "key": "cGF5bWVudHMv", "range_end": "cGF5bWVudHMw" });
        post("role/grant", json!({ "name": "pilot", "perm": permission })).await;
        post("enable", json!({})).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_etcd_with_tls_and_accounts_is_opened_by_what_the_plan_names() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let tls = certificates::make(folder.path(), &["127.0.0.1"]).unwrap();
        let started =
            match EtcdCluster::start_with(1, &EtcdOptions { tls: Some(tls.clone()), ..EtcdOptions::default() }) {
                Ok(started) => started,
                Err(e @ EngineError::Absent { .. }) => return required::skip(Need::Etcd, e),
                Err(e) => panic!("{e}"),
            };
        let secret = |text: &str| {
            let file = folder.path().join(text);
            std::fs::write(&file, text).unwrap();
            Some(SecretRef::File(file))
        };
        let plan = EtcdPlan {
            endpoints: started.endpoints().to_vec(),
            prefix: "payments".to_owned(),
            user: Some("pilot".to_owned()),
            password: secret("light"),
            ca: Some(tls.ca),
        };
        let opened = async |plan: &EtcdPlan| {
            let objects = Arc::new(Etcd::new(cluster(plan).unwrap()));
            pilotlight_stores::open(objects).await.map(|(_, store)| store).map_err(refused)
        };
        let anybody = EtcdPlan { user: None, password: None, ..plan.clone() };
        let mut tries = 1..600;
        while let Err(last) = opened(&anybody).await {
            assert!(tries.next().is_some(), "etcd does not answer: {last:?}");
            SystemClock.sleep(Duration::from_millis(50)).await;
        }
        accounts(&anybody).await;
        let store = opened(&plan).await.unwrap();
        store.put("k", b"one".to_vec(), None).await.unwrap();
        let wrong = EtcdPlan { password: secret("wrong"), ..plan.clone() };
        let elsewhere = EtcdPlan { prefix: "elsewhere".to_owned(), ..plan.clone() };
        let strange = certificates::make(&folder.path().join("strange"), &["127.0.0.1"]).unwrap().ca;
        let strange = EtcdPlan { ca: Some(strange), ..plan };
        for (plan, code) in [(wrong, "PL-0506"), (anybody, "PL-0506"), (elsewhere, "PL-0506"), (strange, "PL-0504")] {
            let error = opened(&plan).await.map(|_| ()).unwrap_err();
            assert_eq!(error.code.as_deref(), Some(code), "{plan:?}: {error:?}");
        }
    }
}
