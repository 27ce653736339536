//! A client that pays without a pause and knows what it was told is safe.

use crate::pair::{PATIENCE, Pair, eventually, now};
use pilotlight_core::time::Mono;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A client that pays as fast as it can until its connection breaks; knows what was acknowledged, and when the last of that was sent:
/// when its answer was read says more of this machine than of the server.
pub struct Payer {
    count: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<Paid>,
}

/// What a [`Payer`] has been told is safe.
#[derive(Debug, Default)]
pub struct Paid {
    pub acknowledged: BTreeSet<u64>,
    /// When the last one was sent that was acknowledged.
    pub last_sent: Option<Mono>,
}

impl Payer {
    /// Starts to pay numbers from `first` on, over one connection, `ahead` of them sent before an answer is awaited.
    pub async fn start(pair: &Pair, region: &str, first: u64, ahead: u64) -> Payer {
        let client = pair.client(region).await.expect("a server that takes clients");
        let count = Arc::new(AtomicU64::new(0));
        let counted = count.clone();
        let task = tokio::spawn(async move {
            let mut paid = Paid::default();
            let mut number = first;
            loop {
                let texts: Vec<String> =
                    (number..number + ahead).map(|n| format!("INSERT INTO paid VALUES ({n})")).collect();
                let (mut sent, began) = (Vec::new(), now());
                for text in &texts {
                    sent.push(client.simple_query(text));
                }
                for answer in futures_join(sent).await {
                    if answer.is_err() {
                        return paid;
                    }
                    paid.acknowledged.insert(number);
                    paid.last_sent = Some(began);
                    counted.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            }
        });
        Payer { count, task }
    }

    /// Waits until so many payments were acknowledged.
    pub async fn has_paid(&self, enough: u64) {
        eventually(&format!("{enough} payments"), || async move {
            let count = self.count.load(Ordering::Relaxed);
            if count >= enough { Ok(()) } else { Err(count.to_string()) }
        })
        .await;
    }

    /// Waits until its connection has broken.
    pub async fn broken(self) -> Paid {
        tokio::time::timeout(PATIENCE, self.task).await.expect("broken in time").expect("no panic")
    }
}

/// Polls all of them in order, so that all are sent before the first answer.
async fn futures_join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut pinned: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *slot = Some(output);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
