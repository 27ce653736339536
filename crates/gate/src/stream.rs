//! The stream of a replication connection: what arrives, and the one message the gate sends.
//!
//! Of WAL only its head is looked at. What it says is nobody's business here, only how far it goes: so most of a bulk load
//! need not be read at all, it is enough to count it.
//!
//! Border: bytes in, positions out; no socket.

use bytes::{Buf, BufMut, BytesMut};

/// Something that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// WAL up to this position.
    Wal(u64),
    /// The server wants to know that the gate lives, or only says where it is.
    Ask,
    /// The server ends the stream.
    End(String),
}

/// `d`, its length; `w`, start, end, time. The WAL follows.
const WAL_HEAD: usize = 1 + 4 + 1 + 3 * 8;

/// What has arrived and was not told yet.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Begins with a message.
    buffer: BytesMut,
    /// WAL whose head was read.
    wal: Option<Wal>,
}

#[derive(Debug, Clone, Copy)]
struct Wal {
    end: u64,
    /// Bytes of it that are still to come.
    missing: usize,
}

impl Stream {
    /// Begins with what was read beyond the answer to the request for it.
    pub(crate) fn after(buffer: BytesMut) -> Self {
        Self { buffer, wal: None }
    }

    /// So many of the next bytes are WAL: it is enough to say that they are [`passed`](Self::pass) over.
    pub(crate) fn unwanted(&self) -> usize {
        self.wal.map_or(0, |wal| wal.missing)
    }

    /// The next bytes have arrived; at most the [`unwanted`](Self::unwanted) ones.
    pub(crate) fn pass(&mut self, bytes: usize) {
        if let Some(wal) = &mut self.wal {
            wal.missing = wal.missing.saturating_sub(bytes);
        }
    }

    /// The next bytes have arrived, and these are they.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let unwanted = bytes.len().min(self.unwanted());
        self.pass(unwanted);
        self.buffer.extend_from_slice(&bytes[unwanted..]);
    }

    /// What arrived next, once it is here as a whole.
    pub(crate) fn next(&mut self) -> Option<Arrived> {
        loop {
            if let Some(Wal { end, missing }) = self.wal {
                if missing > 0 {
                    return None;
                }
                self.wal = None;
                return Some(Arrived::Wal(end));
            }
            let (tag, length) = self.head()?;
            if length < 4 {
                return Some(Arrived::End("the server sent a message without a length".to_owned()));
            }
            let kind = self.buffer.get(5).copied().filter(|_| tag == b'd' && length > 4);
            if kind == Some(b'w') && 1 + length >= WAL_HEAD {
                if self.buffer.len() < WAL_HEAD {
                    return None;
                }
                self.begin_wal(1 + length - WAL_HEAD);
                continue;
            }
            if self.buffer.len() < 1 + length {
                return None;
            }
            let message = self.buffer.split_to(1 + length).split_off(5);
            match tag {
                b'd' if kind == Some(b'k') => return Some(Arrived::Ask),
                b'E' => return Some(Arrived::End(super::link::error_text(&message))),
                b'c' | b'C' => return Some(Arrived::End("the server has ended the stream".to_owned())),
                // Notices and parameters.
                _ => {}
            }
        }
    }

    /// The tag of the next message, and its length without the tag.
    fn head(&self) -> Option<(u8, usize)> {
        let head = self.buffer.get(..5)?;
        Some((head[0], u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize))
    }

    /// The buffer begins with the head of WAL of so many bytes.
    fn begin_wal(&mut self, bytes: usize) {
        let mut head = self.buffer.split_to(WAL_HEAD);
        head.advance(6);
        let here = bytes.min(self.buffer.len());
        self.buffer.advance(here);
        self.wal = Some(Wal { end: head.get_u64() + bytes as u64, missing: bytes - here });
    }
}

/// Says that everything up to `confirmed` is written and flushed. Nothing is ever said to be replayed: a session that
/// asks for `remote_apply` means a standby and not the gate.
pub(crate) fn status(confirmed: u64, out: &mut BytesMut) {
    out.put_u8(b'd');
    out.put_u32(4 + 1 + 4 * 8 + 1);
    out.put_u8(b'r');
    out.put_u64(confirmed);
    out.put_u64(confirmed);
    out.put_u64(0);
    // The sender's clock is only shown to people; the gate reads no wall clock.
    out.put_u64(0);
    out.put_u8(0);
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message of WAL, whose every byte could begin another; the server says that it is much further.
    pub(crate) fn wal(start: u64, bytes: usize) -> BytesMut {
        let mut out = BytesMut::new();
        out.put_u8(b'd');
        out.put_u32(u32::try_from(4 + 1 + 24 + bytes).unwrap());
        out.put_u8(b'w');
        out.put_u64(start);
        out.put_u64(start + 9_999_999);
        out.put_u64(0);
        out.put_bytes(b'd', bytes);
        out
    }

    #[test]
    fn only_bytes_that_are_here_count_and_not_what_the_server_says_of_its_end() {
        let mut stream = Stream::after(BytesMut::new());
        let message = wal(100, 50);
        let (tail, rest) = message.split_last().unwrap();
        stream.take(rest);
        assert_eq!(stream.next(), None, "one byte of it is still on its way");
        stream.take(&[*tail]);
        stream.take(&wal(150, 8));
        assert_eq!(stream.next(), Some(Arrived::Wal(150)));
        assert_eq!(stream.next(), Some(Arrived::Wal(158)));
        assert_eq!(stream.next(), None);
    }

    /// However the bytes of the network fall into pieces, and whether WAL is read or only counted.
    #[test]
    fn what_arrives_is_the_same_in_pieces_of_any_size_and_unread() {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(b"d\0\0\0\x16k\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\0\x01");
        for (start, size) in [(100, 300), (400, 0), (400, 1)] {
            bytes.extend_from_slice(&wal(start, size));
        }
        bytes.extend_from_slice(b"N\0\0\0\x05\0c\0\0\0\x04");
        let end = Arrived::End("the server has ended the stream".to_owned());
        let all = [Arrived::Ask, Arrived::Wal(400), Arrived::Wal(400), Arrived::Wal(401), end];
        for piece in 1..=bytes.len() {
            for passes in [false, true] {
                let mut stream = Stream::after(BytesMut::new());
                let (mut left, mut arrived) = (&bytes[..], Vec::new());
                while !left.is_empty() {
                    let size = piece.min(left.len());
                    let unwanted = size.min(stream.unwanted());
                    let taken = if passes && unwanted > 0 { unwanted } else { size };
                    if passes && unwanted > 0 {
                        stream.pass(taken);
                    } else {
                        stream.take(&left[..taken]);
                    }
                    left = &left[taken..];
                    arrived.extend(std::iter::from_fn(|| stream.next()));
                }
                assert_eq!(arrived, all, "in pieces of {piece}, passed over: {passes}");
            }
        }
    }

    #[test]
    fn what_was_read_beyond_the_answer_counts_and_wal_without_a_head_does_not() {
        let mut stream = Stream::after(wal(7, 3));
        assert_eq!(stream.next(), Some(Arrived::Wal(10)));
        stream.take(b"d\0\0\0\x06w\x01");
        stream.take(&wal(10, 1));
        assert_eq!(stream.next(), Some(Arrived::Wal(11)));
    }

    #[test]
    fn other_messages_are_passed_over_and_broken_ones_end_the_stream() {
        let mut stream = Stream::after(BytesMut::new());
        stream.take(b"N\0\0\0\x05\0");
        stream.take(&wal(1, 1));
        assert_eq!(stream.next(), Some(Arrived::Wal(2)));
        stream.take(b"d\0\0\0\x03");
        assert!(matches!(stream.next(), Some(Arrived::End(_))));
    }

    #[test]
    fn a_status_confirms_writing_and_flushing_but_no_replay() {
        let mut out = BytesMut::new();
        status(0x0102, &mut out);
        assert_eq!(out.len(), 1 + 4 + 1 + 4 * 8 + 1);
        assert_eq!(&out[..6], b"d\0\0\0&r");
        assert_eq!(
            (&out[6..14], &out[14..22], &out[22..30]),
            (&[0, 0, 0, 0, 0, 0, 1, 2][..], &[0, 0, 0, 0, 0, 0, 1, 2][..], &[0; 8][..])
        );
    }
}
