//! The stream of a replication connection: what arrives, and the one message the gate sends.
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

/// The next whole message, taken off the buffer.
pub(crate) fn next(buffer: &mut BytesMut) -> Option<Arrived> {
    loop {
        if buffer.len() < 5 {
            return None;
        }
        let tag = buffer[0];
        let length = u32::from_be_bytes([buffer[1], buffer[2], buffer[3], buffer[4]]) as usize;
        if length < 4 {
            return Some(Arrived::End("the server sent a message without a length".to_owned()));
        }
        if buffer.len() < 1 + length {
            return None;
        }
        let mut message = buffer.split_to(1 + length);
        message.advance(5);
        match tag {
            b'd' => {
                if let Some(arrived) = copied(&message) {
                    return Some(arrived);
                }
            }
            b'E' => return Some(Arrived::End(super::link::error_text(&message))),
            b'c' | b'C' => return Some(Arrived::End("the server has ended the stream".to_owned())),
            // Notices and parameters.
            _ => {}
        }
    }
}

/// `w`: start, end, time, bytes. `k`: end, time, whether an answer is wanted.
fn copied(message: &[u8]) -> Option<Arrived> {
    let (kind, rest) = message.split_first()?;
    match kind {
        b'w' => {
            let start = u64::from_be_bytes(rest.get(..8)?.try_into().ok()?);
            let bytes = rest.len().checked_sub(24)?;
            Some(Arrived::Wal(start + bytes as u64))
        }
        b'k' => Some(Arrived::Ask),
        _ => None,
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
mod tests {
    use super::*;

    fn wal(start: u64, bytes: usize) -> BytesMut {
        let mut out = BytesMut::new();
        out.put_u8(b'd');
        out.put_u32(u32::try_from(4 + 1 + 24 + bytes).unwrap());
        out.put_u8(b'w');
        out.put_u64(start);
        out.put_u64(start + 999);
        out.put_u64(0);
        out.extend_from_slice(&vec![7; bytes]);
        out
    }

    #[test]
    fn only_bytes_that_are_here_count_and_not_what_the_server_says_of_its_end() {
        let mut buffer = wal(100, 50);
        let whole = buffer.len();
        let tail = buffer.split_off(whole - 1);
        assert_eq!(next(&mut buffer), None, "one byte of it is still on its way");
        buffer.unsplit(tail);
        buffer.extend_from_slice(&wal(150, 8));
        assert_eq!(next(&mut buffer), Some(Arrived::Wal(150)));
        assert_eq!(next(&mut buffer), Some(Arrived::Wal(158)));
        assert_eq!(next(&mut buffer), None);
    }

    #[test]
    fn other_messages_are_passed_over_and_broken_ones_end_the_stream() {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(b"N\0\0\0\x05\0");
        buffer.extend_from_slice(&wal(1, 1));
        assert_eq!(next(&mut buffer), Some(Arrived::Wal(2)));
        buffer.extend_from_slice(b"d\0\0\0\x03");
        assert!(matches!(next(&mut buffer), Some(Arrived::End(_))));
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
