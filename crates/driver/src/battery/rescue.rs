//! Laws of rescue: what an old writer acknowledged and never sent is kept before it is forgotten, told, and applied once.

use super::replicated::{is_streaming, is_writer};
use super::{DataBench, Laws, Pair, Report};
use async_trait::async_trait;
use pilotlight_core::effect::{Capability, Effect};
use pilotlight_core::id::{BundleId, Region};
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::rescue::{Answer, Bundle, Class, Listed, Question};
use std::collections::BTreeSet;

/// A bench whose copies can be kept from hearing of changes.
#[async_trait]
pub trait RescueBench: DataBench {
    /// From now on nothing that is written reaches the standby, and the writer goes on.
    async fn sever(&self, standby: &Region);
}

/// Runs the battery of [`Capability::Rescue`] on one fresh pair.
pub async fn rescue(bench: &dyn RescueBench) -> Report {
    let mut laws = Laws::new(bench, Capability::Rescue);
    let pair = bench.pair().await;
    let (writer, standby) = (pair.at(&pair.writer), pair.at(&pair.standby));
    laws.reaches("roles-are-seen", &writer, is_writer).await;
    laws.reaches("roles-are-seen", &standby, is_streaming).await;
    laws.refuses_the_unsupported(&pair.writer).await;
    laws.skipped("nothing-of-its-own-is-skipped", &pair.capture(&pair.standby, &pair.writer)).await;
    let refused = [FailureKind::Rejected, FailureKind::Transient];
    laws.fails("a-writer-is-not-captured", &pair.capture(&pair.writer, &pair.standby), &refused).await;

    let mut tail = Tail { bench, pair: &pair, acknowledged: BTreeSet::new() };
    tail.keep_ready(&mut laws).await;
    tail.write(&mut laws, &pair.writer, 10).await;
    tail.arrive(&mut laws).await;
    bench.sever(&pair.standby).await;
    tail.keep_ready(&mut laws).await;
    tail.write(&mut laws, &pair.writer, 20).await;
    bench.kill(&pair.writer).await;
    let fence = Effect::Fence { component: pair.component.clone(), region: pair.writer.clone() };
    laws.done("a-dead-writer-can-be-fenced", &fence).await;
    laws.done("promote-is-done", &pair.promote(&pair.standby)).await;
    tail.write(&mut laws, &pair.standby, 5).await;

    let capture = pair.capture(&pair.writer, &pair.standby);
    laws.looks(&writer, &capture).await;
    laws.refuses_old_epoch(&capture, &writer).await;
    let Some(about) = tail.captured(&mut laws, &capture).await else { return laws.report };
    laws.done("rejoin-is-done", &pair.rejoin(&pair.writer, &pair.standby)).await;
    laws.reaches("rejoin-is-done", &writer, is_streaming).await;
    tail.applied(&mut laws, &about.bundle).await;
    laws.report
}

struct Tail<'a> {
    bench: &'a dyn RescueBench,
    pair: &'a Pair,
    acknowledged: BTreeSet<u64>,
}

impl Tail<'_> {
    async fn write(&mut self, laws: &mut Laws<'_>, region: &Region, times: u32) {
        for _ in 0..times {
            let answer = self.bench.write(region).await;
            laws.hold("the-writer-takes-writes", answer.is_ok(), || format!("{region} answered {answer:?}"));
            self.acknowledged.extend(answer.ok());
        }
    }

    /// What the writer's agent does every second.
    async fn keep_ready(&self, laws: &mut Laws<'_>) {
        let (component, region) = (self.pair.component.clone(), self.pair.writer.clone());
        let context = laws.context();
        let answer = laws.driver.apply(&Effect::KeepRescue { component, region }, &context).await;
        laws.hold("the-writer-is-kept-ready", answer.is_ok(), || format!("{answer:?}"));
    }

    async fn arrive(&self, laws: &mut Laws<'_>) {
        let until = tokio::time::Instant::now() + laws.patience;
        let mut held = self.bench.held(&self.pair.standby).await;
        while !self.acknowledged.is_subset(&held) && tokio::time::Instant::now() < until {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            // A standby of the fake shows the last change only with the next one.
            held = self.bench.held(&self.pair.standby).await;
        }
        laws.hold("changes-arrive", self.acknowledged.is_subset(&held), || format!("{held:?}"));
    }

    async fn captured(&self, laws: &mut Laws<'_>, capture: &Effect) -> Option<Bundle> {
        let about = laws.done("capture-is-done", capture).await?.rescue;
        laws.hold("a-capture-names-its-bundle", about.is_some(), || "there is no bundle".to_owned());
        let about = *about?;
        laws.hold("a-bundle-is-complete", about.missing.is_none(), || format!("{:?}", about.missing));
        laws.hold("a-bundle-counts-what-was-lost", about.commits == 20, || format!("{} commits", about.commits));
        laws.skipped("kept-already-is-skipped", capture).await;
        let listed = self.listed(laws, &about.bundle).await?;
        laws.hold("a-bundle-is-listed-as-it-is", listed.about == about, || format!("{listed:?} instead of {about:?}"));
        Some(about)
    }

    async fn listed(&self, laws: &mut Laws<'_>, bundle: &BundleId) -> Option<Listed> {
        let target = self.pair.at(&self.pair.writer);
        let answer = laws.driver.rescue(&target, &Question::List).await;
        let found = match &answer {
            Ok(Answer::Bundles { bundles, .. }) => bundles.iter().find(|b| &b.about.bundle == bundle).cloned(),
            _ => None,
        };
        laws.hold("a-bundle-is-listed", found.is_some(), || format!("{answer:?}"));
        found
    }

    async fn applied(&self, laws: &mut Laws<'_>, bundle: &BundleId) {
        let pair = self.pair;
        let strange = BundleId::new("of-nobody");
        laws.fails("an-unknown-bundle-is-refused", &pair.apply_bundle(&strange), &[FailureKind::Rejected]).await;
        let (component, region, upstream) = (pair.component.clone(), pair.writer.clone(), pair.standby.clone());
        let classify = Effect::ClassifyRescue { component, region, upstream, bundle: bundle.clone() };
        let before = self.bench.held(&pair.standby).await;
        laws.done("classify-is-done", &classify).await;
        let held = self.bench.held(&pair.standby).await;
        laws.hold("classifying-changes-nothing", before == held, || format!("{before:?} became {held:?}"));
        let classes = self.listed(laws, bundle).await.map(|l| l.classes).unwrap_or_default();
        let absent = classes.get(&Class::Absent) == Some(&20);
        laws.hold("what-was-lost-is-absent", absent, || format!("{classes:?}"));
        laws.done("apply-is-done", &pair.apply_bundle(bundle)).await;
        let held = self.bench.held(&pair.standby).await;
        let lost: Vec<_> = self.acknowledged.difference(&held).collect();
        laws.hold("after-an-apply-nothing-is-missing", lost.is_empty(), || format!("{lost:?}"));
        laws.skipped("applied-twice-changes-nothing", &pair.apply_bundle(bundle)).await;
        let again = self.bench.held(&pair.standby).await;
        laws.hold("applied-twice-changes-nothing", held == again, || format!("{held:?} became {again:?}"));
    }
}

impl Pair {
    fn capture(&self, region: &Region, upstream: &Region) -> Effect {
        let (component, region, upstream) = (self.component.clone(), region.clone(), upstream.clone());
        Effect::CaptureRescue { component, region, upstream, waived_by: None }
    }

    fn apply_bundle(&self, bundle: &BundleId) -> Effect {
        let (component, region, upstream) = (self.component.clone(), self.writer.clone(), self.standby.clone());
        Effect::ApplyRescue { component, region, upstream, bundle: bundle.clone(), by: "battery".to_owned() }
    }
}
