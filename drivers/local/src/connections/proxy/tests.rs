//! A proxy in a thread of the test, in front of a server that says everything back, on a clock that the test moves.

use super::*;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Scene {
    address: SocketAddr,
    orders: std::os::unix::net::UnixDatagram,
    clock: Arc<AtomicU64>,
    proxy: Option<std::thread::JoinHandle<io::Result<()>>>,
}

fn server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its number");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut copy = stream.try_clone().expect("another handle");
                let _ = io::copy(&mut stream, &mut copy);
            });
        }
    });
    address
}

impl Scene {
    fn new() -> Self {
        Self::before(server())
    }

    fn before(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its number");
        let (orders, heard) = std::os::unix::net::UnixDatagram::pair().expect("a pair of sockets");
        let clock = Arc::new(AtomicU64::new(1_000));
        let reads = clock.clone();
        let proxy = std::thread::spawn(move || {
            let now = move || Mono(Duration::from_millis(reads.load(Ordering::SeqCst)));
            Proxy::new(listener, heard, server, now)?.run()
        });
        Self { address, orders, clock, proxy: Some(proxy) }
    }

    fn order(&self, order: Order) {
        self.orders.send(write_order(order).as_bytes()).expect("the proxy runs");
    }

    fn until(&self, milliseconds: u64) {
        self.order(Order::Until(Mono(Duration::from_millis(milliseconds))));
    }

    /// Whether a new client gets an answer; a proxy that has not yet read its orders is asked again.
    fn answers(&self) -> bool {
        eventually(|| self.client().is_some_and(|mut client| says_back(&mut client, b"hello")))
    }

    fn client(&self) -> Option<std::net::TcpStream> {
        let client = std::net::TcpStream::connect(self.address).ok()?;
        client.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        Some(client)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.order(Order::End);
        let ended = self.proxy.take().expect("taken once").join();
        if !std::thread::panicking() {
            ended.expect("no panic").expect("the proxy ends in order");
        }
    }
}

/// Asked again until it holds; a busy machine may take its time before the proxy has read its orders.
fn eventually(holds: impl Fn() -> bool) -> bool {
    let end = SystemClock.mono() + Duration::from_secs(10);
    while SystemClock.mono() < end {
        if holds() {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

fn says_back(client: &mut std::net::TcpStream, text: &[u8]) -> bool {
    let mut back = vec![0; text.len()];
    client.write_all(text).is_ok() && client.read_exact(&mut back).is_ok() && back == text
}

#[test]
fn nobody_passes_before_the_first_order() {
    let scene = Scene::new();
    assert!(!scene.client().is_some_and(|mut c| says_back(&mut c, b"hello")));
}

#[test]
fn bytes_pass_both_ways_while_the_lease_runs() {
    let scene = Scene::new();
    scene.until(2_000);
    assert!(scene.answers());
    let mut client = scene.client().expect("a connection");
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut writer, text) = (client.try_clone().expect("another handle"), sent.clone());
    let writing = std::thread::spawn(move || writer.write_all(&text));
    let mut back = vec![0; sent.len()];
    client.read_exact(&mut back).expect("all of it comes back");
    assert!(back == sent, "other bytes came back");
    writing.join().expect("no panic").expect("all of it was sent");
}

#[test]
fn at_the_end_of_the_lease_old_connections_are_reset() {
    let scene = Scene::new();
    scene.until(2_000);
    assert!(scene.answers());
    let mut client = scene.client().expect("a connection");
    assert!(says_back(&mut client, b"before"));
    scene.clock.store(2_000, Ordering::SeqCst);
    assert!(!says_back(&mut client, b"after"), "something passed after the end");
    let mut rest = Vec::new();
    let cut = client.read_to_end(&mut rest);
    assert!(cut.is_err() || rest.is_empty(), "{rest:?}");
    assert!(!scene.client().is_some_and(|mut c| says_back(&mut c, b"new")), "a new client passed");
}

#[test]
fn an_earlier_order_shortens_nothing_and_a_close_ends_all() {
    let scene = Scene::new();
    scene.until(5_000);
    scene.until(1_500);
    assert!(scene.answers());
    scene.clock.store(4_000, Ordering::SeqCst);
    assert!(scene.answers());
    scene.order(Order::Close);
    let closed = eventually(|| !scene.client().is_some_and(|mut c| says_back(&mut c, b"hello")));
    assert!(closed, "clients pass a closed proxy");
    scene.until(6_000);
    assert!(scene.answers(), "it can be opened again");
}

#[test]
fn a_server_that_is_not_there_is_a_closed_door() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
    let scene = Scene::before(nobody);
    scene.until(2_000);
    assert!(!scene.client().is_some_and(|mut c| says_back(&mut c, b"hello")));
}

#[test]
fn orders_survive_the_way_and_rubbish_is_none() {
    for order in [Order::Until(Mono(Duration::from_nanos(7))), Order::Close, Order::End] {
        assert_eq!(read_order(write_order(order).as_bytes()), Some(order));
    }
    for rubbish in ["", "until", "until -1", "until 1s", "open", "close "] {
        assert_eq!(read_order(rubbish.as_bytes()), None, "{rubbish}");
    }
}
