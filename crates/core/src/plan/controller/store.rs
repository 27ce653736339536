//! `controller.store`: what controllers keep their journal and units in.

use crate::id::Application;
use crate::plan::SecretRef;
use crate::plan::shape::{Key, Section, Shape, Word, default, follows, optional, required, word};
use crate::plan::value::{Datum, Record, Value};
use serde::Serialize;
use std::path::PathBuf;

/// Where journal and units are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorePlan {
    /// SQLite in the folder `controller.state`: one controller.
    Sqlite,
    /// A folder that the controllers of one machine share.
    Folder(PathBuf),
    /// An object store with conditional writes.
    S3(S3Plan),
    /// etcd.
    Etcd(EtcdPlan),
}

/// `controller.store.s3`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct S3Plan {
    /// The bucket.
    pub bucket: String,
    /// What every object's name begins with.
    pub prefix: String,
    /// Its region.
    pub region: String,
    /// The server, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Who asks; without it the environment's key, else the machine's role.
    pub access_key_id: Option<SecretRef>,
    /// With what.
    pub secret_access_key: Option<SecretRef>,
}

/// `controller.store.etcd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EtcdPlan {
    /// Base URLs of its members.
    pub endpoints: Vec<String>,
    /// What every key begins with.
    pub prefix: String,
    /// Who asks, where etcd wants to know.
    pub user: Option<String>,
    /// With what.
    pub password: Option<SecretRef>,
    /// What its certificates are signed by; without it what the system trusts.
    pub ca: Option<PathBuf>,
}

static S3: Section = Section {
    doc: "A bucket whose server honours `If-None-Match` and `If-Match`; it is tried at each start.",
    keys: &[
        required("bucket", Shape::Text, "The bucket. It must not be in a region that the plan may lose."),
        follows("prefix", Shape::Text, "`pilotlight/` and the application's name", "What every name begins with."),
        default("region", Shape::Text, "us-east-1", "The bucket's region."),
        optional("endpoint", Shape::Url, "The server, where it is not Amazon's."),
        optional(
            "access_key_id",
            Shape::Secret,
            "Who asks. Without it: the key in the environment, else the role of the machine.",
        ),
        optional("secret_access_key", Shape::Secret, "With what."),
    ],
};

static ETCD: Section = Section {
    doc: "An etcd of version 3.4 or newer, through its JSON gateway.",
    keys: &[
        required("endpoints", Shape::List { of: &Shape::Url, least: 1 }, "Its members; name all of them."),
        follows("prefix", Shape::Text, "`pilotlight/` and the application's name", "What every key begins with."),
        optional("user", Shape::Text, "Who asks, where etcd wants to know."),
        optional("password", Shape::Secret, "With what."),
        optional("ca", Shape::Path, "What its certificates are signed by. Without it: what the system trusts."),
    ],
};

static SQLITE: [Word; 1] = [word("sqlite", "SQLite in the controller's `state`. For one controller.")];

static ENGINES: [Key; 3] = [
    optional(
        "folder",
        Shape::Path,
        "A folder that the controllers of one machine share; not on a network file system.",
    ),
    optional("s3", Shape::Record(&S3), "An object store that honours conditions."),
    optional("etcd", Shape::Record(&ETCD), "A cluster of etcd."),
];

/// The shape of `controller.store`.
pub(super) const SHAPE: Shape = Shape::ChoiceOr(&SQLITE, &ENGINES);

pub(super) fn build(value: &Value, application: &Application) -> Option<StorePlan> {
    let prefix = |record: &Record| {
        record.owned("prefix").map_or_else(|| format!("pilotlight/{application}"), |p| p.trim_matches('/').to_owned())
    };
    let Datum::One(engine, value) = &value.datum else { return Some(StorePlan::Sqlite) };
    if let Datum::Path(path) = &value.datum {
        return Some(StorePlan::Folder(path.clone()));
    }
    let record = value.record()?;
    Some(match *engine {
        "s3" => StorePlan::S3(S3Plan {
            bucket: record.owned("bucket")?,
            prefix: prefix(record),
            region: record.owned("region")?,
            endpoint: record.owned("endpoint"),
            access_key_id: record.secret("access_key_id"),
            secret_access_key: record.secret("secret_access_key"),
        }),
        _ => StorePlan::Etcd(EtcdPlan {
            endpoints: record.list("endpoints").iter().map(|v| v.text().map(str::to_owned)).collect::<Option<_>>()?,
            prefix: prefix(record),
            user: record.owned("user"),
            password: record.secret("password"),
            ca: record.path("ca"),
        }),
    })
}

impl StorePlan {
    /// Several controllers can use it at once.
    pub fn is_shared(&self) -> bool {
        *self != StorePlan::Sqlite
    }

    /// Every secret it names, by its key.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let named = match self {
            StorePlan::Sqlite | StorePlan::Folder(_) => vec![],
            StorePlan::S3(s3) => vec![
                ("controller.store.s3.access_key_id", &s3.access_key_id),
                ("controller.store.s3.secret_access_key", &s3.secret_access_key),
            ],
            StorePlan::Etcd(etcd) => vec![("controller.store.etcd.password", &etcd.password)],
        };
        named.into_iter().filter_map(|(key, secret)| Some((key, secret.as_ref()?))).collect()
    }

    /// Every path and secret it names, to be made to start at the plan's folder.
    pub(in crate::plan) fn places(&mut self) -> (Vec<&mut PathBuf>, Vec<&mut SecretRef>) {
        match self {
            StorePlan::Sqlite => (vec![], vec![]),
            StorePlan::Folder(path) => (vec![path], vec![]),
            StorePlan::S3(s3) => (vec![], s3.access_key_id.iter_mut().chain(s3.secret_access_key.iter_mut()).collect()),
            StorePlan::Etcd(etcd) => (etcd.ca.iter_mut().collect(), etcd.password.iter_mut().collect()),
        }
    }
}
