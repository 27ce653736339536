//! Probes: questions with a yes or no answer, in `verify`, in `ready` and in `health`.

use super::components::{argv, check_command, command, env, shell};
use super::fault::Collector;
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

static DNS: Section = Section {
    doc: "A name that must lead somewhere.",
    keys: &[
        required("name", Shape::Domain, "The name."),
        optional(
            "server",
            Shape::Socket,
            "Who is asked. Without it: the plan's own authority for its names, else the system.",
        ),
        optional("expect", Shape::List { of: &Shape::Ip, least: 1 }, "One of these must be among the answers."),
        default("timeout", at_least_ms(1), "2s", "The time it may take."),
    ],
};

static EXEC: Section = Section {
    doc: "A program of your own that must end with exit code 0. It must change nothing: it is run again and again.",
    keys: &[argv(), shell(), env(), default("timeout", at_least_ms(1), "2s", "The time it may take.")],
};

/// The key of each kind.
pub(super) const EACH: [Key; 5] = [
    optional("http", Shape::Record(&HTTP), "An HTTP request."),
    optional("tcp", Shape::Record(&TCP), "A TCP connection."),
    optional("sql", Shape::Record(&SQL), "A statement to PostgreSQL."),
    optional("dns", Shape::Record(&DNS), "A name that must lead somewhere."),
    optional("exec", Shape::Record(&EXEC), "A program of your own that must end with 0."),
];

pub(super) static PROBES: [Key; 5] = EACH;

/// One probe.
pub(super) const SHAPE: Shape = Shape::OneOf(&PROBES);

pub(super) fn build(value: &Value) -> Option<Probe> {
    let (kind, value) = value.one()?;
    of_kind(kind, value)
}

/// The probe below its key.
pub(super) fn of_kind(kind: &str, value: &Value) -> Option<Probe> {
    let record = value.record()?;
    let timeout_ms = record.duration("timeout")?;
    Some(match kind {
        "http" => Probe::Http {
            url: record.owned("url")?,
            method: if record.word("method")? == "POST" { HttpMethod::Post } else { HttpMethod::Get },
            status: record.number("status").and_then(|n| n.try_into().ok()),
            body_contains: record.owned("body_contains"),
            timeout_ms,
        },
        "tcp" => Probe::Tcp { address: record.owned("address")?, timeout_ms },
        "sql" => Probe::Sql {
            dsn: record.owned("dsn")?,
            query: record.owned("query")?,
            expect: record.owned("expect"),
            timeout_ms,
        },
        "dns" => Probe::Dns {
            name: record.owned("name")?,
            server: record.socket("server"),
            expect: record.list("expect").iter().filter_map(Value::ip).collect(),
            timeout_ms,
        },
        _ => Probe::Exec { command: command(record, true)?, timeout_ms },
    })
}

/// What no table says of a probe.
pub(super) fn check(value: &Value, out: &mut Collector<'_>) {
    if let Some((kind, value)) = value.one() {
        check_kind(kind, value, out);
    }
}

/// The same of a probe below its key.
pub(super) fn check_kind(kind: &str, value: &Value, out: &mut Collector<'_>) {
    if let ("exec", Some(record)) = (kind, value.record()) {
        check_command(record, out);
    }
}
