//! Many connections that say nothing: names are still published, and answered over TCP.

use super::{NAME, PATIENCE, addresses, ask_over, start, tell, weights};
use std::net::{IpAddr, SocketAddr};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

async fn silent(to: SocketAddr, number: usize) -> Vec<TcpStream> {
    let mut all = Vec::new();
    for _ in 0..number {
        all.push(TcpStream::connect(to).await.unwrap());
    }
    all
}

/// The first of them are closed, though nobody has said anything yet.
async fn are_closed(first: &mut [TcpStream]) {
    for stream in first {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0])).await.expect("it is still open");
        assert!(!matches!(read, Ok(1..)), "{read:?}");
    }
}

#[tokio::test]
async fn silent_connections_make_room_for_a_query_and_for_a_publication() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    // From one address 32 are borne by one port, 128 by the other.
    let mut resolvers = silent(authority.dns_addr, 200).await;
    let mut callers = silent(authority.control_addr, 200).await;
    tell(authority.control_addr, NAME, &weights(1, 100, 0)).await.error_for_status().unwrap();
    let mut stream = TcpStream::connect(authority.dns_addr).await.unwrap();
    assert_eq!(addresses(&ask_over(&mut stream).await), [IpAddr::from([127, 0, 0, 2])]);
    are_closed(&mut resolvers[..168]).await;
    are_closed(&mut callers[..72]).await;
    authority.stop().await.unwrap();
}
