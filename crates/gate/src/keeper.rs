//! The one loop of the gate: orders in, WAL in, confirmations out.

use super::link::{self, Link};
use super::order::{Order, Site, Word};
use super::stream::{self, Arrived};
use bytes::BytesMut;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

/// Between two attempts to reach the server.
const RETRY: Duration = Duration::from_millis(20);

/// So much is passed over at once.
const PIECE: usize = 1 << 16;

/// So much is read at once: heads, and what few sessions commit.
const HEADS: usize = 1 << 13;

/// So much is taken before it is confirmed.
const MOST: usize = 1 << 20;

/// A link is confirmed again this often while it is young: the server counts a confirmation only once it has caught up,
/// and does not say when that is.
const YOUNG_EVERY: Duration = Duration::from_millis(3);

/// A link is young for so long.
const YOUNG: Duration = Duration::from_millis(500);

/// A gate that no agent has spoken to for so long ends: its agent is gone for good.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// Why there is no gate.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The first line of standard input is no site.
    #[error("the gate was not told where it stands")]
    Site(#[source] serde_json::Error),
    /// Standard input, the socket or the wait for them.
    #[error("the gate cannot {0}")]
    Io(&'static str, #[source] io::Error),
}

/// Runs until it is killed or forgotten.
pub fn run() -> Result<(), GateError> {
    let mut first = String::new();
    io::stdin().lock().read_line(&mut first).map_err(|e| GateError::Io("read its standard input", e))?;
    let site: Site = serde_json::from_str(&first).map_err(GateError::Site)?;
    // A socket of a gate that has died; one that lives was asked before this one was started.
    let _ = std::fs::remove_file(&site.socket);
    let listen = UnixListener::bind(&site.socket).and_then(|l| l.set_nonblocking(true).map(|()| l));
    let listener = listen.map_err(|e| GateError::Io("make its socket", e))?;
    let now = SystemClock.mono();
    let mut keeper = Keeper {
        site,
        listener,
        agents: Vec::new(),
        until: Mono::default(),
        link: None,
        retry_at: now,
        heard: now,
        trouble: None,
        confirmed: 0,
    };
    keeper.run()
}

struct Keeper {
    site: Site,
    listener: UnixListener,
    agents: Vec<Agent>,
    /// Nothing is confirmed from then on.
    until: Mono,
    link: Option<Live>,
    retry_at: Mono,
    heard: Mono,
    trouble: Option<String>,
    confirmed: u64,
}

/// Where something has arrived.
struct Ready {
    orders: bool,
    wal: bool,
}

/// A connection of an agent, with what it has not finished saying.
struct Agent {
    socket: UnixStream,
    said: Vec<u8>,
}

struct Live {
    link: Link,
    /// What is read into.
    piece: Box<[u8]>,
    since: Mono,
    received: u64,
    sent_at: Mono,
}

impl Keeper {
    fn run(&mut self) -> Result<(), GateError> {
        loop {
            let now = SystemClock.mono();
            if now.since(self.heard) > FORGOTTEN {
                return Ok(());
            }
            self.keep_link(now);
            let arrived = self.wait(now)?;
            if arrived.orders {
                self.take_orders();
            }
            if arrived.wal {
                self.take_wal();
            }
        }
    }

    /// Hangs up when it may not confirm, connects when it may.
    fn keep_link(&mut self, now: Mono) {
        if now >= self.until {
            self.link = None;
            return;
        }
        if self.link.is_none() && now >= self.retry_at {
            match link::open(&self.site).map_err(|e| e.to_string()).and_then(Live::begin) {
                Ok(live) => {
                    self.link = Some(live);
                    self.trouble = None;
                    self.confirm();
                }
                Err(why) => self.lost(why),
            }
        }
        self.confirm_again();
    }

    fn lost(&mut self, why: String) {
        self.link = None;
        self.trouble = Some(why);
        self.retry_at = SystemClock.mono() + RETRY;
    }

    /// Says again what was said, where silence would cost the link or was said too early to count.
    fn confirm_again(&mut self) {
        let Some(live) = &self.link else { return };
        let now = SystemClock.mono();
        if now.since(live.sent_at) >= self.pause(live, now) {
            self.confirm();
        }
    }

    fn pause(&self, live: &Live, now: Mono) -> Duration {
        let young = now.since(live.since) < YOUNG;
        if young { YOUNG_EVERY } else { Duration::from_millis(self.site.sender_timeout_ms / 4) }
    }

    /// The only place that confirms.
    fn confirm(&mut self) {
        let Some(live) = &mut self.link else { return };
        let mut message = BytesMut::with_capacity(64);
        stream::status(live.received, &mut message);
        // Read last: what comes between this and the send is what the server's time limit is for.
        let now = SystemClock.mono();
        if now >= self.until {
            self.link = None;
            return;
        }
        live.sent_at = now;
        // A socket that is full belongs to a server that does not read: it is of no use.
        match live.link.socket.write_all(&message) {
            Ok(()) => self.confirmed = live.received,
            Err(e) => self.lost(format!("cannot answer the server: {e}")),
        }
    }

    /// Until something arrives or is due. Each commit passes here: nothing is asked for that has not arrived.
    fn wait(&self, now: Mono) -> Result<Ready, GateError> {
        let mut due = now + Duration::from_secs(1);
        match &self.link {
            Some(live) => due = due.min(self.until).min(live.sent_at + self.pause(live, now)),
            None if now < self.until => due = due.min(self.retry_at),
            None => {}
        }
        let mut watched = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        watched.extend(self.agents.iter().map(|a| PollFd::new(a.socket.as_fd(), PollFlags::POLLIN)));
        watched.extend(self.link.iter().map(|l| PollFd::new(l.link.socket.as_fd(), PollFlags::POLLIN)));
        let millis = u16::try_from(due.since(now).as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
        match poll(&mut watched, PollTimeout::from(millis)) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(Ready { orders: false, wal: false }),
            Ok(_) => {}
            Err(e) => return Err(GateError::Io("wait", e.into())),
        }
        // A hang-up or an error is found out by reading, too.
        let arrived = |watched: &[PollFd]| watched.iter().any(|fd| fd.any().unwrap_or(true));
        let (orders, wal) = watched.split_at(1 + self.agents.len());
        Ok(Ready { orders: arrived(orders), wal: arrived(wal) })
    }

    fn take_orders(&mut self) {
        while let Ok((socket, _)) = self.listener.accept() {
            if socket.set_nonblocking(true).is_ok() {
                self.agents.push(Agent { socket, said: Vec::new() });
            }
        }
        let mut agents = std::mem::take(&mut self.agents);
        agents.retain_mut(|agent| {
            let (orders, open) = agent.hear();
            for order in orders {
                self.heard = SystemClock.mono();
                match order {
                    Order::Stand { site } => self.stand(site),
                    Order::Until { at_us } => self.until = Order::moment(at_us),
                }
                agent.answer(&self.word());
            }
            open
        });
        self.agents = agents;
    }

    /// Name and socket are the process's own: with another of either it is another gate, which the agent finds out by the word.
    fn stand(&mut self, site: Site) {
        if site.name == self.site.name && site.socket == self.site.socket && site != self.site {
            // Also for another limit alone: the server was asked for the old one, and what was told last was reckoned by it.
            self.link = None;
            self.until = Mono::default();
            self.retry_at = SystemClock.mono();
            self.site = site;
        }
    }

    fn word(&self) -> Word {
        Word {
            pid: std::process::id(),
            name: self.site.name.clone(),
            linked: self.link.is_some(),
            confirmed: self.confirmed,
            trouble: self.trouble.clone(),
        }
    }

    fn take_wal(&mut self) {
        let Some(live) = &mut self.link else { return };
        match live.read() {
            Ok(true) => self.confirm(),
            Ok(false) => {}
            Err(why) => self.lost(why),
        }
    }
}

impl Live {
    /// What came along with the answer to the request for the stream has arrived, too: nothing wakes the gate for it again.
    fn begin(link: Link) -> Result<Self, String> {
        let (since, received) = (SystemClock.mono(), link.began_at);
        let piece = vec![0; PIECE].into_boxed_slice();
        let mut live = Self { link, piece, since, received, sent_at: Mono::default() };
        live.hear()?;
        Ok(live)
    }

    /// Takes what has arrived, and says whether it calls for an answer.
    fn read(&mut self) -> Result<bool, String> {
        let (mut taken, mut news) = (0, false);
        loop {
            let unwanted = self.link.stream.unwanted().min(self.piece.len());
            let asked = if unwanted > 0 { unwanted } else { HEADS };
            let piece = &mut self.piece[..asked];
            let got = if unwanted > 0 { pass_over(&self.link.socket, piece) } else { self.link.socket.read(piece) };
            let n = match got {
                Ok(0) => return Err("the server has closed the connection".to_owned()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(news),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.to_string()),
            };
            if unwanted > 0 {
                self.link.stream.pass(n);
            } else {
                self.link.stream.take(&piece[..n]);
            }
            news |= self.hear()?;
            taken += n;
            // Bulk: what is here is confirmed before more is taken. The rest, if any, is told by the next wait.
            if n < asked || taken > MOST {
                return Ok(news);
            }
        }
    }

    /// Whether anything is here as a whole.
    fn hear(&mut self) -> Result<bool, String> {
        let mut news = false;
        while let Some(arrived) = self.link.stream.next() {
            match arrived {
                Arrived::Wal(end) => self.received = self.received.max(end),
                Arrived::Ask => {}
                Arrived::End(why) => return Err(why),
            }
            news = true;
        }
        Ok(news)
    }
}

/// Takes as much off the socket as the piece could hold; Linux copies none of it.
fn pass_over(socket: &TcpStream, piece: &mut [u8]) -> io::Result<usize> {
    Ok(recv(socket.as_raw_fd(), piece, MsgFlags::MSG_TRUNC)?)
}

impl Agent {
    /// Whole lines, and whether more may come.
    fn hear(&mut self) -> (Vec<Order>, bool) {
        let mut piece = [0; 512];
        let mut open = true;
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => open = false,
                Ok(n) => {
                    self.said.extend_from_slice(&piece[..n]);
                    continue;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => open = false,
            }
            break;
        }
        let mut orders = Vec::new();
        while let Some(end) = self.said.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.said.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(order) => orders.push(order),
                Err(_) => open = false,
            }
        }
        (orders, open && self.said.len() < 4096)
    }

    fn answer(&mut self, word: &Word) {
        if let Ok(mut line) = serde_json::to_vec(word) {
            line.push(b'\n');
            // An agent that does not read its answers has its own deadline.
            let _ = self.socket.write_all(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::wal;
    use std::net::TcpListener;

    /// A link that began at 100 with what was read along with the answer, and the server's end of it.
    fn linked(read: &[u8]) -> (Live, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let link = Link { socket, stream: stream::Stream::after(BytesMut::from(read)), began_at: 100 };
        (Live::begin(link).unwrap(), server)
    }

    /// Reads as the loop does, until so much is told or the server is silent.
    fn reads_until(live: &mut Live, done: impl Fn(&Live) -> bool) {
        while !done(live) {
            let mut watched = [PollFd::new(live.link.socket.as_fd(), PollFlags::POLLIN)];
            assert_ne!(poll(&mut watched, PollTimeout::from(10_000_u16)), Ok(0), "the server is silent");
            live.read().unwrap();
        }
    }

    /// Most of it is never copied; what counts is that all of it has come.
    #[test]
    fn a_bulk_load_counts_once_its_last_byte_is_here_and_not_before() {
        let (mut live, mut server) = linked(&[]);
        let message = wal(100, 300_000);
        let (last, all_but_it) = message.split_last().unwrap();
        let sending = std::thread::spawn({
            let bytes = all_but_it.to_vec();
            move || {
                server.write_all(&bytes).unwrap();
                server
            }
        });
        reads_until(&mut live, |live| live.link.stream.unwanted() == 1);
        let mut server = sending.join().unwrap();
        assert_eq!((live.read(), live.received), (Ok(false), 100), "a byte of it is still on its way");
        // What follows begins exactly behind it.
        server.write_all(&[&[*last], &wal(300_100, 7)[..], &wal(300_107, 70_000)].concat()).unwrap();
        reads_until(&mut live, |live| live.received > 300_107);
        assert_eq!((live.received, live.link.stream.unwanted()), (370_107, 0));
    }

    #[test]
    fn what_came_along_with_the_answer_is_received_when_the_link_begins() {
        let (live, _server) = linked(&wal(100, 20));
        assert_eq!(live.received, 120);
    }
}
