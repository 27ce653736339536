//! PostgreSQL is killed, the agent lives, the policy says failover.

use super::floor::Move;
use super::pair::{Pair, SMALL_BUFFERS};
use super::rounds::{self, Case};
use super::series::Series;
use crate::demo::DemoError;
use async_trait::async_trait;

struct Crash;

#[async_trait]
impl Case for Crash {
    fn floor(&self) -> Move {
        Move::Crash
    }

    async fn prepare(&self, _pair: &mut Pair) -> Result<(), DemoError> {
        Ok(())
    }

    async fn strike(&self, pair: &mut Pair) -> Result<(), DemoError> {
        let victim = pair.writer();
        pair.stage().kill_postmaster(victim)?;
        Ok(())
    }
}

/// Measures `runs` failovers, a floor before each.
pub(crate) async fn measure(
    runs: u32,
    guarantee: &'static str,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Series, DemoError> {
    let pair = Pair::start(rounds::settings(guarantee, "failover", SMALL_BUFFERS)).await?;
    let name = "postmaster killed, agent alive, failover";
    rounds::measure(&Crash, pair, name, 3.0, runs, progress).await
}
