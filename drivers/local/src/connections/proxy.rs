//! A proxy between clients and a server, in a process of its own with one thread: bytes pass while the lease runs, and
//! every connection is reset when it is over.
//!
//! For machines where the kernel's fence cannot be had. Clients must know no other way to the server: it listens on an
//! address that only its machine and the other regions' servers reach, and that is for the installation to see to.
//!
//! Invariants:
//! - the clock is read before each write of the server's bytes to a client, and after each wait: a process that was frozen
//!   finds its lease over before it hands on what lay in its buffers;
//! - without an order it is closed; an order can only come through its own socket, from the account that runs it;
//! - a slow side holds up its own connection only: nothing is read for which there is no room;
//! - whoever could not be let in for want of a descriptor is let in when there is one: no other arrival is needed for it.

pub mod descriptors;
mod link;

use link::{Link, Passed};
use mio::net::{TcpListener, TcpStream, UnixDatagram};
use mio::{Events, Interest, Poll, Token};
use nix::errno::Errno;
use pilotlight_core::code;
use pilotlight_core::time::Mono;
use pilotlight_driver::rarely::Rarely;
use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

const LISTENER: Token = Token(0);
const ORDERS: Token = Token(1);
const FIRST_LINK: usize = 2;

/// Between two looks at the clock when nothing happens and the lease has no end yet.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Between two tries to let in somebody for whom there was no descriptor: the poll tells each arrival once only.
const LET_IN_AGAIN: Duration = Duration::from_millis(50);

/// The machine's clock since boot; tests bring their own.
type Now = Box<dyn Fn() -> Mono>;

/// The proxy of one server.
pub struct Proxy {
    poll: Poll,
    listener: TcpListener,
    orders: UnixDatagram,
    server: SocketAddr,
    now: Now,
    until: Option<Mono>,
    links: HashMap<usize, Link>,
    next: usize,
    /// Links with more to pass than one turn allows.
    eager: Vec<usize>,
    /// Clients may be waiting at the listener, who could not be let in.
    queue: bool,
    /// One that was let in and could not be led on.
    held: Option<TcpStream>,
    rarely: Rarely,
}

impl Proxy {
    /// Clients come to `listener` and are led to `server`; `orders` brings until when (see [`read_order`]).
    pub fn new(
        listener: std::net::TcpListener,
        orders: std::os::unix::net::UnixDatagram,
        server: SocketAddr,
        now: impl Fn() -> Mono + 'static,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        orders.set_nonblocking(true)?;
        let poll = Poll::new()?;
        let (mut listener, mut orders) = (TcpListener::from_std(listener), UnixDatagram::from_std(orders));
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        poll.registry().register(&mut orders, ORDERS, Interest::READABLE)?;
        let (links, eager, rarely) = (HashMap::new(), Vec::new(), Rarely::default());
        let (now, until, next): (Now, _, _) = (Box::new(now), None, FIRST_LINK);
        let (queue, held) = (false, None);
        Ok(Self { poll, listener, orders, server, now, until, links, next, eager, queue, held, rarely })
    }

    /// Runs until an order says so or something breaks that cannot be mended.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        loop {
            match self.poll.poll(&mut events, Some(self.wait())) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                waited => waited?,
            }
            self.close_if_over();
            let mut ready = std::mem::take(&mut self.eager);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    ORDERS => {
                        if self.obey()? == Told::End {
                            return Ok(());
                        }
                    }
                    Token(number) => ready.push(number / 2),
                }
            }
            ready.sort_unstable();
            ready.dedup();
            for number in ready {
                self.pass(number);
            }
            if self.queue {
                self.accept();
            }
        }
    }

    fn wait(&self) -> Duration {
        if !self.eager.is_empty() {
            return Duration::ZERO;
        }
        let longest = if self.queue { LET_IN_AGAIN } else { LONGEST_WAIT };
        // Rounded up by the poll to whole milliseconds: the clock is read again before anything is handed on.
        self.until.map_or(longest, |until| until.since((self.now)()).min(longest))
    }

    fn is_open(&self) -> bool {
        self.until.is_some_and(|until| (self.now)() < until)
    }

    fn close_if_over(&mut self) {
        if !self.is_open() {
            self.until = None;
            for (_, link) in self.links.drain() {
                link.reset();
            }
            if let Some(client) = self.held.take() {
                link::reset(&client);
            }
        }
    }

    fn accept(&mut self) {
        self.queue = false;
        if let Some(client) = self.held.take() {
            self.let_in(client);
        }
        while !self.queue {
            match self.listener.accept() {
                Ok((client, _)) => self.let_in(client),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // Nobody is left waiting.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => self.queue_up(&e),
            }
        }
    }

    fn let_in(&mut self, client: TcpStream) {
        match self.is_open() {
            true => self.lead(client),
            false => link::reset(&client),
        }
    }

    /// Whoever waits is let in later.
    fn queue_up(&mut self, why: &io::Error) {
        self.queue = true;
        if self.rarely.may_say("queue", (self.now)()) {
            let (code, clients) = (code::PROXY_DESCRIPTORS, self.links.len());
            tracing::warn!(clients, "{code}: clients wait at the proxy, it cannot take them: {why}");
        }
    }

    /// Connects a client to the server.
    fn lead(&mut self, client: TcpStream) {
        let server = match TcpStream::connect(self.server) {
            Ok(server) => server,
            Err(e) if [Errno::EMFILE, Errno::ENFILE].iter().any(|short| e.raw_os_error() == Some(*short as i32)) => {
                self.held = Some(client);
                return self.queue_up(&e);
            }
            Err(_) => return link::reset(&client),
        };
        let number = self.next;
        self.next += 1;
        let mut link = Link::new(client, server);
        let (client, server) = (Token(2 * number), Token(2 * number + 1));
        match link.register(self.poll.registry(), client, server) {
            Ok(()) => drop(self.links.insert(number, link)),
            Err(_) => link.reset(),
        }
    }

    fn pass(&mut self, number: usize) {
        let (now, until) = (&self.now, self.until);
        let may_pass = || until.is_some_and(|until| now() < until);
        let Some(link) = self.links.get_mut(&number) else { return };
        match link.pass(may_pass) {
            Passed::Waits => {}
            Passed::More => self.eager.push(number),
            Passed::Over => drop(self.links.remove(&number)),
            Passed::Cut => self.links.remove(&number).into_iter().for_each(Link::reset),
        }
    }

    fn obey(&mut self) -> io::Result<Told> {
        let mut text = [0; 64];
        loop {
            match self.orders.recv(&mut text) {
                Ok(length) => match read_order(&text[..length]) {
                    Some(Order::Until(until)) => self.until = self.until.max(Some(until)),
                    Some(Order::Close) => self.until = None,
                    Some(Order::End) => return Ok(Told::End),
                    // Somebody else's words change nothing.
                    None => {}
                },
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.close_if_over();
                    return Ok(Told::GoOn);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Told {
    GoOn,
    End,
}

/// What the agent says to the proxy, one datagram each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Pass until that moment of the machine's clock since boot. An earlier one than before changes nothing.
    Until(Mono),
    /// Pass nothing from now on.
    Close,
    /// End.
    End,
}

/// An order as text: `until NANOSECONDS`, `close` or `end`.
pub fn write_order(order: Order) -> String {
    match order {
        Order::Until(Mono(since_boot)) => format!("until {}", since_boot.as_nanos()),
        Order::Close => "close".to_owned(),
        Order::End => "end".to_owned(),
    }
}

/// The order in a datagram, if it is one.
pub fn read_order(text: &[u8]) -> Option<Order> {
    match std::str::from_utf8(text).ok()? {
        "close" => Some(Order::Close),
        "end" => Some(Order::End),
        until => {
            let nanoseconds = until.strip_prefix("until ")?.parse().ok()?;
            Some(Order::Until(Mono(Duration::from_nanos(nanoseconds))))
        }
    }
}

#[cfg(test)]
mod tests;
