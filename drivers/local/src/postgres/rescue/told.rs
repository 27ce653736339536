//! What a bundle tells of itself: listed, and page by page from inside.
//!
//! Invariant: an answer is bounded, whatever the rows are; what is left out of it is said in it.

use super::bundle::{BundleError, CHANGES, COMMITS, Folder, JUDGED};
use super::lines::{Line, Lines};
use pilotlight_core::rescue::{ANSWER_MOST, Change, Class, Classified, Commit, Judged, Listed, Shown, VALUE_MOST};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// A value that is longer is not applied: the statement would not fit into what a server takes.
const APPLIED_MOST: usize = 64 << 20;

/// Transactions take at most this part of an answer, changes the rest.
const COMMITS_MOST: usize = ANSWER_MOST / 4;

/// Values that were too long, with their length.
pub(super) type Cut = BTreeMap<String, u64>;

/// Lost changes, one after the other.
pub(super) struct Changes(Option<Lines>);

impl Changes {
    /// The next with the values that were too long to be read whole.
    pub(super) fn next(&mut self) -> Result<Option<(Change, Cut)>, BundleError> {
        let Some(lines) = &mut self.0 else { return Ok(None) };
        let Some(line) = lines.next().map_err(unread(CHANGES))? else { return Ok(None) };
        Ok(Some((value(CHANGES, &line)?, line.cut)))
    }
}

fn unread(name: &str) -> impl FnOnce(io::Error) -> BundleError {
    super::bundle::at("read", Path::new(name))
}

fn value<T: DeserializeOwned>(name: &str, line: &Line) -> Result<T, BundleError> {
    line.read().map_err(|e| BundleError::Damaged(format!("{name}: {e}")))
}

impl Folder {
    /// A file's lines; none where there is no such file.
    fn lines(&self, name: &str, most: usize) -> Result<Option<Lines>, BundleError> {
        match self.get(name) {
            Ok(file) => Ok(Some(Lines::new(file, most))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(unread(name)(e)),
        }
    }

    /// The bundle as it is listed. A manifest that cannot be read is an error; files are not looked at.
    pub fn listed(&self) -> Result<Listed, BundleError> {
        let manifest = self.manifest()?;
        let open = !manifest.about.sealed || self.is_sealed();
        Ok(Listed {
            about: manifest.about,
            folder: self.path().display().to_string(),
            waiver: self.waiver(),
            classes: if open { self.classes() } else { BTreeMap::new() },
            applied: self.applied().transactions.len() as u64,
        })
    }

    /// How many changes are of each class by the newest look. It is made anew by every look and no part of what was kept:
    /// where it cannot be read, nothing was looked at.
    fn classes(&self) -> BTreeMap<Class, u64> {
        let mut classes = BTreeMap::new();
        let Ok(Some(mut lines)) = self.lines(JUDGED, VALUE_MOST) else { return classes };
        while let Ok(Some(line)) = lines.next() {
            if let Ok(Some(judgement)) = line.read::<Option<Classified>>() {
                *classes.entry(judgement.class).or_default() += 1;
            }
        }
        classes
    }

    /// The bundle from inside. What is not part of the log is compared with the manifest.
    pub fn shown(&self, from: u64, most: usize) -> Result<Shown, BundleError> {
        let manifest = self.manifest()?;
        if manifest.about.sealed && !self.is_sealed() {
            return Err(BundleError::NoKey);
        }
        self.verify(&manifest, &|name| !name.starts_with("wal/"), &|| false)?;
        let (changes, next) = self.told(from, most)?;
        Ok(Shown { listed: self.listed()?, lost: self.commits(most)?, changes, next })
    }

    /// Lost transactions, as many as an answer has room for.
    fn commits(&self, most: usize) -> Result<Vec<Commit>, BundleError> {
        let mut told = Vec::new();
        let Some(mut lines) = self.lines(COMMITS, VALUE_MOST)? else { return Ok(told) };
        let mut room = COMMITS_MOST;
        while told.len() < most
            && let Some(line) = lines.next().map_err(unread(COMMITS))?
        {
            let Some(left) = room.checked_sub(line.text.len()) else { break };
            room = left;
            told.push(value(COMMITS, &line)?);
        }
        Ok(told)
    }

    /// Lost changes, in the order in which they were committed.
    pub(super) fn changes(&self) -> Result<Changes, BundleError> {
        self.lines(CHANGES, APPLIED_MOST).map(Changes)
    }

    /// Changes with what is known of them, and the number of the first that an answer had no room for.
    fn told(&self, from: u64, most: usize) -> Result<(Vec<Judged>, Option<u64>), BundleError> {
        let mut told: Vec<Judged> = Vec::new();
        let Some(mut changes) = self.lines(CHANGES, VALUE_MOST)? else { return Ok((told, None)) };
        let mut judged = self.lines(JUDGED, VALUE_MOST).ok().flatten();
        for _ in 0..from {
            if !changes.skip().map_err(unread(CHANGES))? {
                return Ok((told, None));
            }
            if let Some(lines) = &mut judged {
                let _ = lines.skip();
            }
        }
        let applied = self.applied().transactions;
        let mut room = ANSWER_MOST - COMMITS_MOST;
        while told.len() < most
            && let Some(line) = changes.next().map_err(unread(CHANGES))?
        {
            let line = line.within(ANSWER_MOST - COMMITS_MOST);
            let judgement = judged.as_mut().and_then(|lines| lines.next().ok().flatten());
            let size = line.text.len() + judgement.as_ref().map_or(0, |j| j.text.len());
            if size > room && !told.is_empty() {
                let next = from + told.len() as u64;
                return Ok((told, Some(next)));
            }
            room = room.saturating_sub(size);
            let change: Change = value(CHANGES, &line)?;
            let judgement = judgement.and_then(|line| line.read().ok().flatten());
            let applied = applied.contains(&change.transaction);
            told.push(Judged { change, judgement, applied, cut: line.cut });
        }
        Ok((told, None))
    }
}
