//! The authority from outside: real queries over UDP and TCP, the control interface over HTTP(S), a real `kill -9`.

#![allow(clippy::unwrap_used, reason = "the functions here are only called by tests")]

mod control;
mod crash;
mod queries;
mod strangers;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use pilotlight_core::id::Epoch;
use pilotlight_core::protocol::dns::{NameAnswer, NamePut};
use pilotlight_dns::{Authority, AuthorityParts, RunningAuthority};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

const TOKEN: &str = "a token of the test";
const NAME: &str = "pay.example.test";

/// For what has to end by itself: no measure of how fast it is.
const PATIENCE: Duration = Duration::from_secs(60);

fn parts(state_dir: &Path) -> AuthorityParts {
    AuthorityParts {
        listen: "127.0.0.1:0".parse().unwrap(),
        control: "127.0.0.1:0".parse().unwrap(),
        state_dir: state_dir.to_owned(),
        zones: vec!["example.test".to_owned()],
        token: TOKEN.to_owned(),
        tls: None,
    }
}

async fn start(state_dir: &Path) -> RunningAuthority {
    Authority::start(parts(state_dir)).await.unwrap()
}

/// Asks for the addresses of [`NAME`] on a connection that stays open.
async fn ask_over(stream: &mut TcpStream) -> Message {
    let bytes = query(&format!("{NAME}."), RecordType::A).to_vec().unwrap();
    stream.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = vec![0; stream.read_u16().await.unwrap().into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap()
}

fn weights(epoch: u64, east: u32, west: u32) -> NamePut {
    let answer = |region: &str, address: [u8; 4], weight| NameAnswer {
        region: region.into(),
        address: IpAddr::from(address),
        weight,
    };
    NamePut {
        unit: "payments".into(),
        epoch: Epoch(epoch),
        ttl_s: 1,
        answers: vec![answer("east", [127, 0, 0, 2], east), answer("west", [127, 0, 0, 3], west)],
        if_version: None,
    }
}

async fn tell(control: SocketAddr, name: &str, put: &NamePut) -> reqwest::Response {
    let url = format!("http://{control}/v1/names/{name}");
    http().put(url).bearer_auth(TOKEN).json(put).send().await.unwrap()
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

async fn ask(server: SocketAddr, message: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(server).await.unwrap();
    socket.send(&message.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("no answer").unwrap();
    let answer = Message::from_vec(&buffer[..read]).unwrap();
    assert_eq!(answer.metadata.id, message.metadata.id);
    answer
}

async fn ask_a(server: SocketAddr, name: &str) -> Message {
    let mut message = query(name, RecordType::A);
    message.set_edns(Edns::new());
    ask(server, &message).await
}

fn addresses(answer: &Message) -> Vec<IpAddr> {
    answer
        .answers
        .iter()
        .filter_map(|r| match &r.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        })
        .collect()
}
