//! Laws of traffic: what is published reads back equal, and nobody is ever led nowhere.

use super::{Bench, Laws, Report};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::Target;
use pilotlight_core::outcome::FailureKind;
use std::collections::BTreeMap;

/// A bench with a name that leads to two regions.
#[async_trait]
pub trait TrafficBench: Bench {
    /// The component, leading somewhere, and two regions it can lead to.
    async fn name(&self) -> (Component, Region, Region);
    /// The regions users are led to right now, asked past the driver.
    async fn users_go_to(&self) -> Vec<Region>;
    /// Whether traffic can be split. What cannot must refuse to.
    fn splits(&self) -> bool {
        true
    }
}

/// Without the regions that are published with no share: they get as little as those that are not published.
fn some(shares: &BTreeMap<Region, u32>) -> BTreeMap<Region, u32> {
    shares.iter().filter(|(_, share)| **share > 0).map(|(region, share)| (region.clone(), *share)).collect()
}

/// Runs the battery of [`Capability::Traffic`].
pub async fn traffic(bench: &dyn TrafficBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Traffic);
    let (component, one, other) = bench.name().await;
    let target = Target { component: component.clone(), region: None };
    let route = |shares: &[(&Region, u32)]| Effect::Route {
        component: component.clone(),
        shares: shares.iter().map(|(r, n)| ((*r).clone(), *n)).collect(),
    };
    laws.looks(&target, &route(&[(&other, 100)])).await;
    laws.refuses_the_unsupported(&one).await;
    for (shares, led) in [
        (vec![(&one, 100)], vec![&one]),
        (vec![(&other, 100)], vec![&other]),
        (vec![(&one, 10), (&other, 90)], vec![&one, &other]),
        (vec![(&one, 100), (&other, 0)], vec![&one]),
    ] {
        if led.len() > 1 && !bench.splits() {
            laws.fails("a-split-is-refused", &route(&shares), &[FailureKind::Rejected]).await;
            continue;
        }
        let answer = laws.apply(&route(&shares)).await;
        laws.hold("route-is-done", answer.is_ok(), || format!("{shares:?}: {answer:?}"));
        let expected: BTreeMap<Region, u32> = shares.iter().map(|(r, n)| ((*r).clone(), *n)).collect();
        laws.reaches("shares-read-back-equal", &target, |s| s.shares.as_ref().map(some) == Some(some(&expected))).await;
        let users = bench.users_go_to().await;
        let follow = !users.is_empty() && users.iter().all(|r| led.contains(&r));
        laws.hold("users-are-led-there", follow, || format!("{shares:?} leads to {users:?}"));
        laws.skipped("already-there-is-skipped", &route(&shares)).await;
    }
    let before = laws.look(&target).await.and_then(|s| s.shares);
    let nowhere = Region::from("nowhere-at-all");
    for shares in [vec![], vec![(&one, 0), (&other, 0)], vec![(&nowhere, 100)]] {
        laws.fails("nobody-is-led-nowhere", &route(&shares), &[FailureKind::Rejected]).await;
        let after = laws.look(&target).await.and_then(|s| s.shares);
        laws.hold("nobody-is-led-nowhere", before == after, || format!("{shares:?} made {before:?} {after:?}"));
    }
    laws.refuses_old_epoch(&route(&[(&other, 100)]), &target).await;
    laws.report
}
