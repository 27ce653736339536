//! Encryption of what lies in a bundle: building blocks of `ring` in the STREAM construction.
//!
//! A passphrase and a salt give two keys (PBKDF2-HMAC-SHA256): one for files, one that signs the manifest. Each file has a
//! key of its own (HKDF over 32 random bytes), so that nonces may count from zero. It is written in pieces of 64 KiB, each
//! sealed with ChaCha20-Poly1305 under a nonce that holds its number and whether it is the last: pieces cannot be
//! exchanged, repeated or cut off unnoticed.
//!
//! `age` was looked at first: it brings eighty crates, a translation framework among them, for what is 150 lines here.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{hkdf, hmac, pbkdf2};
use std::io::{self, Read, Write};
use std::num::NonZeroU32;
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"PLSEAL1\n";
const PIECE: usize = 64 * 1024;
const TAG: usize = 16;
/// What OWASP asks of PBKDF2-HMAC-SHA256 (2023). A passphrase out of a secret store needs less; a human's needs it.
const ROUNDS: NonZeroU32 = NonZeroU32::new(600_000).expect("not zero");

/// Bytes of a salt.
pub(crate) const SALT: usize = 16;

/// The two keys of a passphrase.
#[derive(Clone)]
pub(crate) struct Key(Arc<Keys>);

struct Keys {
    files: hkdf::Prk,
    manifest: hmac::Key,
}

impl Key {
    /// Takes a good part of a second, on purpose.
    pub(crate) fn new(passphrase: &str, salt: &[u8]) -> Key {
        let mut out = [0_u8; 64];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, passphrase.as_bytes(), &mut out);
        let files = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(&out[..32]);
        Key(Arc::new(Keys { files, manifest: hmac::Key::new(hmac::HMAC_SHA256, &out[32..]) }))
    }

    /// Signs a manifest.
    pub(crate) fn sign(&self, text: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0.manifest, text).as_ref().to_vec()
    }

    /// Whether the signature is of this text and key.
    pub(crate) fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        hmac::verify(&self.0.manifest, text, signature).is_ok()
    }

    fn of_file(&self, random: &[u8; 32]) -> io::Result<LessSafeKey> {
        let info = [random.as_slice()];
        let unbound = self.0.files.expand(&info, &CHACHA20_POLY1305).map(UnboundKey::from);
        unbound.map(LessSafeKey::new).map_err(|_| io::Error::other("no key for a file"))
    }
}

/// Fresh random bytes.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0_u8; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("the system has no random bytes"))?;
    Ok(bytes)
}

fn nonce(number: u32, last: bool) -> Nonce {
    let mut bytes = [0_u8; 12];
    bytes[7..11].copy_from_slice(&number.to_be_bytes());
    bytes[11] = u8::from(last);
    Nonce::assume_unique_for_key(bytes)
}

/// Encrypts what is written to it; without [`Sealing::finish`] the file cannot be read.
pub(crate) struct Sealing<W: Write> {
    inner: W,
    key: LessSafeKey,
    piece: Vec<u8>,
    number: u32,
}

impl<W: Write> Sealing<W> {
    pub(crate) fn new(mut inner: W, key: &Key) -> io::Result<Self> {
        let random = random::<32>()?;
        inner.write_all(MAGIC)?;
        inner.write_all(&random)?;
        Ok(Self { inner, key: key.of_file(&random)?, piece: Vec::with_capacity(PIECE + TAG), number: 0 })
    }

    fn put(&mut self, last: bool) -> io::Result<()> {
        let sealed = self.key.seal_in_place_append_tag(nonce(self.number, last), Aad::empty(), &mut self.piece);
        sealed.map_err(|_| io::Error::other("cannot encrypt"))?;
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::other("too long to encrypt"))?;
        self.inner.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    /// Writes the last piece and gives the file back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.put(false)?;
        }
        let taken = bytes.len().min(PIECE - self.piece.len());
        self.piece.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Decrypts what is read from it; fails where a byte was changed or the end is missing.
pub(crate) struct Unsealing<R: Read> {
    inner: R,
    key: LessSafeKey,
    piece: Vec<u8>,
    at: usize,
    number: u32,
    ended: bool,
}

impl<R: Read> Unsealing<R> {
    pub(crate) fn new(mut inner: R, key: &Key) -> io::Result<Self> {
        let (mut magic, mut random) = ([0_u8; 8], [0_u8; 32]);
        inner.read_exact(&mut magic)?;
        inner.read_exact(&mut random)?;
        if &magic != MAGIC {
            return Err(damaged("it does not begin like an encrypted file"));
        }
        Ok(Self { inner, key: key.of_file(&random)?, piece: Vec::new(), at: 0, number: 0, ended: false })
    }

    fn next(&mut self) -> io::Result<()> {
        let mut sealed = Vec::with_capacity(PIECE + TAG);
        (&mut self.inner).take((PIECE + TAG) as u64).read_to_end(&mut sealed)?;
        if sealed.len() < TAG {
            return Err(damaged("it ends too early"));
        }
        // Only the last piece is sealed as the last, and only it may be short; a full one can be either.
        for last in [sealed.len() < PIECE + TAG, sealed.len() == PIECE + TAG] {
            let mut piece = sealed.clone();
            if let Ok(open) = self.key.open_in_place(nonce(self.number, last), Aad::empty(), &mut piece) {
                let length = open.len();
                piece.truncate(length);
                (self.piece, self.at, self.ended) = (piece, 0, last);
                self.number += 1;
                return Ok(());
            }
        }
        Err(damaged("it was changed, or the passphrase is another one"))
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

impl<R: Read> Read for Unsealing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() {
            if self.ended {
                return Ok(0);
            }
            self.next()?;
        }
        let taken = bytes.len().min(self.piece.len() - self.at);
        bytes[..taken].copy_from_slice(&self.piece[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(key: &Key, bytes: &[u8]) -> Vec<u8> {
        let mut sealing = Sealing::new(Vec::new(), key).unwrap();
        sealing.write_all(bytes).unwrap();
        sealing.finish().unwrap()
    }

    fn unseal(key: &Key, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Unsealing::new(bytes, key)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn what_was_sealed_is_read_again_and_nothing_else_is() {
        let (key, other) = (Key::new("open sesame", b"0123456789abcdef"), Key::new("open", b"0123456789abcdef"));
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let plain: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let sealed = seal(&key, &plain);
            assert_eq!(unseal(&key, &sealed).unwrap(), plain, "{length} bytes");
            assert!(unseal(&other, &sealed).is_err(), "another passphrase, {length} bytes");
            let mut changed = sealed.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(unseal(&key, &changed).is_err(), "a changed byte, {length} bytes");
            assert!(unseal(&key, &sealed[..sealed.len() - 1]).is_err(), "a byte short, {length} bytes");
            if length > PIECE {
                assert!(unseal(&key, &sealed[..40 + PIECE + TAG]).is_err(), "cut between two pieces, {length} bytes");
            }
        }
        assert_ne!(seal(&key, b"same"), seal(&key, b"same"), "no two files share a key");
    }

    #[test]
    fn a_signature_belongs_to_one_text_and_one_passphrase() {
        let key = Key::new("a", b"0123456789abcdef");
        let signature = key.sign(b"text");
        assert!(key.verify(b"text", &signature) && !key.verify(b"test", &signature));
        assert!(!Key::new("b", b"0123456789abcdef").verify(b"text", &signature));
    }
}
