//! What stands around every value: one line of JSON that tells whose put it was, then the value.
//!
//! ```text
//! {"pilotlight":1,"version":7,"nonce":"9f0c..","before":["51aa.."],"bytes":113}
//! the value
//! ```
//!
//! Invariant: no two puts ever write the same bytes, because each has a nonce of its own. So a writer whose answer was lost
//! finds out by reading whether it was done, even when somebody has put a newer value since.

use pilotlight_engine::storage::StorageError;
use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};

/// Raised when the line changes its meaning.
const FORMAT: u32 = 1;

/// Earlier puts that are named: whoever lost an answer reads again within seconds, and nothing is put so often.
const REMEMBERED: usize = 8;

/// A value with the line above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) head: Head,
    pub(crate) value: Vec<u8>,
}

/// The line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pilotlight: u32,
    /// Grows by one with every put.
    pub(crate) version: u64,
    /// Of this put.
    nonce: String,
    /// Of the puts before it, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    before: Vec<String>,
    /// Of the value.
    bytes: usize,
    /// A chunk of a journal that is larger than this is full. Fixed when the chunk is made, so that controllers of
    /// different versions agree on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) full_at: Option<usize>,
}

impl Envelope {
    /// The value in its next version.
    pub(crate) fn next(of: Option<&Envelope>, value: Vec<u8>) -> Self {
        let mut before: Vec<String> = of.map(|e| e.head.before.clone()).unwrap_or_default();
        before.splice(0..0, of.map(|e| e.head.nonce.clone()));
        before.truncate(REMEMBERED);
        let head = Head {
            pilotlight: FORMAT,
            version: of.map_or(0, |e| e.head.version) + 1,
            nonce: nonce(),
            before,
            bytes: value.len(),
            full_at: of.and_then(|e| e.head.full_at),
        };
        Self { head, value }
    }

    /// This very put was done: it stands here, or stood here before.
    pub(crate) fn holds(&self, put: &Envelope) -> bool {
        self.head.nonce == put.head.nonce || self.head.before.contains(&put.head.nonce)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec(&self.head).expect("a head has only names and numbers");
        text.push(b'\n');
        text.extend_from_slice(&self.value);
        text
    }

    /// `name` and `engine` are only for the message.
    pub(crate) fn read(body: &[u8], name: &str, engine: &str) -> Result<Self, StorageError> {
        let damaged = |why: String| StorageError::Damaged { file: engine.into(), place: format!("object {name}"), why };
        let end = body.iter().position(|b| *b == b'\n').ok_or_else(|| damaged("its first line has no end".into()))?;
        let head: Head = serde_json::from_slice(&body[..end]).map_err(|e| damaged(e.to_string()))?;
        if head.pilotlight != FORMAT {
            return Err(damaged(format!("it has format {}, this program knows {FORMAT}", head.pilotlight)));
        }
        let value = body[end + 1..].to_vec();
        if value.len() != head.bytes {
            return Err(damaged(format!("{} of {} bytes are there", value.len(), head.bytes)));
        }
        Ok(Self { head, value })
    }
}

/// What nobody else has.
pub(crate) fn nonce() -> String {
    // Two keys of the system's randomness: 128 bits.
    format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1))
}

/// The text of a key with everything but letters, digits, `.`, `_` and `-` written as `=` and two digits: engines allow
/// different letters, and all allow these.
pub(crate) fn encode(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-') {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("={byte:02X}"));
        }
    }
    name
}

/// The key of a name; `None` for a name that [`encode`] never makes.
pub(crate) fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'=' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_names() {
        for key in ["unit/a", "unit%", "ärger/=2F", "a.b_c-d", ""] {
            let name = encode(key);
            assert_eq!(decode(&name).as_deref(), Some(key), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-=".contains(&b)), "{name}");
        }
        assert_eq!(decode("=2"), None);
        assert_eq!(decode("=ZZ"), None);
    }

    #[test]
    fn a_put_is_known_again_after_others() {
        let mine = Envelope::next(None, b"mine".to_vec());
        let mut newest = mine.clone();
        for _ in 0..REMEMBERED {
            newest = Envelope::next(Some(&newest), b"theirs".to_vec());
            assert!(newest.holds(&mine));
        }
        assert_eq!(newest.head.version, 9);
        assert!(!newest.holds(&Envelope::next(None, b"mine".to_vec())), "equal values are not the same put");
        assert!(!Envelope::next(Some(&newest), vec![]).holds(&mine), "what is too long ago is not known");
    }

    #[test]
    fn a_torn_value_is_damage_and_no_value() {
        let whole = Envelope::next(None, b"a value".to_vec()).write();
        for cut in 0..whole.len() {
            let error = Envelope::read(&whole[..cut], "n", "a folder").unwrap_err();
            assert!(matches!(error, StorageError::Damaged { .. }), "{cut}: {error:?}");
        }
        assert_eq!(Envelope::read(&whole, "n", "a folder").unwrap().value, b"a value");
    }
}
