//! Laws of capacity: as many become ready as were asked for, down to none, and one that dies comes back.

use super::{Bench, Laws, Report};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{Component, Region};
use pilotlight_core::observation::{Capacity, Target};

/// A bench with something of which instances can run.
#[async_trait]
pub trait CapacityBench: Bench {
    /// The component and a region where none of it runs.
    async fn process(&self) -> (Component, Region);
    /// Instances that run, counted past the driver.
    async fn running(&self) -> u32;
    /// Kills one instance; false where this technology has no such thing.
    async fn kill_one(&self) -> bool;
}

/// Runs the battery of [`Capability::Capacity`].
pub async fn capacity(bench: &dyn CapacityBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Capacity);
    let (component, region) = bench.process().await;
    let target = Target { component: component.clone(), region: Some(region.clone()) };
    let set = |instances| Effect::SetCapacity { component: component.clone(), region: region.clone(), instances };
    laws.looks(&target, &set(2)).await;
    laws.refuses_the_unsupported(&region).await;
    for instances in [2, 3, 1, 0, 2] {
        laws.done("set-capacity-is-done", &set(instances)).await;
        let expected = Some(Capacity { desired: instances, ready: instances });
        laws.reaches("ready-reaches-desired", &target, |s| s.capacity == expected).await;
        let running = bench.running().await;
        laws.hold("ready-is-true", running == instances, || format!("{running} run, {instances} are said to be ready"));
        laws.skipped("already-there-is-skipped", &set(instances)).await;
    }
    laws.refuses_old_epoch(&set(0), &target).await;
    if bench.kill_one().await {
        let is_short = |c: Capacity| c.ready < c.desired;
        laws.reaches("a-death-is-seen", &target, |s| s.capacity.is_some_and(is_short)).await;
        let expected = Some(Capacity { desired: 2, ready: 2 });
        laws.reaches("the-dead-come-back", &target, |s| s.capacity == expected).await;
        let running = bench.running().await;
        laws.hold("the-dead-come-back", running == 2, || format!("{running} run"));
    }
    laws.done("set-capacity-is-done", &set(0)).await;
    let none = Some(Capacity { desired: 0, ready: 0 });
    laws.reaches("ready-reaches-desired", &target, |s| s.capacity == none).await;
    let running = bench.running().await;
    laws.hold("none-are-left", running == 0, || format!("{running} run after all were ended"));
    laws.report
}
