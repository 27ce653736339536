//! Objects as files of one folder that several processes of one machine share: for tests and small set-ups.
//!
//! A file is written beside, flushed and renamed, so that it is there whole or not at all. What is there is compared under
//! a lock of the kernel on one file of the folder, held only for the comparison and the renaming, and let go when its
//! holder dies. A holder that is frozen in these microseconds stops everybody until it is thawed or killed; nobody is
//! misled meanwhile.
//!
//! Not for network file systems: they may cache a name or forget a lock, and the trial at the start cannot tell.

use crate::objects::{Expect, Object, Objects, Refused, Tag};
use async_trait::async_trait;
use pilotlight_engine::storage::StorageError;
use std::fs::{self, File, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Files that are being written.
const ASIDE: &str = "aside";
const LOCK: &str = "lock";

/// Between two tries to get the lock.
const AGAIN: Duration = Duration::from_millis(1);
/// A lock that is held so long has a frozen holder.
const TRIES: u32 = 1_000;

/// What lies aside for so long was left by a process that died.
const LEFT_BEHIND: Duration = Duration::from_secs(3_600);

/// See the module. Clones share everything.
#[derive(Debug, Clone)]
pub struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    written: AtomicU64,
}

impl Folder {
    /// The folder, which is made if need be.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let inner = Inner { path: path.to_path_buf(), written: AtomicU64::new(0) };
        let make = || -> io::Result<()> {
            fs::create_dir_all(path.join(ASIDE))?;
            File::options().create(true).append(true).open(path.join(LOCK))?;
            Ok(())
        };
        make().map_err(|e| inner.failed("using", &e))?;
        inner.tidy_up();
        Ok(Self(Arc::new(inner)))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner)).await.map_err(|_| StorageError::Closed)?
    }

    async fn lock(&self) -> Result<File, StorageError> {
        let lock = File::options().append(true).open(self.0.path.join(LOCK));
        let lock = lock.map_err(|e| self.0.failed("opening the lock of", &e))?;
        for _ in 0..TRIES {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(AGAIN).await,
                Err(TryLockError::Error(e)) => return Err(self.0.failed("locking", &e)),
            }
        }
        Err(StorageError::Unreachable {
            what: self.name(),
            why: format!("{} is held by a process that does not go on", self.0.path.join(LOCK).display()),
        })
    }
}

impl Inner {
    fn failed(&self, doing: &str, error: &io::Error) -> StorageError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StorageError::Full { file: self.path.clone() },
            _ => StorageError::Io { what: format!("{doing} {}", self.path.display()), why: error.to_string() },
        }
    }

    /// A file that is removed too early only costs its writer another try.
    fn tidy_up(&self) {
        for entry in fs::read_dir(self.path.join(ASIDE)).into_iter().flatten().flatten() {
            let age = entry.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            if age.is_some_and(|age| age > LEFT_BEHIND) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn read(&self, name: &str) -> Result<Option<Object>, StorageError> {
        match fs::read(self.path.join(name)) {
            Ok(body) => Ok(Some(Object { tag: tag(&body), body })),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.failed("reading", &e)),
        }
    }

    /// Writes the file beside its place, to the disk.
    fn write_aside(&self, body: &[u8]) -> Result<PathBuf, StorageError> {
        let number = self.written.fetch_add(1, Ordering::Relaxed);
        let path = self.path.join(ASIDE).join(format!("{}-{number}", std::process::id()));
        let write = || -> io::Result<()> {
            let mut file = File::create(&path)?;
            file.write_all(body)?;
            file.sync_all()
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&path);
            self.failed("writing into", &e)
        })?;
        Ok(path)
    }

    fn rename(&self, aside: &Path, name: &str) -> Result<(), StorageError> {
        let to = self.path.join(name);
        let folder = to.parent().unwrap_or(&self.path);
        let rename = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            fs::rename(aside, &to)
        };
        rename().map_err(|e| self.failed("renaming in", &e))
    }

    fn flush(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| self.failed("flushing", &e))
    }

    fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        let entries = match fs::read_dir(self.path.join(folder)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(self.failed("listing", &e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| self.failed("listing", &e))?;
            let Ok(leaf) = entry.file_name().into_string() else { continue };
            if let Some(object) = self.read(&format!("{folder}/{leaf}"))? {
                found.push((leaf, object.tag));
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Objects for Folder {
    fn name(&self) -> String {
        format!("the folder {}", self.0.path.display())
    }

    fn chunk_bytes(&self) -> usize {
        16 * 1024
    }

    async fn get(&self, name: &str) -> Result<Option<Object>, StorageError> {
        let name = name.to_owned();
        self.blocking(move |inner| inner.read(&name)).await
    }

    async fn put(&self, name: &str, body: Vec<u8>, expect: &Expect) -> Result<Tag, Refused> {
        let (to, expect, new) = (name.to_owned(), expect.clone(), tag(&body));
        let aside = self.blocking(move |inner| inner.write_aside(&body)).await.map_err(Refused::Unclear)?;
        let lock = self.lock().await.map_err(Refused::Unclear)?;
        let swapped = self.blocking(move |inner| {
            let found = inner.read(&to)?.map(|object| object.tag);
            let expected = match expect {
                Expect::Absent => None,
                Expect::Tagged(tag) => Some(tag),
            };
            if found != expected {
                let _ = fs::remove_file(&aside);
                return Ok(false);
            }
            inner.rename(&aside, &to)?;
            drop(lock);
            inner.flush(&to)?;
            Ok(true)
        });
        match swapped.await {
            Ok(true) => Ok(new),
            Ok(false) => Err(Refused::Changed),
            Err(why) => Err(Refused::Unclear(why)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<(String, Tag)>, StorageError> {
        let folder = folder.to_owned();
        self.blocking(move |inner| inner.list(&folder)).await
    }

    async fn remove(&self, name: &str) -> Result<(), StorageError> {
        let name = name.to_owned();
        self.blocking(move |inner| match fs::remove_file(inner.path.join(&name)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(inner.failed("removing from", &e)),
            _ => Ok(()),
        })
        .await
    }
}

/// Every put has other bytes (see `envelope`), so a digest of them names the state. Compared within one process only.
fn tag(body: &[u8]) -> Tag {
    let mut hasher = DefaultHasher::new();
    body.hash(&mut hasher);
    Tag(format!("{:016x}-{}", hasher.finish(), body.len()))
}
