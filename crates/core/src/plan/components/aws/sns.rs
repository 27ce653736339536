//! `kind: sns`: notes to people through an SNS topic.

use crate::code;
use crate::plan::aws::SnsPlan;
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, required};
use crate::plan::value::Record;

pub(in crate::plan) static SECTION: Section = Section {
    doc: "An SNS topic that is told what happens. Take one in a region that is not the writer's.",
    keys: &[required("topic", Shape::Text, "ARN of the topic.")],
};

pub(super) fn build(record: &Record) -> Option<SnsPlan> {
    Some(SnsPlan { topic: record.owned("topic")? })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let Some(topic) = record.text("topic") else { return };
    let parts: Vec<&str> = topic.split(':').collect();
    let is_arn = matches!(parts.as_slice(), ["arn", _, "sns", region, account, name]
        if !region.is_empty() && account.len() == 12 && !name.is_empty());
    if !is_arn {
        out.add(code::PLAN_AWS_ARN, record.at("topic"), format!("`{topic}` is not the ARN of a topic"))
            .found(topic)
            .allowed("an ARN such as `arn:aws:sns:us-west-2:123456789012:incidents`");
    }
}
