//! One direction of a relayed connection: bytes in, held during a cut, late by the delay, bytes out.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// How one direction between two places is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) open: bool,
    pub(super) delay: Duration,
}

impl Default for Link {
    fn default() -> Self {
        Self { open: true, delay: Duration::ZERO }
    }
}

/// Chunks on their way; more than these make the sender wait, as a window does.
const IN_FLIGHT: usize = 256;
const CHUNK: usize = 16 << 10;

/// Returns when the direction lets bytes through, or when the lab is over.
pub(super) async fn until_open(link: &mut watch::Receiver<Link>) {
    let _ = link.wait_for(|link| link.open).await;
}

/// Carries bytes until one side ends.
pub(super) async fn pipe(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, link: watch::Receiver<Link>) {
    let (queue, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let read = {
        let link = link.clone();
        async move {
            loop {
                let mut chunk = vec![0; CHUNK];
                let Ok(n @ 1..) = from.read(&mut chunk).await else { return };
                chunk.truncate(n);
                let due = Instant::now() + link.borrow().delay;
                if queue.send((due, chunk)).await.is_err() {
                    return;
                }
            }
        }
    };
    let write = async move {
        let mut link = link;
        while let Some((due, chunk)) = arriving.recv().await {
            tokio::time::sleep_until(due).await;
            until_open(&mut link).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        until_open(&mut link).await;
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}
