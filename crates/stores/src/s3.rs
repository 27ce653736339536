//! Objects in an object store that speaks S3: a put carries `If-None-Match: *` or `If-Match`.
//!
//! S3 is strongly consistent for reads and lists since 2020, and so must every server be that is used here; the trial at
//! the start looks at conditions only.

use crate::objects::{Expect, Object, Objects, Refused, Tag};
use async_trait::async_trait;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, RetryConfig,
    UpdateVersion,
};
use pilotlight_core::cause::chain;
use pilotlight_engine::storage::StorageError;
use std::sync::Arc;
use std::time::Duration;

/// One try of one request; the deadline of a call of the store has room for two.
const ONE_TRY: Duration = Duration::from_millis(900);

/// Where the bucket is, and who asks.
#[derive(Debug, Clone, Default)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What every object's name begins with, without a final slash.
    pub prefix: String,
    /// Its region.
    pub region: String,
    /// The server, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Access key id and secret; without them the machine's role is asked.
    pub key: Option<(String, String)>,
    /// What belongs to a key that is lent for a while.
    pub session: Option<String>,
}

/// See the module. Clones share everything.
#[derive(Debug, Clone)]
pub struct S3 {
    store: Arc<AmazonS3>,
    prefix: Path,
    name: String,
}

impl S3 {
    /// Asks nothing yet.
    pub fn new(settings: &S3Settings) -> Result<Self, StorageError> {
        let name = match &settings.endpoint {
            Some(endpoint) => format!("bucket {} at {endpoint}", settings.bucket),
            None => format!("bucket {} in {}", settings.bucket, settings.region),
        };
        let client = ClientOptions::new().with_timeout(ONE_TRY).with_connect_timeout(ONE_TRY).with_allow_http(true);
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(200),
            base: 2.0,
        };
        let retry = RetryConfig { backoff, max_retries: 2, retry_timeout: Duration::from_secs(2) };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_client_options(client)
            .with_retry(retry);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some((id, secret)) = &settings.key {
            builder = builder.with_access_key_id(id).with_secret_access_key(secret);
            if let Some(session) = &settings.session {
                builder = builder.with_token(session);
            }
        }
        let store = builder.build().map_err(|e| StorageError::Denied { what: name.clone(), why: e.to_string() })?;
        Ok(Self { store: Arc::new(store), prefix: Path::from(settings.prefix.as_str()), name })
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn failed(&self, error: &Error) -> StorageError {
        let (what, why) = (self.name.clone(), chain(error));
        match error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } | Error::NotFound { .. } => {
                StorageError::Denied { what, why }
            }
            Error::NotImplemented { .. } | Error::NotSupported { .. } => {
                StorageError::Unconditional { what, seen: why }
            }
            _ => StorageError::Unreachable { what, why },
        }
    }

    fn tag(&self, e_tag: Option<String>) -> Result<Tag, StorageError> {
        e_tag.map(Tag).ok_or_else(|| StorageError::Unconditional {
            what: self.name.clone(),
            seen: "it names no ETag, so there is nothing to compare".to_owned(),
        })
    }
}

#[async_trait]
impl Objects for S3 {
    fn name(&self) -> String {
        self.name.clone()
    }

    /// A request costs far more than its bytes.
    fn chunk_bytes(&self) -> usize {
        64 * 1024
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError> {
        let found = match self.store.get(&self.path(name)).await {
            Ok(found) => found,
            Err(Error::NotFound { source, .. }) if !source.to_string().contains("NoSuchBucket") => return Ok(None),
            Err(e) => return Err(self.failed(&e)),
        };
        let tag = self.tag(found.meta.e_tag.clone())?;
        let body = found.bytes().await.map_err(|e| self.failed(&e))?.to_vec();
        Ok(Some(Object { tag, body }))
    }

    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused> {
        let mode = match expect {
            Expect::Absent => PutMode::Create,
            Expect::Tagged(Tag(tag)) => PutMode::Update(UpdateVersion { e_tag: Some(tag.clone()), version: None }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.store.put_opts(&self.path(name), PutPayload::from(body), options).await {
            Ok(put) => self.tag(put.e_tag).map_err(Refused::Unclear),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Err(Refused::Changed),
            // What must be as it was is gone.
            Err(Error::NotFound { .. }) if *expect != Expect::Absent => Err(Refused::Changed),
            Err(e) => Err(Refused::Unclear(self.failed(&e))),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        let listed = self.store.list_with_delimiter(Some(&self.path(folder))).await.map_err(|e| self.failed(&e))?;
        let named = listed.objects.into_iter().filter_map(|o| Some((o.location.filename()?.to_owned(), o.e_tag)));
        named.map(|(leaf, e_tag)| Ok((leaf, self.tag(e_tag)?))).collect()
    }

    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.store.delete(&self.path(name)).await.map_err(|e| self.failed(&e))
    }
}
