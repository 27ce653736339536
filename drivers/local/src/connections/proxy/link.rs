//! One client and its connection to the server.

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// Bytes under way per direction. Larger copies gain nothing on loopback; smaller ones cost more calls.
const ROOM: usize = 64 * 1024;

/// Fills of a buffer that one connection may pass before the others have their turn.
const TURN: usize = 16;

/// See the module.
pub(super) struct Link {
    client: TcpStream,
    server: TcpStream,
    upward: Way,
    downward: Way,
}

/// What became of a turn.
pub(super) enum Passed {
    /// Nothing more to do until the next event.
    Waits,
    /// There is more, and others had to wait.
    More,
    /// One side has ended and the other has all of it.
    Over,
    /// A side broke, or the lease is over.
    Cut,
}

impl Link {
    pub(super) fn new(client: TcpStream, server: TcpStream) -> Self {
        // Answers are small and waited for.
        let _ = client.set_nodelay(true);
        let _ = server.set_nodelay(true);
        Self { client, server, upward: Way::default(), downward: Way::default() }
    }

    pub(super) fn register(&mut self, registry: &Registry, client: Token, server: Token) -> io::Result<()> {
        registry.register(&mut self.client, client, Interest::READABLE | Interest::WRITABLE)?;
        registry.register(&mut self.server, server, Interest::READABLE | Interest::WRITABLE)
    }

    /// Hands on what there is, both ways; `may_pass` is asked before each write.
    pub(super) fn pass(&mut self, may_pass: impl Fn() -> bool) -> Passed {
        let up = self.upward.pass(&mut self.client, &mut self.server, &may_pass);
        let down = self.downward.pass(&mut self.server, &mut self.client, &may_pass);
        match (up, down) {
            (Ok(Turn::Ended), _) | (_, Ok(Turn::Ended)) => Passed::Over,
            (Ok(Turn::Closed) | Err(_), _) | (_, Ok(Turn::Closed) | Err(_)) => Passed::Cut,
            (Ok(Turn::Full), _) | (_, Ok(Turn::Full)) => Passed::More,
            (Ok(Turn::Empty), Ok(Turn::Empty)) => Passed::Waits,
        }
    }

    /// Ends both connections so that both sides notice at once.
    pub(super) fn reset(self) {
        reset(&self.client);
        reset(&self.server);
    }
}

/// Makes the close that follows a reset: what lies in the kernel's buffers is thrown away and not delivered late.
pub(super) fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// How a turn of one direction ended.
enum Turn {
    Empty,
    Full,
    Ended,
    Closed,
}

/// One direction: what was read and not yet written is `bytes[start..end]`.
struct Way {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    ended: bool,
}

impl Default for Way {
    fn default() -> Self {
        Self { bytes: vec![0; ROOM].into_boxed_slice(), start: 0, end: 0, ended: false }
    }
}

impl Way {
    fn pass(&mut self, from: &mut TcpStream, to: &mut TcpStream, may_pass: impl Fn() -> bool) -> io::Result<Turn> {
        for _ in 0..TURN {
            if self.start == self.end && !self.fill(from)? {
                return Ok(if self.ended { Turn::Ended } else { Turn::Empty });
            }
            if !may_pass() {
                return Ok(Turn::Closed);
            }
            match later(|| to.write(&self.bytes[self.start..self.end]))? {
                Some(written) => self.start += written,
                None => return Ok(Turn::Empty),
            }
        }
        Ok(Turn::Full)
    }

    /// Reads what there is; whether that was anything.
    fn fill(&mut self, from: &mut TcpStream) -> io::Result<bool> {
        let read = if self.ended { Some(0) } else { later(|| from.read(&mut self.bytes))? };
        self.ended = read == Some(0);
        (self.start, self.end) = (0, read.unwrap_or(0));
        Ok(self.end > 0)
    }
}

/// `None` when it cannot be done now; a connection that is still being made says `NotConnected`.
fn later(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    loop {
        match call() {
            Ok(count) => return Ok(Some(count)),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => return Ok(None),
            Err(e) => return Err(e),
        }
    }
}
