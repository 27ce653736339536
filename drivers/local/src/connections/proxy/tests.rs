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
        client.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
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
    let end = SystemClock.mono() + Duration::from_secs(60);
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

/// Set in the process in which this test is alone, because the limit is the process's: where the server is, which is not in it.
const ALONE: &str = "PILOTLIGHT_TEST_ALONE";

#[test]
fn who_finds_no_descriptor_is_let_in_when_there_is_one() {
    let Ok(server) = std::env::var(ALONE) else {
        let this = "connections::proxy::tests::who_finds_no_descriptor_is_let_in_when_there_is_one";
        let mut alone = std::process::Command::new(std::env::current_exe().expect("this program"));
        let ran = alone.args(["--exact", this]).env(ALONE, server().to_string()).output().expect("it runs");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
        return;
    };
    use nix::sys::resource::{Resource, setrlimit};
    let scene = Scene::before(server.parse().expect("an address"));
    scene.until(2_000);
    // None is let go of: the proxy would give its descriptors back at some later moment.
    let mut kept = Vec::new();
    while !kept.last_mut().is_some_and(|client| says_back(client, b"hello")) {
        assert!(kept.len() < 100, "the proxy has not read its orders");
        kept.push(scene.client().expect("a connection"));
    }
    setrlimit(Resource::RLIMIT_NOFILE, 256, 256).expect("a limit may be lowered");
    // The client takes one descriptor; with another the proxy gets as far as the client, and not to the server.
    for free in [1, 2] {
        let mut taken: Vec<std::fs::File> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        taken.truncate(taken.len() - free);
        let mut client = std::net::TcpStream::connect(scene.address).expect("the system takes the connection");
        client.write_all(b"hello").expect("room in the buffer");
        client.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
        let mut back = [0; 5];
        let silent = client.read_exact(&mut back).expect_err("nobody can answer yet");
        assert!(matches!(silent.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silent}");
        drop(taken);
        client.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        client.read_exact(&mut back).expect("it is let in, though nobody else has come");
        assert_eq!(&back, b"hello");
        kept.push(client);
    }
}
