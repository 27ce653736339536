//! `measure`: the outside client.

use super::Measure;
use super::shape::{Section, Shape, default, required};
use super::value::Record;

pub(super) static SECTION: Section = Section {
    doc: "A client outside of the regions that uses the service as users do, through the DNS name, and notes every answer. \
          `pilotlight measure` runs it. Each request is a POST of `{\"id\": ...}` with a new id: a real write, so name a URL made \
          for it.",
    keys: &[
        required("url", Shape::Url, "What it requests; the host is the name of a `dns` component."),
        default("rate", Shape::Count { least: 1, most: 10_000 }, "50", "Requests per second."),
    ],
};

pub(super) fn build(record: &Record) -> Option<Measure> {
    Some(Measure { url: record.owned("url")?, rate: record.number32("rate")? })
}
