//! `controller`: where it listens, how it is reached, and whether its token may travel there.

use super::address::{Endpoint, is_loopback};
use super::fault::Collector;
use super::shape::{Section, Shape, at_least_ms, default, follows, optional, required};
use super::value::Record;
use super::{Controller, Recording, Tls};
use crate::code;

static TLS: Section = Section {
    doc: "Files in PEM. Needed as soon as the controller can be reached from another machine.",
    keys: &[
        required("ca", Shape::Path, "The certificate that agents and the command line trust."),
        required("certificate", Shape::Path, "The controller's certificate chain."),
        required("key", Shape::Path, "The controller's private key."),
    ],
};

static RECORDING: Section = Section {
    doc: "What the controller saw and decided, in `observations` of its state folder, for `pilotlight policy replay`.",
    keys: &[
        default("size", Shape::Size, "16MiB", "All of it together; the oldest goes first. `0` records nothing."),
        default("keep", at_least_ms(1000), "7d", "What is older goes too."),
        default("every", at_least_ms(100), "10s", "How often while nothing changes. What changes is recorded at once."),
    ],
};

pub(super) static SECTION: Section = Section {
    doc: "The controller decides and runs runbooks. It belongs to a third place: neither region may take it along.",
    keys: &[
        required("listen", Shape::Socket, "The address it listens on."),
        follows(
            "url",
            Shape::Url,
            "`http://` or, with `tls`, `https://` and `listen`",
            "What agents and the command line dial.",
        ),
        default("state", Shape::Path, "state/controller", "The folder of its journal and store."),
        required(
            "token",
            Shape::Secret,
            "The secret that operators and the DNS authority share with it; it opens everything.",
        ),
        optional(
            "agent_token",
            Shape::Secret,
            "The secret of agents and observers: it starts, steers and shows no run. Without it they use `token`.",
        ),
        optional(
            "recording",
            Shape::Record(&RECORDING),
            "How much it keeps of what it saw. Without it: the defaults below.",
        ),
        optional("tls", Shape::Record(&TLS), "Its certificates. May be left out only on a loopback address."),
    ],
};

pub(super) fn build(record: &Record) -> Option<Controller> {
    let listen = record.socket("listen")?;
    let tls = match record.record("tls") {
        Some(t) => Some(Tls { ca: t.path("ca")?, certificate: t.path("certificate")?, key: t.path("key")? }),
        None => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = record.owned("url").unwrap_or_else(|| format!("{scheme}://{listen}"));
    let recording = match record.record("recording") {
        Some(r) => Recording { size: r.number("size")?, keep: r.duration("keep")?, every: r.duration("every")? },
        None => Recording::default(),
    };
    Some(Controller {
        listen,
        url,
        state: record.path("state")?,
        token: record.secret("token")?,
        agent_token: record.secret("agent_token"),
        tls,
        recording,
    })
}

pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    let tls = record.value("tls").is_some();
    if let Some(listen) = record.socket("listen") {
        if !listen.ip().is_loopback() && !tls {
            out.add(
                code::PLAN_TLS,
                record.at("listen"),
                format!("`{listen}` is not loopback, but there is no `controller.tls`"),
            )
            .found(listen.to_string())
            .allowed("a loopback address, or `controller.tls`")
            .hint(
                "Add `tls` with `ca`, `certificate` and `key`; without it the token crosses the network in the clear.",
            );
        }
        if listen.ip().is_unspecified() && !record.given("url") {
            out.add(
                code::PLAN_CONTRADICTION,
                record.at("listen"),
                "`controller.url` is missing, and nobody can dial `every address`",
            )
            .found(listen.to_string())
            .allowed("`controller.url` with an address that agents can dial");
        }
    }
    let Some(url) = record.text("url").and_then(Endpoint::of_url) else { return };
    if url.tls && !tls {
        out.add(code::PLAN_TLS, record.at("url"), "`controller.url` says https, but there is no `controller.tls`")
            .found("https")
            .allowed("https together with `controller.tls`")
            .hint("Add `tls` with `ca`, `certificate` and `key`.");
    } else if !url.tls && tls {
        out.add(code::PLAN_TLS, record.at("url"), "`controller.tls` is there, but `controller.url` says http")
            .found("http")
            .allowed("https")
            .hint("Write `https://`; the controller answers nothing else once it has certificates.");
    } else if !url.tls && !is_loopback(&url.host) {
        out.add(code::PLAN_TLS, record.at("url"), format!("`controller.url` leads to `{}` without TLS", url.host))
            .found("http")
            .allowed("https, or a loopback address")
            .hint("Add `controller.tls` and write `https://`.");
    }
}
