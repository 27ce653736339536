//! Values that passed their shape, with their places: what the sections build the typed plan from.
//!
//! Invariant: a getter is only asked for a key that its section's table holds. That is a bug of the section and not of
//! the plan, so debug builds panic on it; every section's tests go through its getters.

use super::SecretRef;
use super::fault::At;
use crate::id::Region;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) at: At,
    pub(super) datum: Datum,
}

/// What was read.
#[derive(Debug, Clone)]
pub(super) enum Datum {
    /// Text of any kind: text, name, URL, domain, region, connection string.
    Text(String),
    /// A whole number, or bytes.
    Number(u64),
    Flag(bool),
    Duration(Duration),
    Socket(SocketAddr),
    Ip(IpAddr),
    Path(PathBuf),
    Secret(SecretRef),
    /// A word of a choice.
    Word(&'static str),
    Record(Record),
    /// The one key that was there and its value.
    One(&'static str, Box<Value>),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

/// The keys of a section that were there, or have a default, and were good.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) at: At,
    /// The word of `kind`; empty where there are no kinds.
    pub(super) kind: &'static str,
    /// Every key of the tables.
    pub(super) known: Vec<&'static str>,
    /// The known keys that stand in the text, the faulty ones included.
    pub(super) written: Vec<&'static str>,
    pub(super) values: Vec<(&'static str, Value)>,
}

impl Record {
    /// The value of a key, if it is there or has a default.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        debug_assert!(self.known.contains(&key), "`{key}` is not in the table of `{}`", self.at.path);
        self.values.iter().find(|(name, _)| *name == key).map(|(_, v)| v)
    }

    /// The place of a key, or of the whole section.
    pub(super) fn at(&self, key: &str) -> &At {
        self.value(key).map_or(&self.at, |v| &v.at)
    }

    /// Whether the key stands in the text, even with a value that is at fault.
    pub(super) fn given(&self, key: &str) -> bool {
        self.written.contains(&key)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.value(key)?.text()
    }

    pub(super) fn owned(&self, key: &str) -> Option<String> {
        self.text(key).map(str::to_owned)
    }

    pub(super) fn region(&self, key: &str) -> Option<Region> {
        self.text(key).map(Region::new)
    }

    pub(super) fn number(&self, key: &str) -> Option<u64> {
        match self.value(key)?.datum {
            Datum::Number(n) => Some(n),
            _ => None,
        }
    }

    pub(super) fn number32(&self, key: &str) -> Option<u32> {
        self.number(key).and_then(|n| n.try_into().ok())
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.value(key)?.datum {
            Datum::Flag(f) => Some(f),
            _ => None,
        }
    }

    pub(super) fn duration(&self, key: &str) -> Option<Duration> {
        match self.value(key)?.datum {
            Datum::Duration(d) => Some(d),
            _ => None,
        }
    }

    pub(super) fn socket(&self, key: &str) -> Option<SocketAddr> {
        match self.value(key)?.datum {
            Datum::Socket(s) => Some(s),
            _ => None,
        }
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        match &self.value(key)?.datum {
            Datum::Path(p) => Some(p.clone()),
            _ => None,
        }
    }

    pub(super) fn secret(&self, key: &str) -> Option<SecretRef> {
        self.value(key)?.secret()
    }

    pub(super) fn word(&self, key: &str) -> Option<&'static str> {
        match self.value(key)?.datum {
            Datum::Word(w) => Some(w),
            _ => None,
        }
    }

    pub(super) fn record(&self, key: &str) -> Option<&Record> {
        self.value(key)?.record()
    }

    /// The entries of a list; none when the key is not there.
    pub(super) fn list(&self, key: &str) -> &[Value] {
        match self.value(key).map(|v| &v.datum) {
            Some(Datum::List(items)) => items,
            _ => &[],
        }
    }

    /// The entries of a map; none when the key is not there.
    pub(super) fn map(&self, key: &str) -> &[(String, Value)] {
        match self.value(key).map(|v| &v.datum) {
            Some(Datum::Map(entries)) => entries,
            _ => &[],
        }
    }

    /// The same of a map from regions, each entry as `read` has it.
    pub(super) fn by_region<T>(&self, key: &str, read: impl Fn(&Value) -> Option<T>) -> Option<BTreeMap<Region, T>> {
        self.map(key).iter().map(|(name, value)| Some((Region::new(name), read(value)?))).collect()
    }
}

impl Value {
    pub(super) fn secret(&self) -> Option<SecretRef> {
        match &self.datum {
            Datum::Secret(s) => Some(s.clone()),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.datum {
            Datum::Text(t) => Some(t),
            Datum::Word(w) => Some(w),
            _ => None,
        }
    }

    pub(super) fn record(&self) -> Option<&Record> {
        match &self.datum {
            Datum::Record(r) => Some(r),
            _ => None,
        }
    }

    /// The one key of a one-of map, and the section below it.
    pub(super) fn one(&self) -> Option<(&'static str, &Value)> {
        match &self.datum {
            Datum::One(key, value) => Some((key, value)),
            _ => None,
        }
    }

    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self.datum {
            Datum::Ip(ip) => Some(ip),
            _ => None,
        }
    }
}
