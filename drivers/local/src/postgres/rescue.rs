//! Keeping what an old writer acknowledged and never sent, before it is rewound or built anew.
//!
//! Border: this is where it is decided whether a copy may be rewound; how the log is read, kept and encrypted is said
//! in the modules below.
//!
//! Invariants:
//! - nothing is rewound and nothing built anew over a copy that went its own way, unless a complete and verified bundle of
//!   exactly that tail is there, or a person has waived it by name; a run's step and the agent's own start alike;
//! - a bundle that cannot be verified is never replaced: it may be all there is.

mod apply;
pub mod bundle;
mod capture;
mod copy;
mod decode;
mod door;
mod fate;
mod lines;
mod names;
mod notes;
mod parse;
mod pass;
mod preflight;
mod role;
mod seal;
mod slot;
mod sql;
mod tables;
mod tail;
mod told;
mod walk;

use super::PostgresDriver;
use super::lsn::Lsn;
use super::way::Way;
use super::work::Work;
pub(super) use copy::size;
pub(super) use slot::SLOT;

use bundle::{BundleError, Folder};
use capture::Tail;
use pilotlight_core::code;
use pilotlight_core::id::{BundleId, Region};
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Output};
use pilotlight_core::rescue::{Answer, Bundle, Damaged, Listed, Question, Rows, Waiver};
use pilotlight_core::time::Mono;
use seal::Key;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Settings of sessions that read and write rows as text: the same on both sides, so that equal values are equal texts.
const EXACT: &str = "-c lock_timeout=0 -c TimeZone=UTC -c DateStyle=ISO -c IntervalStyle=postgres -c bytea_output=hex \
    -c extra_float_digits=1 -c lc_monetary=C -c client_min_messages=error -c default_transaction_read_only=off";

/// Options of such a session.
fn exact(more: &str) -> String {
    format!("{} {EXACT} {more}", super::session::PINNED)
}

/// What is remembered while the process lives.
#[derive(Default)]
pub(super) struct Memory {
    /// Keys of the salts that were met: making one takes a good part of a second.
    keys: Mutex<BTreeMap<Vec<u8>, Key>>,
    /// When the slot was moved on.
    moved: Mutex<Option<Mono>>,
}

/// What became of a tail.
pub(super) struct Kept {
    about: Option<Bundle>,
    /// It was made just now.
    fresh: bool,
    waiver: Option<Waiver>,
    folder: PathBuf,
}

impl Kept {
    /// For people.
    pub(super) fn tell(&self) -> String {
        let folder = self.folder.display();
        let mut text = match &self.about {
            None => format!("nothing could be kept in {folder}"),
            Some(about) => {
                let rows = match &about.rows {
                    Rows::Kept { changes, transactions } => format!("{changes} changes of {transactions} transactions"),
                    Rows::Left { why } => format!("no rows ({why})"),
                };
                format!(
                    "kept {} lost transactions from {} to {} in {folder}, verified; {rows}",
                    about.commits, about.fork.value, about.end.value
                )
            }
        };
        if let Some(waiver) = &self.waiver {
            text.push_str(&format!("\nwaived by {}: {}", waiver.by, waiver.why));
        }
        text
    }
}

impl PostgresDriver {
    /// Keeps what the copy holds and `upstream` does not.
    pub(super) async fn capture_rescue(
        &self,
        upstream: &Region,
        waived_by: Option<&str>,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let directory = self.directory();
        if super::processes::postmaster(&directory).is_none()
            && let Some(note) = self.cut_rewind(&directory)
        {
            return self.still_kept(&directory, &note, work).await.map(skipped);
        }
        if let Some(given_up) = self.give_up(&directory, waived_by)? {
            return Ok(given_up);
        }
        let theirs = self.look_upstream(upstream).await?;
        let mut own = self.stand_now(&directory, work).await?;
        let (fork, twin) = match self.way_of(own.as_ref(), upstream, &theirs).await? {
            Way::Rewind { timeline, from } => ((timeline, from), false),
            Way::Replace { timeline, from, .. } => ((timeline, from), true),
            Way::Follow => {
                return Ok(skipped(format!("it lies on the history of {upstream}: it holds nothing of its own")));
            }
            Way::Build { why } => return Ok(skipped(format!("{why}: it holds nothing of its own"))),
            Way::Refuse { why } => return Ok(skipped(format!("{why}: a rejoin is refused, so nothing is lost by it"))),
        };
        if super::processes::postmaster(&directory).is_some() {
            self.stop_for_rejoin(work).await?;
            own = self.stand(&directory, work).await?;
        }
        let Some(own) = own else { return Ok(skipped("there is no database in its directory".to_owned())) };
        let tail = Tail { upstream: upstream.clone(), own, fork, twin };
        let kept = self.keep(&tail, waived_by, work).await?;
        let text = kept.tell();
        if !kept.fresh && kept.waiver.is_none() {
            return Ok(skipped(text));
        }
        let output = Output { rescue: kept.about.clone().map(Box::new), text, ..Output::default() };
        Ok(match kept.waiver {
            Some(Waiver { by, why, .. }) => Outcome::Warned { output, warning: format!("waived by {by}: {why}") },
            None => Outcome::Done { output },
        })
    }

    /// The same as part of a rejoin: the copy is stopped, and is about to forget what it holds after the fork. Answers what
    /// was kept, in which folder, and whether its log could be read to its end.
    pub(super) async fn rescue_before_rewind(
        &self,
        upstream: &Region,
        (fork, twin): ((u32, Lsn), bool),
        work: &Work<'_>,
    ) -> Result<(String, PathBuf, bool), Failure> {
        let own = self.stand(&self.directory(), work).await?;
        let own = own.ok_or_else(|| Failure::transient("the database in its directory is gone"))?;
        let readable = own.end.is_some();
        let tail = Tail { upstream: upstream.clone(), own, fork, twin };
        let kept = self.keep(&tail, None, work).await?;
        let readable = readable && kept.about.as_ref().is_none_or(|about| about.missing.is_none());
        Ok((kept.tell(), kept.folder, readable))
    }

    /// What was kept in this folder before a rewind is still there, or was waived.
    pub(super) async fn check_kept(&self, path: &Path, work: &Work<'_>) -> Result<String, Failure> {
        let (about, trouble) = with_trouble(self.check(path, work).await);
        if let Some(trouble) = trouble {
            let Waiver { by, why, .. } = self.waiver_of(path, &trouble).ok_or(trouble)?;
            return Ok(format!("waived by {by}: {why}"));
        }
        let commits = about.map_or(0, |about| about.commits);
        Ok(format!("{commits} lost transactions are kept in {}", path.display()))
    }

    /// A whole bundle of the tail, or a waiver; else nothing may be forgotten.
    async fn keep(&self, tail: &Tail, waived_by: Option<&str>, work: &Work<'_>) -> Result<Kept, Failure> {
        let path = self.rescue_root().join(tail.id(self).as_str());
        let fresh = !path.exists();
        let held = match fresh {
            true => self.capture(tail, &path, waived_by, work).await,
            false => self.check(&path, work).await,
        };
        let (about, trouble) = with_trouble(held);
        let Some(trouble) = trouble else { return Ok(Kept { about, fresh, waiver: None, folder: path }) };
        if !is_waivable(&trouble, work) {
            return Err(trouble);
        }
        let waiver = match (self.waiver_of(&path, &trouble), waived_by) {
            (Some(waiver), _) => waiver,
            (None, Some(by)) => self.waive(&path, by, &trouble)?,
            (None, None) => return Err(trouble),
        };
        Ok(Kept { about, fresh, waiver: Some(waiver), folder: path })
    }

    /// Reads a bundle again: every file, against its manifest.
    async fn check(&self, path: &Path, work: &Work<'_>) -> Result<Bundle, Failure> {
        let folder = self.folder_of(path).map_err(|e| unusable(path, &e))?;
        let stop = self.stopper(work);
        let check = move || {
            let manifest = folder.manifest()?;
            folder.verify(&manifest, &|_| true, &stop)?;
            Ok::<_, BundleError>(manifest.about)
        };
        let checked = tokio::task::spawn_blocking(check).await;
        let checked = checked.map_err(check_failed)?;
        checked.map_err(|e| unusable(path, &e))
    }

    /// The waiver of just this trouble: who let go what is missing has not let go what is damaged later. It lies in the bundle,
    /// or beside it where there is none.
    fn waiver_of(&self, path: &Path, trouble: &Failure) -> Option<Waiver> {
        let beside = || serde_json::from_slice(&std::fs::read(path.with_extension("waiver.json")).ok()?).ok();
        let waiver: Option<Waiver> = Folder::new(path.to_owned(), None).waiver().or_else(beside);
        waiver.filter(|waiver| waiver.why == trouble.message)
    }

    fn waive(&self, path: &Path, by: &str, trouble: &Failure) -> Result<Waiver, Failure> {
        let waiver = Waiver { by: by.to_owned(), at: self.clock.wall(), why: trouble.message.clone() };
        let write = || {
            if path.exists() {
                return Folder::new(path.to_owned(), None).waive(&waiver);
            }
            std::fs::create_dir_all(self.rescue_root())?;
            let text = serde_json::to_vec_pretty(&waiver).map_err(io::Error::other)?;
            super::durable::write(&path.with_extension("waiver.json"), &text, None)
        };
        write().map_err(|e| Failure::transient(format!("the waiver of {by} cannot be noted: {e}")))?;
        tracing::warn!(by, bundle = %path.display(), "what is missing of a rescue bundle was waived: {}", waiver.why);
        Ok(waiver)
    }

    /// Where the bundles of this component lie.
    pub(super) fn rescue_root(&self) -> PathBuf {
        self.state_dir.join("rescue")
    }

    /// Salt and key of new bundles, where the plan names a passphrase.
    fn seal(&self) -> io::Result<Option<(Vec<u8>, Key)>> {
        if self.passphrase.is_none() {
            return Ok(None);
        }
        let path = self.rescue_root().join("salt");
        let salt = match std::fs::read(&path) {
            Ok(salt) if salt.len() == seal::SALT => salt,
            _ => {
                std::fs::create_dir_all(self.rescue_root())?;
                let salt = seal::random::<{ seal::SALT }>()?;
                super::durable::write(&path, &salt, None)?;
                salt.to_vec()
            }
        };
        Ok(self.key_of(&salt).map(|key| (salt, key)))
    }

    fn key_of(&self, salt: &[u8]) -> Option<Key> {
        let passphrase = self.passphrase.as_deref()?;
        let mut keys = self.memory.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = keys.entry(salt.to_vec()).or_insert_with(|| Key::new(passphrase, salt));
        Some(key.clone())
    }

    /// A bundle's folder with its key.
    fn folder_of(&self, path: &Path) -> Result<Folder, BundleError> {
        let key = Folder::salt(path).and_then(|salt| self.key_of(&salt));
        Ok(Folder::new(path.to_owned(), key))
    }

    /// Answers a question about bundles.
    pub(super) async fn tell_rescue(&self, question: &Question) -> Result<Answer, Failure> {
        match question {
            Question::List => {
                let root = self.rescue_root();
                let all = bundle::all(&root)
                    .map_err(|e| Failure::transient(format!("bundles in {} cannot be listed: {e}", root.display())))?;
                let (mut bundles, mut damaged): (Vec<Listed>, Vec<Damaged>) = Default::default();
                for (bundle, path) in all {
                    let folder = path.display().to_string();
                    match self.folder_of(&path).and_then(|folder| folder.listed()) {
                        Ok(listed) => bundles.push(listed),
                        Err(error) => damaged.push(Damaged { bundle, folder, why: chain(&error) }),
                    }
                }
                bundles.sort_by_key(|b| std::cmp::Reverse(b.about.captured));
                Ok(Answer::Bundles { bundles, damaged })
            }
            Question::Show { bundle, from, most } => {
                let folder = self.bundle(bundle)?;
                let most = usize::try_from(*most).unwrap_or(usize::MAX);
                let (inner, from) = (folder.clone(), *from);
                let shown = tokio::task::spawn_blocking(move || inner.shown(from, most)).await.map_err(check_failed)?;
                Ok(Answer::Bundle(Box::new(shown.map_err(|e| unusable(folder.path(), &e))?)))
            }
        }
    }

    /// The folder of a bundle that a person named.
    fn bundle(&self, bundle: &BundleId) -> Result<Folder, Failure> {
        let known = bundle::all(&self.rescue_root()).unwrap_or_default();
        let found = known.iter().find(|(id, _)| id == bundle);
        let (_, path) = found.ok_or_else(|| {
            Failure::rejected(format!("PL-0603: there is no bundle {bundle} of {} in {}", self.component, self.region))
                .hint("see `pilotlight rescue list`")
        })?;
        self.folder_of(path).map_err(|e| unusable(path, &e))
    }
}

/// Needs a value to be used with `map_err`.
#[allow(clippy::needless_pass_by_value)]
fn check_failed(error: tokio::task::JoinError) -> Failure {
    Failure::transient(format!("the bundle cannot be checked: {error}"))
}

/// An error with its cause.
fn chain(error: &BundleError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn skipped(why: String) -> Outcome {
    Outcome::Skipped { why }
}

/// A person may let be lost what no other try can keep. Anything else (no room, a program that did not start, work that was
/// called off) may go well the next time, and says nothing of what would be lost: a waiver given now was not for it.
fn is_waivable(trouble: &Failure, work: &Work<'_>) -> bool {
    let lasting = [code::RESCUE_INCOMPLETE, code::RESCUE_DAMAGED, code::RESCUE_ROWS];
    let called_off = work.stop.is_cancelled() || work.left().is_zero();
    !called_off && trouble.coded().0.is_some_and(|code| lasting.contains(&code))
}

/// A bundle as far as it can be read, and why nothing may be forgotten yet.
fn with_trouble(held: Result<Bundle, Failure>) -> (Option<Bundle>, Option<Failure>) {
    match held {
        Ok(about) => {
            let trouble = hole(&about);
            (Some(about), trouble)
        }
        Err(failure) => (None, Some(failure)),
    }
}

/// What is missing of a bundle, as the reason why nothing may be forgotten yet.
fn hole(about: &Bundle) -> Option<Failure> {
    let missing = about.missing.as_ref()?;
    let until = missing.until.as_ref().map_or_else(|| "its end".to_owned(), |p| p.value.clone());
    Some(
        Failure::new(
            FailureKind::Rejected,
            format!(
                "PL-0238: bundle {} is incomplete from {} to {until}: that part of the log is gone, or cannot be read",
                about.bundle, missing.from.value
            ),
        )
        .hint("keep a copy of its data directory, or end the run and let it be lost: `pilotlight rejoin --waive-rescue YOUR-NAME`"),
    )
}

/// A bundle that cannot be used as it is.
fn unusable(path: &Path, error: &BundleError) -> Failure {
    let path = path.display();
    match error {
        BundleError::Damaged(why) => {
            Failure::rejected(format!("PL-0239: the bundle in {path} is not what was kept: {why}"))
                .hint("put back the files that were changed; what it holds may be nowhere else")
        }
        BundleError::NoKey => {
            Failure::rejected(format!("PL-0703: the bundle in {path} is encrypted and the plan names no passphrase"))
                .hint("set `rescue.passphrase` of the component to the one it was kept with")
        }
        BundleError::Io { .. } => Failure::transient(format!("the bundle in {path} cannot be read: {}", chain(error))),
    }
}
