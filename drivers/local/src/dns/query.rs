//! One question to one DNS server over UDP, without any cache: what is served at this moment.

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;

/// Packets are lost now and then.
const ATTEMPTS: u32 = 2;

/// Largest answer: without EDNS a server sends at most 512 bytes.
const MAX_ANSWER: usize = 512;

/// Whose answer counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Only that of the name's authority.
    Authority,
    /// That of a resolver, too, which may have to ask others.
    Anybody,
}

/// The addresses served for the name. Empty when the server says that there are none; the error says why it cannot be
/// asked or refuses to answer for the name.
pub(crate) async fn addresses(
    server: SocketAddr,
    name: &str,
    v4: bool,
    within: Duration,
    asked: Asked,
) -> Result<Vec<IpAddr>, String> {
    let mut name = Name::from_ascii(name).map_err(|e| format!("{name} is not a name: {e}"))?;
    name.set_fqdn(true);
    let kind = if v4 { RecordType::A } else { RecordType::AAAA };
    let mut question = Message::query();
    question.add_query(Query::query(name, kind));
    question.metadata.recursion_desired = asked == Asked::Anybody;
    let mut last = format!("{server} does not answer");
    for _ in 0..ATTEMPTS {
        match tokio::time::timeout(within / ATTEMPTS, ask(server, &question)).await {
            Ok(Ok(answer)) => return read(server, &answer, asked),
            Ok(Err(e)) => last = format!("{server} cannot be asked: {e}"),
            Err(_) => {}
        }
    }
    Err(last)
}

async fn ask(server: SocketAddr, question: &Message) -> io::Result<Message> {
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
    let mut buffer = [0; MAX_ANSWER];
    loop {
        let read = socket.recv(&mut buffer).await?;
        // What does not belong to the question is from somebody else.
        match Message::from_vec(&buffer[..read]) {
            Ok(answer) if answer.metadata.id == question.metadata.id => return Ok(answer),
            _ => {}
        }
    }
}

fn read(server: SocketAddr, answer: &Message, asked: Asked) -> Result<Vec<IpAddr>, String> {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if answer.metadata.authoritative || asked == Asked::Anybody => {}
        ResponseCode::NoError | ResponseCode::NXDomain => return Err(format!("{server} is not its authority")),
        code => return Err(format!("{server} says {code}")),
    }
    let address = |data: &RData| match data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(a) => Some(IpAddr::V6(a.0)),
        _ => None,
    };
    Ok(answer.answers.iter().filter_map(|r| address(&r.data)).collect())
}
