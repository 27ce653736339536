//! `kind: webhook`: notes to people.

use crate::plan::WebhookPlan;
use crate::plan::shape::{Section, Shape, required};
use crate::plan::value::Record;

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A web address that is told when a run starts, serves users, waits for a person or fails: a JSON object with `text`, as \
          Slack takes it.",
    keys: &[required("url", Shape::Secret, "Where to post. Such a URL is a secret: whoever knows it can post.")],
};

pub(super) fn build(record: &Record) -> Option<WebhookPlan> {
    Some(WebhookPlan { url: record.secret("url")? })
}
