//! Probes: questions with a yes or no answer, in `verify` and in `ready`.

use super::shape::{Key, Section, Shape, Word, at_least_ms, default, optional, required, word};
use super::value::Value;
use crate::effect::{HttpMethod, Probe};

static METHODS: [Word; 2] = [word("GET", "Reads."), word("POST", "Writes, with an empty body.")];

static HTTP: Section = Section {
    doc: "An HTTP request. A name in the plan's DNS is asked of the plan's own authority.",
    keys: &[
        required("url", Shape::Url, "What is requested."),
        default("method", Shape::Choice(&METHODS), "GET", "The method."),
        optional(
            "status",
            Shape::Count { least: 100, most: 599 },
            "The status that counts as good. Without it: any 2xx.",
        ),
        optional("body_contains", Shape::Text, "Text that the answer must contain."),
        default("timeout", at_least_ms(1), "2s", "The time it may take."),
    ],
};

static TCP: Section = Section {
    doc: "A TCP connection.",
    keys: &[
        required("address", Shape::HostPort, "What is connected to."),
        default("timeout", at_least_ms(1), "2s", "The time it may take."),
    ],
};

static SQL: Section = Section {
    doc: "A statement that must return at least one row.",
    keys: &[
        required("dsn", Shape::Dsn, "The connection string, without a password."),
        required("query", Shape::Text, "The statement."),
        optional("expect", Shape::Text, "What the first column of the first row must be."),
        default("timeout", at_least_ms(1), "2s", "The time it may take."),
    ],
};

pub(super) static PROBES: [Key; 3] = [
    optional("http", Shape::Record(&HTTP), "An HTTP request."),
    optional("tcp", Shape::Record(&TCP), "A TCP connection."),
    optional("sql", Shape::Record(&SQL), "A statement to PostgreSQL."),
];

/// One probe.
pub(super) const SHAPE: Shape = Shape::OneOf(&PROBES);

pub(super) fn build(value: &Value) -> Option<Probe> {
    let (key, value) = value.one()?;
    let record = value.record()?;
    let timeout_ms = record.duration("timeout")?;
    Some(match key {
        "http" => Probe::Http {
            url: record.owned("url")?,
            method: if record.word("method")? == "POST" { HttpMethod::Post } else { HttpMethod::Get },
            status: record.number("status").and_then(|n| n.try_into().ok()),
            body_contains: record.owned("body_contains"),
            timeout_ms,
        },
        "tcp" => Probe::Tcp { address: record.owned("address")?, timeout_ms },
        _ => Probe::Sql {
            dsn: record.owned("dsn")?,
            query: record.owned("query")?,
            expect: record.owned("expect"),
            timeout_ms,
        },
    })
}
