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
