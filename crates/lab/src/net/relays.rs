//! A TCP proxy on each way between two places, for machines without network namespaces, and for delays.
//!
//! What differs from a real network is said here. During a cut bytes are held, as TCP would send them again later, but the
//! kernel of the sender takes them for delivered, so its user timeout does not strike. A connection asked for during a
//! cut hangs, because the proxy's queue is kept full. A server that does not listen is noticed when it is dialled, so
//! the first to dial it sees its connection made and reset. Only TCP is relayed; names are asked directly.

use super::pipe::{Link, pipe, until_open};
use super::{NetError, Place};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Between two tries to reach a server that does not listen.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A queue that takes no connection within this time is full.
const FULL: Duration = Duration::from_millis(30);
const BACKLOG: i32 = 128;

type Ways = BTreeMap<(Place, Place, SocketAddr), Way>;

/// A proxy, seen from the lab.
#[derive(Debug)]
struct Way {
    at: SocketAddr,
    silent: watch::Receiver<bool>,
}

/// The proxies. They end with this.
#[derive(Debug)]
pub struct Relays {
    links: BTreeMap<(Place, Place), watch::Sender<Link>>,
    ways: Mutex<Ways>,
    runtime: Option<Runtime>,
}

impl Relays {
    pub(super) fn make() -> Result<Self, NetError> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("relays").enable_all().build();
        let runtime = Some(runtime.map_err(NetError::system("start the relays"))?);
        let pairs = Place::ALL.into_iter().flat_map(|from| from.others().map(move |to| (from, to)));
        let links = pairs.map(|pair| (pair, watch::Sender::new(Link::default()))).collect();
        Ok(Self { links, ways: Mutex::default(), runtime })
    }

    /// The proxy's address for that way; made when it is first asked for.
    pub(super) fn way(&self, from: Place, to: Place, target: SocketAddr) -> Result<SocketAddr, NetError> {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = ways.get(&(from, to, target)) {
            return Ok(known.at);
        }
        let Some(runtime) = &self.runtime else { return Err(NetError::NotHere("the relays have ended")) };
        let _here = runtime.enter();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = listen(any).map_err(NetError::system("open a port for a relay"))?;
        let at = listener.local_addr().map_err(NetError::system("open a port for a relay"))?;
        let (now, silent) = watch::channel(false);
        let relay = Relay { at, target, there: self.link(from, to), back: self.link(to, from), silent: now };
        runtime.spawn(relay.serve(listener));
        let way = Way { at, silent };
        way.settle(self.is_open(from, to));
        ways.insert((from, to, target), way);
        Ok(at)
    }

    /// Returns when the ports of the proxies are as silent as asked for.
    pub(super) fn open(&self, from: Place, to: Place, open: bool) {
        self.change(from, to, |link| link.open = open);
        let both = self.is_open(from, to);
        let ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let between = |(a, b, _): &(Place, Place, SocketAddr)| (*a, *b) == (from, to) || (*a, *b) == (to, from);
        for (_, way) in ways.iter().filter(|(pair, _)| between(pair)) {
            way.settle(both);
        }
    }

    fn is_open(&self, from: Place, to: Place) -> bool {
        [(from, to), (to, from)].iter().all(|pair| self.links.get(pair).is_some_and(|link| link.borrow().open))
    }

    pub(super) fn delay(&self, from: Place, to: Place, by: Duration) {
        self.change(from, to, |link| link.delay = by);
    }

    pub(super) fn delay_all(&self, by: Duration) {
        for link in self.links.values() {
            link.send_modify(|link| link.delay = by);
        }
    }

    fn change(&self, from: Place, to: Place, how: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get(&(from, to)) {
            link.send_modify(how);
        }
    }

    fn link(&self, from: Place, to: Place) -> watch::Receiver<Link> {
        let link = self.links.get(&(from, to)).map(watch::Sender::subscribe);
        // Only a place and itself have no link, and nobody asks for that one.
        link.unwrap_or_else(|| watch::channel(Link::default()).1)
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Also from within another runtime, which may not wait.
            runtime.shutdown_background();
        }
    }
}

impl Way {
    /// Waits until the port is as silent as it should be; half a second at most, it takes a thirtieth of one.
    fn settle(&self, open: bool) {
        let _ = (0..500).any(|_| *self.silent.borrow() != open || park());
    }
}

/// A moment for the proxies' own thread; never the last word.
fn park() -> bool {
    std::thread::park_timeout(Duration::from_millis(1));
    false
}

struct Relay {
    at: SocketAddr,
    target: SocketAddr,
    there: watch::Receiver<Link>,
    back: watch::Receiver<Link>,
    silent: watch::Sender<bool>,
}

impl Relay {
    async fn serve(mut self, mut listener: TcpListener) {
        loop {
            if !self.is_open() {
                self.be_silent(&listener).await;
                continue;
            }
            let (mut there, mut back) = (self.there.clone(), self.back.clone());
            there.borrow_and_update();
            back.borrow_and_update();
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = there.changed() => continue,
                _ = back.changed() => continue,
            };
            let Ok((client, _)) = accepted else { continue };
            if !self.is_open() {
                // Accepted in the instant of the cut: it hangs until the cut is healed.
                until_open(&mut self.there.clone()).await;
                until_open(&mut self.back.clone()).await;
            }
            match TcpStream::connect(self.target).await {
                Ok(server) => {
                    tokio::spawn(join(client, server, self.there.clone(), self.back.clone()));
                }
                Err(_) => {
                    reset(&client);
                    drop(client);
                    drop(listener);
                    listener = self.while_down().await;
                }
            }
        }
    }

    fn is_open(&self) -> bool {
        self.there.borrow().open && self.back.borrow().open
    }

    /// Nobody listens at the target, so nobody listens here either, unless it is cut off: then there is silence.
    async fn while_down(&self) -> TcpListener {
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if (!self.is_open() || TcpStream::connect(self.target).await.is_ok())
                && let Ok(listener) = listen(self.at)
            {
                return listener;
            }
        }
    }

    /// Keeps the queue of the port full, so that nobody is answered, until the cut is healed.
    async fn be_silent(&mut self, listener: &TcpListener) {
        let queue = socket2::SockRef::from(listener);
        let _ = queue.listen(0);
        let mut fill = Vec::new();
        while let Ok(Ok(one)) = tokio::time::timeout(FULL, TcpStream::connect(self.at)).await {
            fill.push(one);
        }
        self.silent.send_replace(true);
        until_open(&mut self.there).await;
        until_open(&mut self.back).await;
        let _ = queue.listen(BACKLOG);
        self.silent.send_replace(false);
        let mine: Vec<_> = fill.iter().filter_map(|f| f.local_addr().ok()).collect();
        let mut left = mine.len();
        while left > 0 {
            let Ok(Ok((client, peer))) = tokio::time::timeout(FULL, listener.accept()).await else { return };
            if mine.contains(&peer) {
                left -= 1;
            } else if let Ok(server) = TcpStream::connect(self.target).await {
                tokio::spawn(join(client, server, self.there.clone(), self.back.clone()));
            }
        }
    }
}

fn listen(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(at)?;
    socket.listen(BACKLOG.unsigned_abs())
}

fn reset(stream: &TcpStream) {
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

async fn join(client: TcpStream, server: TcpStream, there: watch::Receiver<Link>, back: watch::Receiver<Link>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(pipe(from_client, to_server, there), pipe(from_server, to_client, back));
}
