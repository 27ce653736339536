//! Keeps the [`Book`] on disk: one JSON file, replaced as a whole.
//!
//! Order of a put: check -> write beside -> fsync -> rename -> fsync of the folder -> publish -> answer. So what was
//! answered is on disk, and what is on disk is whole. A second process on the same folder is refused by a lock.

use crate::book::{Book, PutError};
use pilotlight_core::protocol::dns::{NamePut, PutReply};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

/// Raised when the file changes its meaning.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written<B> {
    format: u32,
    #[serde(flatten)]
    book: B,
}

/// The book, on disk and in memory.
pub struct Shelf {
    folder: PathBuf,
    /// Held during a whole put, so that puts follow one another; queries never wait for it.
    writing: Mutex<()>,
    published: RwLock<Arc<Book>>,
    _lock: File,
}

/// The book could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be used.
    #[error("cannot use the folder {folder}")]
    Folder { folder: PathBuf, source: io::Error },
    /// Two authorities on one folder would overwrite each other's epochs.
    #[error("the folder {0} is in use by another process")]
    InUse(PathBuf),
    /// Starting empty instead would forget the epochs, so that is left to a person.
    #[error("{file} cannot be read as what was published: {why}")]
    Unreadable { file: PathBuf, why: String },
}

/// A put was not stored; what was published before still is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// By the rules of the book.
    #[error(transparent)]
    Refused(#[from] PutError),
    /// By the disk.
    #[error("cannot store what is published in {folder}")]
    Disk { folder: PathBuf, source: io::Error },
}

impl Shelf {
    /// Opens the folder, which is made when it is missing, and loads what was published.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let used = |source| OpenError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(used)?;
        let lock = File::create(folder.join("lock")).map_err(used)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => OpenError::InUse(folder.to_owned()),
            TryLockError::Error(source) => used(source),
        })?;
        let file = folder.join("names.json");
        let unreadable = |why: String| OpenError::Unreadable { file: file.clone(), why };
        let book = match fs::read(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(source) => return Err(used(source)),
            Ok(bytes) => {
                let written: Written<Book> = serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))?;
                if written.format != FORMAT {
                    return Err(unreadable(format!("it is of format {}, not {FORMAT}", written.format)));
                }
                written.book
            }
        };
        let published = RwLock::new(Arc::new(book));
        Ok(Self { folder: folder.to_owned(), writing: Mutex::new(()), published, _lock: lock })
    }

    /// What is published now.
    pub fn book(&self) -> Arc<Book> {
        self.published.read().expect("publishing is one assignment, which cannot panic").clone()
    }

    /// Stores and publishes. Blocks on the disk: call it where blocking is allowed.
    pub fn put(&self, name: &str, put: &NamePut) -> Result<PutReply, StoreError> {
        let _turn = self.writing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let old = self.book();
        let (next, reply) = old.put(name, put)?;
        if next != *old {
            self.write(&next).map_err(|source| StoreError::Disk { folder: self.folder.clone(), source })?;
            *self.published.write().expect("publishing is one assignment, which cannot panic") = Arc::new(next);
        }
        Ok(reply)
    }

    fn write(&self, book: &Book) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&Written { format: FORMAT, book })?;
        bytes.push(b'\n');
        let beside = self.folder.join("names.json.new");
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join("names.json"))?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::id::Epoch;
    use pilotlight_core::protocol::dns::NameAnswer;

    fn put(epoch: u64, weight: u32) -> NamePut {
        let answers = vec![NameAnswer { region: "east".into(), address: [127, 0, 0, 2].into(), weight }];
        NamePut { unit: "payments".into(), epoch: Epoch(epoch), ttl_s: 1, answers, if_version: None }
    }

    #[test]
    fn what_was_stored_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        shelf.put("pay.example.test", &put(3, 1)).unwrap();
        let before = shelf.book();
        drop(shelf);
        let again = Shelf::open(folder.path()).unwrap();
        assert_eq!(again.book(), before);
        assert!(matches!(again.put("pay.example.test", &put(2, 7)), Err(StoreError::Refused(_))));
    }

    #[test]
    fn one_folder_has_one_authority() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Shelf::open(folder.path()).unwrap();
        assert!(matches!(Shelf::open(folder.path()), Err(OpenError::InUse(_))));
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        Shelf::open(folder.path()).unwrap().put("pay.example.test", &put(3, 1)).unwrap();
        let file = folder.path().join("names.json");
        let whole = fs::read(&file).unwrap();
        for cut in [0, 1, whole.len() / 2] {
            fs::write(&file, &whole[..cut]).unwrap();
            assert!(matches!(Shelf::open(folder.path()), Err(OpenError::Unreadable { .. })), "cut at {cut}");
        }
        fs::write(&file, r#"{"format": 2, "units": {}, "names": {}}"#).unwrap();
        assert!(matches!(Shelf::open(folder.path()), Err(OpenError::Unreadable { .. })));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_leaves_the_old_answers() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path()).unwrap();
        shelf.put("pay.example.test", &put(3, 1)).unwrap();
        let before = shelf.book();
        // The device whose every write ends with "no space left".
        std::os::unix::fs::symlink("/dev/full", folder.path().join("names.json.new")).unwrap();
        let Err(StoreError::Disk { source, .. }) = shelf.put("pay.example.test", &put(4, 2)) else {
            panic!("it was stored");
        };
        assert_eq!(source.kind(), io::ErrorKind::StorageFull);
        assert_eq!(shelf.book(), before);
        drop(shelf);
        assert_eq!(Shelf::open(folder.path()).unwrap().book(), before);
    }
}
