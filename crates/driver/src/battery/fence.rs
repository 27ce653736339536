//! Laws of fencing: afterwards nothing is acknowledged, however often and in whatever state it is asked for.

use super::replicated::{is_streaming, is_writer};
use super::{DataBench, Laws, Report};
use pilotlight_core::effect::{Capability, Effect, FenceAssurance};
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::Outcome;

/// Runs the battery of [`Capability::Fence`] on two fresh pairs.
pub async fn fence(bench: &dyn DataBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Fence);
    fence_a_writer(bench, &mut laws).await;
    fence_the_dead(bench, &mut laws).await;
    laws.report
}

async fn fence_a_writer(bench: &dyn DataBench, laws: &mut Laws<'_>) {
    let pair = bench.pair().await;
    let (target, standby) = (pair.at(&pair.writer), pair.at(&pair.standby));
    let fence = |region: &Region| Effect::Fence { component: pair.component.clone(), region: region.clone() };
    laws.reaches("roles-are-seen", &target, is_writer).await;
    laws.reaches("roles-are-seen", &standby, is_streaming).await;
    laws.looks(&target, &fence(&pair.writer)).await;
    laws.refuses_the_unsupported(&pair.writer).await;
    let written = bench.write(&pair.writer).await;
    laws.hold("the-writer-takes-writes", written.is_ok(), || format!("{written:?}"));
    let best = laws.driver.describe().fence_assurance;
    let given = laws.done("fence-is-done", &fence(&pair.writer)).await.and_then(|o| o.assurance);
    let honest = given.is_some_and(|g| g > FenceAssurance::None && g <= best);
    laws.hold("a-fence-says-how-sure-it-is", honest, || format!("{given:?}, at best {best:?}"));
    let seen = laws.look(&target).await;
    let fenced = seen.as_ref().is_some_and(|s| matches!(s.role, Some(Role::Fenced { .. })));
    laws.hold("a-fenced-copy-is-seen-fenced", fenced, || format!("{seen:?}"));
    let answer = bench.write(&pair.writer).await;
    laws.hold("a-fenced-copy-takes-no-writes", answer.is_err(), || format!("it acknowledged {answer:?}"));
    let again = laws.apply(&fence(&pair.writer)).await;
    let harmless = matches!(again, Ok(Outcome::Done { .. } | Outcome::Skipped { .. }));
    laws.hold("a-fence-again-is-harmless", harmless, || format!("{again:?}"));
    laws.refuses_old_epoch(&pair.resume(), &target).await;
    let seen = laws.look(&target).await;
    let fenced = seen.as_ref().is_some_and(|s| matches!(s.role, Some(Role::Fenced { .. })));
    laws.hold("a-fenced-copy-is-seen-fenced", fenced, || format!("{seen:?}"));
}

async fn fence_the_dead(bench: &dyn DataBench, laws: &mut Laws<'_>) {
    let pair = bench.pair().await;
    let target = pair.at(&pair.writer);
    laws.reaches("roles-are-seen", &target, is_writer).await;
    bench.kill(&pair.writer).await;
    let is_down = |role: &Role| matches!(role, Role::Down { was_writer: true, .. } | Role::Unresponsive);
    laws.reaches("a-dead-writer-is-seen", &target, |s| s.role.as_ref().is_some_and(is_down)).await;
    let fence = Effect::Fence { component: pair.component.clone(), region: pair.writer.clone() };
    laws.done("a-dead-writer-can-be-fenced", &fence).await;
    let is_fenced = |role: &Role| matches!(role, Role::Fenced { .. });
    laws.reaches("a-dead-writer-can-be-fenced", &target, |s| s.role.as_ref().is_some_and(is_fenced)).await;
    if !laws.driver.describe().atomic_switch {
        laws.done("promote-after-fence-is-done", &pair.promote(&pair.standby)).await;
        laws.reaches("promote-after-fence-is-done", &pair.at(&pair.standby), is_writer).await;
    }
}
