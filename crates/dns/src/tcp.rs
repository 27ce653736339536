//! Queries over TCP, with a bound on connections: hickory closes one that is idle, and accepts any number. A process without a
//! file left could publish nothing any more, and that is what a failover needs of it.
//!
//! A connection of a resolver lives for a short time in all, as every resolver has to expect of a server (RFC 7766). Nobody
//! is known here, so whoever opens many is the first whose oldest has to go for another.

use crate::answer::Answerer;
use async_trait::async_trait;
use hickory_proto::rr::Record;
use hickory_proto::serialize::binary::BinEncoder;
use hickory_server::net::NetError;
use hickory_server::net::runtime::TokioTime;
use hickory_server::net::xfer::Protocol;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponse;
use pilotlight_door::{Bounds, Door, Watched};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The next query has arrived as a whole after so long, or the connection is closed.
const IDLE: Duration = Duration::from_secs(10);

/// A connection lives so long in all; of an address there are so many, and so many of all.
const BOUNDS: Bounds =
    Bounds { stranger: Duration::from_secs(30), body: IDLE, idle: IDLE, stall: IDLE, from_one: 32, in_all: 256 };

/// After a failed accept: no file is left, or the kernel has no memory.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Answers until shutdown.
pub(crate) async fn serve(listener: TcpListener, answerer: Answerer, shutdown: CancellationToken) {
    let (door, answerer) = (Door::new(BOUNDS), Arc::new(answerer));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, from)) = accepted else {
            sleep(ACCEPT_AGAIN).await;
            continue;
        };
        // Port 0 cannot be answered. One that is not let in is closed by being dropped.
        if from.port() != 0
            && let Ok((stream, _)) = door.let_in(stream)
        {
            connections.spawn(converse(stream, from, Arc::clone(&answerer)));
        }
    }
}

/// One query after the other; ends with the first that cannot be read or answered.
async fn converse(mut stream: Watched, from: SocketAddr, answerer: Arc<Answerer>) {
    while let Ok(Ok(query)) = timeout(IDLE, read(&mut stream)).await {
        let Ok(request) = Request::from_bytes(query, from, Protocol::Tcp) else { return };
        let reply = Reply::default();
        answerer.handle_request::<_, TokioTime>(&request, reply.clone()).await;
        let reply = reply.take();
        // To an answer there is none.
        if reply.is_empty() || stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

/// A message after its length.
async fn read(stream: &mut Watched) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// What is to be written: the length and the message, in one piece.
#[derive(Clone, Default)]
struct Reply(Arc<Mutex<Vec<u8>>>);

impl Reply {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl ResponseHandler for Reply {
    async fn send_response<'a>(
        &mut self,
        response: MessageResponse<
            '_,
            'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
            impl Iterator<Item = &'a Record> + Send + 'a,
        >,
    ) -> Result<ResponseInfo, NetError> {
        let mut message = Vec::new();
        let info = response.destructive_emit(&mut BinEncoder::new(&mut message))?;
        let length = u16::try_from(message.len()).map_err(|_| NetError::from("an answer of more than 65,535 bytes"))?;
        let framed = [&length.to_be_bytes()[..], &message].concat();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = framed;
        Ok(info)
    }
}
