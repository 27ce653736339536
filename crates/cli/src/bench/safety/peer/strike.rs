//! The faults that a peer goes through: those of our own rounds, but for what only Pilotlight has.

use super::{Case, DemoError, PeerGround, Place, Struck, Writers};
use crate::bench::safety::blow::{ENOUGH, LOOK, PATIENCE, WATCH};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::time::Duration;

/// Those that make sense with a peer.
pub(super) const PLAYED: [Case; 9] = [
    Case::Cut,
    Case::Freeze,
    Case::Node,
    Case::Postgres,
    Case::Switchover,
    Case::Third,
    Case::Agent,
    Case::Link,
    Case::LinkThird,
];
/// Slow settings take a minute.
const LONG: Duration = PATIENCE.saturating_mul(2);
/// What was sent so long after a death was not on its way before.
const AFTER: Duration = Duration::from_millis(200);

/// Makes the fault of a case and waits for what follows.
pub(super) async fn strike(ground: &mut PeerGround, case: Case, writers: &Writers) -> Result<Struck, DemoError> {
    let (old, standby) = (ground.writer, ground.standby());
    match case {
        Case::Cut => {
            ground.stand.net.cut_off(old)?;
            until(writers, "writes on the other side", |w| w.new_side() >= ENOUGH).await?;
            Ok(Struck::default())
        }
        Case::Freeze => {
            freeze(ground)?;
            ground.stand.net.cut_off(old)?;
            until(writers, "writes on the other side", |w| w.new_side() >= ENOUGH).await?;
            let thawed = SystemClock.mono();
            ground.stand.thaw();
            tokio::time::sleep(WATCH).await;
            Ok(Struck { detail: "agent".to_owned(), thawed: Some(thawed), paused: None })
        }
        Case::Node => {
            ground.stand.kill_place(old);
            until(writers, "writes on the other side", |w| w.new_side() >= ENOUGH).await?;
            ground.product.boot(&mut ground.stand, old).await?;
            Ok(Struck::default())
        }
        Case::Postgres => {
            let at = SystemClock.mono();
            ground.stand.kill_postmaster(old)?;
            // In place or on the other side, as it likes.
            until(writers, "writes after the death", |w| sent_after(w, at + AFTER) >= ENOUGH).await?;
            Ok(Struck::default())
        }
        Case::Switchover => {
            ground.product.switchover(&ground.stand, old, standby).await?;
            until(writers, "writes on the other side", |w| w.new_side() >= ENOUGH).await?;
            Ok(Struck::default())
        }
        Case::Third => {
            ground.stand.net.cut_off(Place::Third)?;
            hold(ground).await
        }
        Case::Agent => {
            freeze(ground)?;
            hold(ground).await
        }
        Case::Link => {
            ground.stand.net.cut_between(old, standby)?;
            hold(ground).await
        }
        Case::LinkThird => {
            ground.stand.net.cut_between(old, Place::Third)?;
            hold(ground).await
        }
        other => Err(DemoError::Ended(format!("{} is not played with a peer", other.name()))),
    }
}

fn freeze(ground: &mut PeerGround) -> Result<(), DemoError> {
    let (place, product) = (ground.writer, &ground.product);
    match ground.stand.freeze(place, |process| product.is_agent(process)) {
        0 => Err(DemoError::Ended(format!("no agent was found in {}", place.name()))),
        _ => Ok(()),
    }
}

/// Users whose connections last see nothing of a second writer: both servers are asked.
async fn hold(ground: &PeerGround) -> Result<Struck, DemoError> {
    tokio::time::sleep(ground.product.hold()).await;
    let both = ground.stand.writes(Place::East).await == Ok(true) && ground.stand.writes(Place::West).await == Ok(true);
    let detail = if both { "both accept writes at its end".to_owned() } else { String::new() };
    Ok(Struck { detail, ..Struck::default() })
}

fn sent_after(writers: &Writers, at: Mono) -> usize {
    writers.b.look(|log| log.acks.iter().rev().take_while(|ack| ack.sent > at).count())
}

async fn until(writers: &Writers, what: &str, is: impl Fn(&Writers) -> bool) -> Result<(), DemoError> {
    let end = SystemClock.mono() + LONG;
    while !is(writers) {
        if SystemClock.mono() > end {
            let seen = writers.b.look(|log| log.last_error.clone()).unwrap_or_default();
            return Err(DemoError::Waited { what: what.to_owned(), seconds: LONG.as_secs(), seen });
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
