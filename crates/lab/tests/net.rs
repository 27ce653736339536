//! The lab's networks: silent cuts, one-way cuts, healing, delays, on namespaces where the machine allows them and on
//! relays everywhere.

#![allow(clippy::unwrap_used)] // tests

use pilotlight_driver::clock::{Clock, SystemClock};
use pilotlight_lab::net::{Net, Place, Want};
use pilotlight_lab::required::{self, Need};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Nothing came for so long.
const SILENCE: Duration = Duration::from_millis(300);
/// For what has to come: no measure of how fast it is.
const PATIENCE: Duration = Duration::from_secs(30);

/// Both kinds, or relays alone where there is no root.
fn nets() -> Vec<Net> {
    let mut nets = vec![Net::make(Want::Relays).unwrap().0];
    match Net::make(Want::Spaces) {
        Ok((spaces, _)) => nets.push(spaces),
        Err(e) => required::skip(Need::Namespaces, e),
    }
    nets
}

/// Something in east that sends back whatever it gets; answers its port.
fn echo(net: &Net) -> u16 {
    let address = SocketAddr::new(net.address(Place::East), 0);
    let listener = net.door(Place::East).within(|| TcpListener::bind(address)).unwrap().unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || io::copy(&mut stream.try_clone().unwrap(), &mut &stream));
        }
    };
    net.door(Place::East).spawn("echo", serve).unwrap();
    port
}

/// Of somebody who is let in.
fn dial(net: &Net, from: Place, port: u16) -> io::Result<TcpStream> {
    dial_within(net, from, port, PATIENCE)
}

/// Of somebody who is not.
fn knock(net: &Net, from: Place, port: u16) -> io::Result<TcpStream> {
    dial_within(net, from, port, SILENCE)
}

fn dial_within(net: &Net, from: Place, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let way = net.way(Some(from), Place::East, port).unwrap();
    let stream = net.door(from).within(|| TcpStream::connect_timeout(&way, limit))??;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends and waits for the same to come back.
fn says_back(mut stream: &TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer, text.as_bytes());
    Ok(())
}

/// Nothing came, and nobody said why.
fn is_silence<T: std::fmt::Debug>(what: io::Result<T>) {
    let kind = what.expect_err("it must not get through").kind();
    assert!(matches!(kind, ErrorKind::TimedOut | ErrorKind::WouldBlock), "not silent but {kind}");
}

/// What is sent gets no answer.
fn gets_silence(stream: &TcpStream, text: &str) {
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    is_silence(says_back(stream, text));
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
}

#[test]
fn a_cut_is_silent_and_heals() {
    for net in nets() {
        let port = echo(&net);
        let open = dial(&net, Place::West, port).unwrap();
        says_back(&open, "before").unwrap();
        net.cut_off(Place::East).unwrap();
        gets_silence(&open, "during");
        is_silence(knock(&net, Place::West, port));
        is_silence(knock(&net, Place::Clients, port));
        // The lab and the place itself see it still.
        let lab = TcpStream::connect(net.way(None, Place::East, port).unwrap()).unwrap();
        says_back(&lab, "the lab").unwrap();
        says_back(&dial(&net, Place::East, port).unwrap(), "itself").unwrap();
        net.heal_all().unwrap();
        // What was sent arrives late, as TCP sends it again.
        let mut late = [0; 6];
        (&open).read_exact(&mut late).unwrap();
        assert_eq!(&late, b"during");
        says_back(&dial(&net, Place::West, port).unwrap(), "after").unwrap();
    }
}

#[test]
fn a_cut_between_two_leaves_the_third() {
    for net in nets() {
        let port = echo(&net);
        net.cut_between(Place::East, Place::West).unwrap();
        is_silence(knock(&net, Place::West, port));
        says_back(&dial(&net, Place::Third, port).unwrap(), "the third place").unwrap();
    }
}

#[test]
fn a_one_way_cut_lets_nobody_connect_but_bytes_pass_the_other_way() {
    for net in nets() {
        let port = echo(&net);
        let mut open = dial(&net, Place::West, port).unwrap();
        says_back(&open, "before").unwrap();
        net.cut(Place::East, Place::West).unwrap();
        gets_silence(&open, "asked");
        is_silence(knock(&net, Place::West, port));
        net.heal(Place::East, Place::West).unwrap();
        let mut answer = [0; 5];
        open.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"asked", "what was asked had arrived, only the answer was held up");
    }
}

#[test]
fn relays_delay_and_refuse_what_is_down() {
    let net = Net::make(Want::Relays).unwrap().0;
    let port = echo(&net);
    let open = dial(&net, Place::West, port).unwrap();
    says_back(&open, "quick").unwrap();
    net.delay(Place::West, Place::East, Duration::from_millis(120)).unwrap();
    let began = SystemClock.mono();
    says_back(&open, "slow").unwrap();
    let took = SystemClock.mono().since(began);
    assert!(took >= Duration::from_millis(120), "a delay of 120 ms took {took:?}");

    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    // The first to dial is reset, all others are refused.
    let _ = dial(&net, Place::West, nobody).map(|mut stream| stream.read(&mut [0; 1]));
    let end = SystemClock.mono() + PATIENCE;
    let mut refused = false;
    while !refused && SystemClock.mono() < end {
        let answer = dial(&net, Place::West, nobody);
        refused = answer.is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
    }
    assert!(refused, "the relay of a dead server still accepts");
}

#[test]
fn namespaces_vanish_with_the_lab() {
    let Ok((net, _)) = Net::make(Want::Spaces) else {
        required::skip(Need::Namespaces, "this machine allows no network namespaces");
        return;
    };
    let address = net.address(Place::East);
    let port = echo(&net);
    TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE).unwrap();
    let one_more = Net::make(Want::Spaces).unwrap().0;
    assert_ne!(one_more.address(Place::East), address, "two labs have one subnet");
    // The echo's thread is what still lives in there; its listener goes with a process, not with the lab. The lab's own
    // way to it goes at once.
    drop(net);
    let mut left = String::new();
    let end = SystemClock.mono() + PATIENCE;
    let gone = std::iter::from_fn(|| (SystemClock.mono() < end).then_some(())).any(|()| {
        let seen = std::process::Command::new("ip").args(["-o", "addr"]).output().unwrap();
        left = String::from_utf8_lossy(&seen.stdout).into_owned();
        let IpAddr::V4(v4) = address else { panic!("an address of version 4") };
        !left.contains(&format!("10.213.{}.254", v4.octets()[2]))
    });
    assert!(gone, "left behind: {left}");
}
