//! The proxy as the process it is: stopped and woken like any other, and told by datagrams.

use crate::program::pilotlight;
use crate::wait::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_local::connections::proxy::{Order, write_order};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// For what has to end by itself: no measure of how fast it is.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene {
    folder: TempDir,
    listen: SocketAddr,
    socket: UnixDatagram,
    process: Child,
}

fn free() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], pilotlight_lab::ports::free(1).expect("a free port")[0]))
}

fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its number");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut copy = stream.try_clone().expect("another handle");
                let _ = std::io::copy(&mut &stream, &mut copy);
            });
        }
    });
    address
}

impl Scene {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listen = free();
        let process = pilotlight(folder.path())
            .args(["proxy", "--listen", &listen.to_string(), "--server", &echo().to_string()])
            .args(["--orders", "orders"])
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary runs");
        let scene = Self { folder, listen, socket: UnixDatagram::unbound().expect("a socket"), process };
        until("a proxy that takes orders", PATIENCE, || scene.tell(Order::Close));
        scene
    }

    fn tell(&self, order: Order) -> Result<(), String> {
        let told = self.socket.send_to(write_order(order).as_bytes(), self.folder.path().join("orders"));
        told.map(|_| ()).map_err(|e| e.to_string())
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.listen).expect("the proxy listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.process.id().cast_signed()), signal).expect("our own process");
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn now() -> Mono {
    SystemClock.mono()
}

fn says_back(client: &mut TcpStream, text: &[u8]) -> Result<(), String> {
    let mut back = vec![0; text.len()];
    client.write_all(text).and_then(|()| client.read_exact(&mut back)).map_err(|e| e.to_string())?;
    if back == text { Ok(()) } else { Err(format!("{back:?}")) }
}

#[test]
fn a_proxy_that_was_frozen_over_the_end_of_the_lease_hands_nothing_on() {
    // A lease that is over before the proxy could be frozen says nothing: then there is a longer one.
    let met = [1_500, 6_000, 24_000].into_iter().any(|ms| frozen_over_the_end_of(Duration::from_millis(ms)));
    assert!(met, "the proxy could not be frozen before its lease was over");
}

/// `false` when the lease was over before.
fn frozen_over_the_end_of(lease: Duration) -> bool {
    let scene = Scene::start();
    let end = now() + lease;
    scene.tell(Order::Until(end)).expect("it runs");
    let opened = || {
        let mut client = scene.client();
        says_back(&mut client, b"before").map(|()| client)
    };
    let Some(mut client) = std::iter::from_fn(|| (now() < end).then(opened)).find_map(Result::ok) else { return false };
    scene.signal(Signal::SIGSTOP);
    if now() >= end {
        return false;
    }
    client.write_all(b"late").expect("the kernel takes it");
    until("the end of the lease", PATIENCE, || {
        if now() > end { Ok(()) } else { Err(format!("{:?} left", end.since(now()))) }
    });
    scene.signal(Signal::SIGCONT);
    let mut rest = Vec::new();
    let cut = client.read_to_end(&mut rest);
    assert!(rest.is_empty(), "handed on after the end: {:?}", String::from_utf8_lossy(&rest));
    let told = cut.expect_err("the client was not told by a reset");
    assert_eq!(told.kind(), ErrorKind::ConnectionReset, "{told}");
    // A renewal opens it again, for new clients.
    scene.tell(Order::Until(now() + PATIENCE * 2)).expect("it runs");
    until("an open proxy", PATIENCE, || says_back(&mut scene.client(), b"again"));
    true
}

#[test]
fn a_proxy_ends_when_it_is_told() {
    let mut scene = Scene::start();
    scene.tell(Order::End).expect("it runs");
    let ended = until("the end of the proxy", PATIENCE, || {
        scene.process.try_wait().map_err(|e| e.to_string())?.ok_or_else(|| "it runs".to_owned())
    });
    assert!(ended.success(), "{ended}");
    assert!(!scene.folder.path().join("orders").exists(), "its socket is left");
}
