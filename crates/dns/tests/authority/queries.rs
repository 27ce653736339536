//! What is answered to whom.

use crate::{NAME, PATIENCE, addresses, ask, ask_a, ask_over, query, start, tell, weights};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};
use pilotlight_core::protocol::dns::NamePut;
use std::net::IpAddr;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

#[tokio::test]
async fn each_question_gets_its_kind_of_answer() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let before = ask_a(authority.dns_addr, NAME).await;
    assert_eq!(before.metadata.response_code, ResponseCode::NXDomain, "before it was told");
    tell(authority.control_addr, NAME, &weights(1, 100, 0)).await.error_for_status().unwrap();

    for (name, kind, code, answers) in [
        ("pay.example.test.", RecordType::A, ResponseCode::NoError, 1),
        ("PAY.Example.TEST.", RecordType::A, ResponseCode::NoError, 1),
        ("pay.example.test.", RecordType::ANY, ResponseCode::NoError, 1),
        ("pay.example.test.", RecordType::AAAA, ResponseCode::NoError, 0),
        ("pay.example.test.", RecordType::MX, ResponseCode::NoError, 0),
        ("example.test.", RecordType::SOA, ResponseCode::NoError, 1),
        ("example.test.", RecordType::NS, ResponseCode::NoError, 1),
        ("example.test.", RecordType::A, ResponseCode::NoError, 0),
        ("ns.example.test.", RecordType::A, ResponseCode::NoError, 1),
        ("other.example.test.", RecordType::A, ResponseCode::NXDomain, 0),
        ("x.pay.example.test.", RecordType::A, ResponseCode::NXDomain, 0),
    ] {
        let answer = ask(authority.dns_addr, &query(name, kind)).await;
        let seen = (answer.metadata.response_code, answer.answers.len());
        assert_eq!(seen, (code, answers), "{name} {kind}");
        assert!(answer.metadata.authoritative, "{name} {kind}");
        let soas = answer.authorities.iter().filter(|r| r.record_type() == RecordType::SOA).count();
        assert_eq!(soas, usize::from(answers == 0), "{name} {kind}: resolvers need the SOA to remember nothing");
    }
    for (name, kind) in [("example.org.", RecordType::A), (".", RecordType::NS), ("example.test.", RecordType::AXFR)] {
        let answer = ask(authority.dns_addr, &query(name, kind)).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused, "{name} {kind}");
        assert!(!answer.metadata.authoritative);
    }
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn a_name_above_one_that_was_told_exists() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    tell(authority.control_addr, "pay.eu.example.test", &weights(1, 100, 0)).await.error_for_status().unwrap();
    let above = ask_a(authority.dns_addr, "eu.example.test.").await;
    assert_eq!((above.metadata.response_code, above.answers.len()), (ResponseCode::NoError, 0));
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn the_answer_has_the_ttl_and_the_spelling_it_was_asked_with() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let put = NamePut { ttl_s: 7, ..weights(1, 0, 100) };
    tell(authority.control_addr, "PAY.example.test.", &put).await.error_for_status().unwrap();
    let answer = ask_a(authority.dns_addr, "pAy.eXample.test.").await;
    assert_eq!(addresses(&answer), [IpAddr::from([127, 0, 0, 3])]);
    assert_eq!(answer.answers[0].ttl, 7);
    assert_eq!(answer.answers[0].name.to_ascii(), "pAy.eXample.test.");
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn weights_decide_how_often_and_zero_means_never() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let east = IpAddr::from([127, 0, 0, 2]);
    // Bounds: five standard deviations of a fair choice.
    for (put, least, most) in [
        (weights(1, 100, 0), 1_000, 1_000),
        (weights(2, 0, 100), 0, 0),
        (weights(3, 70, 30), 627, 773),
        (weights(4, 1, 1), 421, 579),
    ] {
        tell(authority.control_addr, NAME, &put).await.error_for_status().unwrap();
        let mut hits = 0;
        for _ in 0..1_000 {
            let got = addresses(&ask_a(authority.dns_addr, "pay.example.test.").await);
            assert_eq!(got.len(), 1, "one answer, so that the client has no choice");
            hits += usize::from(got[0] == east);
        }
        assert!((least..=most).contains(&hits), "{hits} of 1000 with {:?}", put.answers);
    }
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn both_families_are_answered_each_by_its_own_weights() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let mut put = weights(1, 100, 100);
    put.answers[1].address = "::1".parse().unwrap();
    tell(authority.control_addr, NAME, &put).await.error_for_status().unwrap();
    for (kind, address) in [(RecordType::A, "127.0.0.2"), (RecordType::AAAA, "::1")] {
        let answer = ask(authority.dns_addr, &query("pay.example.test.", kind)).await;
        assert_eq!(addresses(&answer), [address.parse::<IpAddr>().unwrap()]);
    }
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn edns_is_answered_with_edns_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let plain = query("example.test.", RecordType::SOA);
    assert!(ask(authority.dns_addr, &plain).await.edns.is_none());
    let mut with = plain.clone();
    let mut edns = Edns::new();
    edns.set_max_payload(4_096);
    with.set_edns(edns.clone());
    assert_eq!(ask(authority.dns_addr, &with).await.edns.map(|e| e.max_payload()), Some(1_232));
    edns.set_version(9);
    with.set_edns(edns);
    // 16 is BADVERS, and BADSIG in messages that are signed: compared as a number.
    let code = u16::from(ask(authority.dns_addr, &with).await.metadata.response_code);
    assert_eq!(code, u16::from(ResponseCode::BADVERS));
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn tcp_answers_like_udp() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    tell(authority.control_addr, NAME, &weights(1, 100, 0)).await.error_for_status().unwrap();
    let mut stream = TcpStream::connect(authority.dns_addr).await.unwrap();
    for _ in 0..3 {
        assert_eq!(addresses(&ask_over(&mut stream).await), [IpAddr::from([127, 0, 0, 2])]);
    }
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_a_question_is_refused_or_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let asked = query("example.test.", RecordType::SOA);
    for (op_code, code) in [(OpCode::Update, ResponseCode::Refused), (OpCode::Notify, ResponseCode::NotImp)] {
        let mut message = asked.clone();
        message.metadata.op_code = op_code;
        assert_eq!(ask(authority.dns_addr, &message).await.metadata.response_code, code, "{op_code:?}");
    }
    let mut chaos = asked.clone();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(ask(authority.dns_addr, &chaos).await.metadata.response_code, ResponseCode::Refused);
    let mut two = asked.clone();
    two.add_query(asked.queries[0].clone());
    assert_eq!(ask(authority.dns_addr, &two).await.metadata.response_code, ResponseCode::FormErr);

    // An answer gets no answer: the next thing that comes back is the answer to the question after it.
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(authority.dns_addr).await.unwrap();
    let mut answer = asked.clone();
    answer.metadata.message_type = MessageType::Response;
    answer.metadata.id = asked.metadata.id.wrapping_add(1);
    socket.send(&answer.to_vec().unwrap()).await.unwrap();
    socket.send(&asked.to_vec().unwrap()).await.unwrap();
    let mut buffer = [0; 4096];
    let read = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer)).await.expect("no answer").unwrap();
    assert_eq!(Message::from_vec(&buffer[..read]).unwrap().metadata.id, asked.metadata.id);
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn garbage_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    tell(authority.control_addr, NAME, &weights(1, 100, 0)).await.error_for_status().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(authority.dns_addr).await.unwrap();
    let whole = query("pay.example.test.", RecordType::A).to_vec().unwrap();
    for cut in 0..whole.len() {
        socket.send(&whole[..cut]).await.unwrap();
    }
    // A fixed walk over byte values: reproducible, and every byte of the packet is hit.
    let mut walk = 1_u64;
    for _ in 0..2_000 {
        let mut bytes = whole.clone();
        for _ in 0..4 {
            walk = walk.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(walk >> 33).unwrap() % bytes.len();
            bytes[at] = walk.to_le_bytes()[5];
        }
        socket.send(&bytes).await.unwrap();
    }
    socket.send(&vec![0xC0; 60_000]).await.unwrap();
    let mut tcp = TcpStream::connect(authority.dns_addr).await.unwrap();
    tcp.write_all(&[0xFF; 4_096]).await.unwrap();
    let answer = ask_a(authority.dns_addr, "pay.example.test.").await;
    assert_eq!(addresses(&answer), [IpAddr::from([127, 0, 0, 2])]);
    authority.stop().await.unwrap();
}
