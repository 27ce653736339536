//! A rescue bundle as a folder: `manifest.json` with a hash of every file, the log's segments, commits and rows.
//!
//! It is made beside, under a name that ends in `.partial`, and takes its own name when its manifest is on disk: a folder
//! with the right name is whole. Where there is a key, every file but the manifest is encrypted and the manifest signed.
//!
//! Invariant: what the manifest says of a file is what was read back from disk, never what was meant to be written.

use super::super::durable;
use super::seal::{Key, Sealing, Unsealing};
use pilotlight_core::id::BundleId;
use pilotlight_core::rescue::{Classified, File, Manifest, VERSION, Waiver};
use ring::digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes copied at a time; between two it is looked whether somebody wants it to stop.
const PIECE: usize = 1 << 20;

const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.signature";
const WAIVER: &str = "waiver.json";
const APPLIED: &str = "applied.json";
/// Lost transactions, one JSON object a line.
pub(super) const COMMITS: &str = "commits.jsonl";
/// Lost changes, one JSON object a line.
pub(super) const CHANGES: &str = "changes.jsonl";
/// The same for people to read.
pub(super) const SQL: &str = "changes.sql";
/// What the changes are to the new writer, by their number; made by the newest look.
pub(super) const JUDGED: &str = "judged.jsonl";
/// The salt of the passphrase.
const SALT: &str = "salt";

/// Why a bundle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read or written.
    #[error("{what}")]
    Io {
        /// What was done to which file.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// It is not what its manifest says.
    #[error("{0}")]
    Damaged(String),
    /// It is encrypted and there is no passphrase.
    #[error("the bundle is encrypted and no passphrase is at hand")]
    NoKey,
}

pub(super) fn at(what: &str, path: &Path) -> impl FnOnce(io::Error) -> BundleError {
    let what = format!("cannot {what} {}", path.display());
    move |source| BundleError::Io { what, source }
}

/// What was applied of a bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Applied {
    /// Transactions, by number.
    pub(super) transactions: BTreeSet<u64>,
    /// Who, when, how many; one line per apply.
    pub(super) by: Vec<String>,
}

/// A bundle's folder and the key to it.
#[derive(Clone)]
pub struct Folder {
    path: PathBuf,
    key: Option<Key>,
}

impl Folder {
    pub(super) fn new(path: PathBuf, key: Option<Key>) -> Folder {
        Folder { path, key }
    }

    /// A bundle that lies somewhere, with its passphrase if it has one.
    pub fn open(path: &Path, passphrase: Option<&str>) -> Result<Folder, BundleError> {
        let salt = Folder::salt(path);
        let key = match (passphrase, salt) {
            (Some(passphrase), Some(salt)) => Some(Key::new(passphrase, &salt)),
            _ => None,
        };
        Ok(Folder { path: path.to_owned(), key })
    }

    /// The salt of its passphrase, if it has one.
    pub(super) fn salt(path: &Path) -> Option<Vec<u8>> {
        fs::read(path.join(SALT)).ok()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.key.is_some()
    }

    /// Makes the folder, and notes the salt in it so that its passphrase opens it anywhere.
    pub(super) fn make(&self, salt: Option<&[u8]>) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.path.join("wal"))?;
        match salt {
            Some(salt) => durable::write(&self.path.join(SALT), salt, None),
            None => Ok(()),
        }
    }

    /// Where the content of a name lies.
    fn place(&self, name: &str) -> PathBuf {
        self.path.join(if self.key.is_some() { format!("{name}.sealed") } else { name.to_owned() })
    }

    /// Writes a file anew from what `fill` writes; encrypted where there is a key.
    pub(super) fn put(&self, name: &str, fill: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let path = self.place(name);
        let open = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        let buffered = io::BufWriter::with_capacity(PIECE, open);
        let buffered = match &self.key {
            Some(key) => {
                let mut sealing = Sealing::new(buffered, key)?;
                fill(&mut sealing)?;
                sealing.finish()?
            }
            None => {
                let mut plain = buffered;
                fill(&mut plain)?;
                plain
            }
        };
        buffered.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }

    /// Reads a file, decrypted where there is a key.
    pub(super) fn get(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = BufReader::with_capacity(PIECE, fs::File::open(self.place(name))?);
        Ok(match &self.key {
            Some(key) => Box::new(Unsealing::new(file, key)?),
            None => Box::new(file),
        })
    }

    /// Length and hash of a file as it can be read back.
    pub(super) fn entry(&self, name: &str, stop: &dyn Fn() -> bool) -> io::Result<File> {
        let (bytes, sha256) = hash(&mut *self.get(name)?, stop)?;
        Ok(File { name: name.to_owned(), bytes, sha256 })
    }

    /// Copies a file in, unless an earlier attempt has brought it here whole. What it is is read back from disk.
    pub(super) fn bring(&self, from: &Path, name: &str, stop: &dyn Fn() -> bool) -> io::Result<File> {
        let wanted = hash(&mut fs::File::open(from)?, stop)?;
        let there = self.place(name).exists().then(|| self.entry(name, stop)).and_then(Result::ok);
        if let Some(entry) = there.filter(|entry| (entry.bytes, &entry.sha256) == (wanted.0, &wanted.1)) {
            return Ok(entry);
        }
        self.put(name, &mut |to| copy(&mut fs::File::open(from)?, to, stop))?;
        let entry = self.entry(name, stop)?;
        if (entry.bytes, &entry.sha256) != (wanted.0, &wanted.1) {
            return Err(io::Error::other(format!("{name} was read back as something else than was written")));
        }
        Ok(entry)
    }

    /// Ends a capture: the manifest is written, and the folder takes its name.
    pub(super) fn finish(&mut self, manifest: &Manifest, to: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(manifest).map_err(io::Error::other)?;
        if let Some(key) = &self.key {
            durable::write(&self.path.join(SIGNATURE), &key.sign(&text), None)?;
        }
        durable::write(&self.path.join(MANIFEST), &text, None)?;
        durable::sync_folder(&self.path.join("wal"))?;
        fs::rename(&self.path, to)?;
        to.parent().map_or(Ok(()), durable::sync_folder)?;
        self.path = to.to_owned();
        Ok(())
    }

    /// The manifest; refused when its signature is not of this key.
    pub fn manifest(&self) -> Result<Manifest, BundleError> {
        let path = self.path.join(MANIFEST);
        let text = match fs::read(&path) {
            // It took its name with its manifest: it was whole.
            Err(e) if e.kind() == io::ErrorKind::NotFound && is_finished(&self.path) => {
                return Err(BundleError::Damaged(format!("{MANIFEST} is gone")));
            }
            text => text.map_err(at("read", &path))?,
        };
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|e| BundleError::Damaged(format!("{} cannot be understood: {e}", path.display())))?;
        if manifest.version != VERSION {
            return Err(BundleError::Damaged(format!("it is of version {}, not {VERSION}", manifest.version)));
        }
        if let Some(key) = &self.key {
            let signature = fs::read(self.path.join(SIGNATURE)).unwrap_or_default();
            if !key.verify(&text, &signature) {
                let why = "the manifest was changed, or the passphrase is another one";
                return Err(BundleError::Damaged(why.to_owned()));
            }
        }
        Ok(manifest)
    }

    /// Compares the files of these names with the manifest; the first difference is told.
    pub fn verify(
        &self,
        manifest: &Manifest,
        which: &dyn Fn(&str) -> bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), BundleError> {
        if manifest.about.sealed && self.key.is_none() {
            return Err(BundleError::NoKey);
        }
        for wanted in manifest.files.iter().filter(|f| which(&f.name)) {
            let found = self.entry(&wanted.name, stop).map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => BundleError::Damaged(format!("{} is gone", wanted.name)),
                io::ErrorKind::InvalidData => BundleError::Damaged(format!("{}: {e}", wanted.name)),
                _ => BundleError::Io { what: format!("cannot read {}", wanted.name), source: e },
            })?;
            if &found != wanted {
                return Err(BundleError::Damaged(format!("{} is not what was kept", wanted.name)));
            }
        }
        Ok(())
    }

    /// The person who waived what is missing.
    pub(super) fn waiver(&self) -> Option<Waiver> {
        serde_json::from_slice(&fs::read(self.path.join(WAIVER)).ok()?).ok()
    }

    pub(super) fn waive(&self, waiver: &Waiver) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(waiver).map_err(io::Error::other)?;
        durable::write(&self.path.join(WAIVER), &text, None)
    }

    pub(super) fn applied(&self) -> Applied {
        let read = || serde_json::from_slice(&fs::read(self.path.join(APPLIED)).ok()?).ok();
        read().unwrap_or_default()
    }

    pub(super) fn note_applied(&self, applied: &Applied) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(applied).map_err(io::Error::other)?;
        durable::write(&self.path.join(APPLIED), &text, None)
    }

    pub(super) fn note_judged(&self, judged: &[Classified]) -> io::Result<()> {
        self.put(JUDGED, &mut |to| write_lines(to, judged))
    }
}

/// One JSON value a line.
pub(super) fn write_lines<T: Serialize>(to: &mut dyn Write, values: &[T]) -> io::Result<()> {
    for value in values {
        serde_json::to_writer(&mut *to, value)?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

/// Every bundle of a component below the agent's folder, and those that cannot be read with the reason.
pub(super) fn all(root: &Path) -> io::Result<Vec<(BundleId, PathBuf)>> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if is_finished(&path) {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            found.push((BundleId::new(name), path));
        }
    }
    Ok(found)
}

/// A folder of a bundle that was captured to its end.
fn is_finished(path: &Path) -> bool {
    path.is_dir() && path.extension().is_none_or(|e| e != "partial")
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, stop: &dyn Fn() -> bool) -> io::Result<()> {
    pieces(from, stop, &mut |piece| to.write_all(piece))
}

fn hash(from: &mut dyn Read, stop: &dyn Fn() -> bool) -> io::Result<(u64, String)> {
    let (mut context, mut bytes) = (digest::Context::new(&digest::SHA256), 0);
    pieces(from, stop, &mut |piece| {
        context.update(piece);
        bytes += piece.len() as u64;
        Ok(())
    })?;
    let hex = context.finish().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    Ok((bytes, hex))
}

fn pieces(
    from: &mut dyn Read,
    stop: &dyn Fn() -> bool,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        if stop() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it was called off, or no time was left"));
        }
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&piece[..n])?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bundle_that_was_finished_can_have_lost_its_manifest() {
        let root = tempfile::tempdir().unwrap();
        let manifest = |name: &str| Folder::new(root.path().join(name), None).manifest();
        for name in ["whole", "begun.partial"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        assert!(matches!(manifest("whole"), Err(BundleError::Damaged(why)) if why == "manifest.json is gone"));
        for name in ["begun.partial", "absent"] {
            assert!(matches!(manifest(name), Err(BundleError::Io { .. })), "{name}");
        }
    }
}
