//! Laws of sentinels: the newest is seen where it was written, then on the copies, and only a writer takes one.

use super::replicated::{is_streaming, is_writer};
use super::{DataBench, Laws, Report};
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::Region;
use pilotlight_core::observation::Sentinel;
use pilotlight_core::time::Wall;

/// Runs the battery of [`Capability::Sentinel`] on one fresh pair.
pub async fn sentinel(bench: &dyn DataBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Sentinel);
    let pair = bench.pair().await;
    let (writer, standby) = (pair.at(&pair.writer), pair.at(&pair.standby));
    laws.reaches("roles-are-seen", &writer, is_writer).await;
    laws.reaches("roles-are-seen", &standby, is_streaming).await;
    laws.refuses_the_unsupported(&pair.writer).await;
    let write = |region: &Region, number| Effect::WriteSentinel {
        component: pair.component.clone(),
        region: region.clone(),
        sentinel: Sentinel { number, written: Wall(1_000 + number) },
    };
    for number in 1..=3 {
        let context = laws.context();
        let answer = laws.driver.apply(&write(&pair.writer, number), &context).await;
        laws.hold("a-sentinel-is-written", answer.is_ok(), || format!("{answer:?}"));
        let expected = Some(Sentinel { number, written: Wall(1_000 + number) });
        laws.reaches("the-newest-sentinel-is-seen", &writer, |s| s.sentinel == expected).await;
        laws.reaches("a-sentinel-reaches-the-copy", &standby, |s| s.sentinel == expected).await;
    }
    let context = laws.context();
    let answer = laws.driver.apply(&write(&pair.standby, 4), &context).await;
    laws.hold("a-standby-takes-no-sentinel", answer.is_err(), || format!("{answer:?}"));
    laws.refuses_old_epoch(&write(&pair.writer, 5), &writer).await;
    let seen = laws.look(&writer).await.and_then(|s| s.sentinel).map(|s| s.number);
    laws.hold("old-epoch-is-refused", seen == Some(3), || format!("the newest sentinel is {seen:?}"));
    laws.report
}
