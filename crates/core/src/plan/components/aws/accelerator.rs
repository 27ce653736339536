//! `kind: global-accelerator`: an endpoint group in each region under one listener of Global Accelerator.

use crate::code;
use crate::plan::aws::AcceleratorPlan;
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, required};
use crate::plan::value::Record;

static GROUP: Section = Section {
    doc: "An endpoint group.",
    keys: &[required("endpoint_group", Shape::Text, "Its ARN, below that of the listener.")],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A listener of Global Accelerator whose dials lead users to the region that serves: fixed addresses, so no resolver \
          has to forget anything. Dials are turned in us-west-2, wherever the regions are.",
    keys: &[
        required("listener", Shape::Text, "ARN of the listener."),
        required(
            "regions",
            Shape::PerRegion { of: &Shape::Record(&GROUP), every: true },
            "The endpoint group of each region.",
        ),
    ],
};

pub(super) fn build(record: &Record) -> Option<AcceleratorPlan> {
    Some(AcceleratorPlan {
        listener: record.owned("listener")?,
        regions: record.by_region("regions", |value| value.record()?.owned("endpoint_group"))?,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let Some(listener) = record.text("listener") else { return };
    let parts: Vec<&str> = listener.split(':').collect();
    let is_arn = matches!(parts.as_slice(), ["arn", _, "globalaccelerator", "", account, path]
        if account.len() == 12 && path.starts_with("accelerator/") && path.contains("/listener/"));
    if !is_arn {
        out.add(code::PLAN_AWS_ARN, record.at("listener"), format!("`{listener}` is not the ARN of a listener"))
            .found(listener)
            .allowed("an ARN such as `arn:aws:globalaccelerator::123456789012:accelerator/1234/listener/abcd`");
        return;
    }
    for (region, value) in record.map("regions") {
        let Some(group) = value.record().and_then(|r| r.text("endpoint_group")) else { continue };
        if !group.starts_with(&format!("{listener}/endpoint-group/")) {
            out.add(code::PLAN_AWS_ARN, &value.at, format!("the group of `{region}` is not one of the listener"))
                .found(group)
                .allowed(format!("an ARN that begins with `{listener}/endpoint-group/`"));
        }
    }
}
