//! What the authority has been told, and the rules by which it may be told something else. Pure: no files, no network.

use pilotlight_core::id::{Epoch, Unit};
use pilotlight_core::protocol::dns::{NameAnswer, NamePut, NameView, PutReply};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Longest time to live that is taken: a day. A longer one is a mistyped one, and nobody can call it back.
pub const MAX_TTL_S: u32 = 86_400;

/// Most answers of a name: far more than there are regions, few enough for one packet's worth of work.
pub const MAX_ANSWERS: usize = 64;

/// Everything the authority knows; written to disk as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// The newest epoch seen, per unit.
    pub units: BTreeMap<Unit, Epoch>,
    /// What is answered, by name in lower case without a final dot.
    pub names: BTreeMap<String, Entry>,
}

/// What is answered under one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Whose traffic it carries.
    pub unit: Unit,
    /// Time to live in seconds.
    pub ttl_s: u32,
    /// Never empty, never all of weight 0.
    pub answers: Vec<NameAnswer>,
    /// Counts the changes, from 1.
    pub version: u64,
}

/// Why a put is refused; the book stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutError {
    /// Somebody newer has been here.
    #[error("epoch {given} of unit {unit} is older than {newest}, the newest seen")]
    OldEpoch { unit: Unit, given: Epoch, newest: Epoch },
    /// The name carries the traffic of another unit, whose epochs say nothing about this one's.
    #[error("name {name} belongs to unit {owner}, not to {unit}")]
    OtherUnit { name: String, owner: Unit, unit: Unit },
    /// It changed since the sender looked.
    #[error("name {name} is at version {published}, not at {expected}")]
    OtherVersion { name: String, expected: u64, published: u64 },
    /// It would leave users without an address or with one that cannot be.
    #[error("{0}")]
    Unusable(String),
}

impl Book {
    /// The book after the put, and what to answer. A put of what is there already changes nothing but the epoch.
    pub fn put(&self, name: &str, put: &NamePut) -> Result<(Book, PutReply), PutError> {
        usable(name, put)?;
        let newest = self.units.get(&put.unit).copied().unwrap_or_default();
        if put.epoch < newest {
            return Err(PutError::OldEpoch { unit: put.unit.clone(), given: put.epoch, newest });
        }
        let old = self.names.get(name);
        if let Some(old) = old
            && old.unit != put.unit
        {
            let (owner, unit) = (old.unit.clone(), put.unit.clone());
            return Err(PutError::OtherUnit { name: name.to_owned(), owner, unit });
        }
        let published = old.map_or(0, |e| e.version);
        if let Some(expected) = put.if_version
            && expected != published
        {
            return Err(PutError::OtherVersion { name: name.to_owned(), expected, published });
        }
        let changed = old.is_none_or(|old| old.ttl_s != put.ttl_s || old.answers != put.answers);
        let version = published + u64::from(changed);
        let mut next = self.clone();
        next.units.insert(put.unit.clone(), put.epoch);
        let entry = Entry { unit: put.unit.clone(), ttl_s: put.ttl_s, answers: put.answers.clone(), version };
        next.names.insert(name.to_owned(), entry);
        Ok((next, PutReply { changed, version }))
    }

    /// What is published under the name.
    pub fn view(&self, name: &str) -> Option<NameView> {
        let entry = self.names.get(name)?;
        Some(NameView {
            unit: entry.unit.clone(),
            epoch: self.units.get(&entry.unit).copied().unwrap_or_default(),
            ttl_s: entry.ttl_s,
            answers: entry.answers.clone(),
            version: entry.version,
        })
    }

    /// Grows with every change: the serial of the zones.
    pub fn serial(&self) -> u32 {
        let changes = self.names.values().fold(0_u64, |sum, e| sum.wrapping_add(e.version));
        u32::try_from(changes % u64::from(u32::MAX)).expect("a rest of a division by u32::MAX fits in a u32")
    }
}

fn usable(name: &str, put: &NamePut) -> Result<(), PutError> {
    let refuse = |why: String| Err(PutError::Unusable(why));
    if put.ttl_s > MAX_TTL_S {
        return refuse(format!("name {name}: a time to live of {} s is longer than a day", put.ttl_s));
    }
    if put.answers.is_empty() {
        return refuse(format!("name {name} would be empty: no answer was given"));
    }
    if put.answers.len() > MAX_ANSWERS {
        return refuse(format!("name {name}: {} answers are more than {MAX_ANSWERS}", put.answers.len()));
    }
    if put.answers.iter().all(|a| a.weight == 0) {
        return refuse(format!("name {name} would be empty: every weight is 0"));
    }
    let mut regions = BTreeSet::new();
    for answer in &put.answers {
        if !regions.insert(&answer.region) {
            return refuse(format!("name {name}: region {} is there twice", answer.region));
        }
        if !is_host(answer.address) {
            return refuse(format!("name {name}: {} is not the address of a host", answer.address));
        }
    }
    Ok(())
}

fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || broadcast)
}

#[cfg(test)]
mod tests;
