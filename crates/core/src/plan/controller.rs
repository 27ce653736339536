//! `controller`: where controllers listen, how they are reached, what they share, and whether the token may travel there.

mod store;

pub use store::{EtcdPlan, S3Plan, StorePlan};

use super::address::{Endpoint, is_loopback};
use super::fault::Collector;
use super::shape::{Section, Shape, at_least_ms, default, follows, optional, required};
use super::value::{Record, Value};
use super::{Controller, Member, Recording, SecretRef, Tls};
use crate::code;
use crate::id::{Application, Region};
use crate::time::show_duration;
use std::collections::BTreeMap;
use std::time::Duration;

impl Controller {
    /// What the region's agent shows.
    pub fn token_of_agent(&self, region: &Region) -> &SecretRef {
        self.region_tokens.get(region).or(self.agent_token.as_ref()).unwrap_or(&self.token)
    }

    /// What observers show.
    pub fn token_of_observers(&self) -> &SecretRef {
        self.observer_token.as_ref().or(self.agent_token.as_ref()).unwrap_or(&self.token)
    }

    /// What the DNS authority is told by.
    pub fn token_of_dns(&self) -> &SecretRef {
        self.dns_token.as_ref().unwrap_or(&self.token)
    }

    /// What agents and the command line dial.
    pub fn urls(&self) -> Vec<String> {
        self.members.iter().map(|member| member.url.clone()).collect()
    }

    /// The member of that name, or the only one.
    pub fn member(&self, name: Option<&str>) -> Option<&Member> {
        match name {
            Some(name) => self.members.iter().find(|member| member.name == name),
            None => self.members.first().filter(|_| self.members.len() == 1),
        }
    }
}

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

static MEMBER: Section = Section {
    doc: "One of several controllers; `pilotlight serve --member NAME` starts it.",
    keys: &[
        required("listen", Shape::Socket, "The address it listens on."),
        follows(
            "url",
            Shape::Url,
            "`http://` or, with `tls`, `https://` and `listen`",
            "What agents and the command line dial.",
        ),
        follows("state", Shape::Path, "`state/` and its name", "The folder of its own notes and reports."),
    ],
};

pub(super) static SECTION: Section = Section {
    doc: "The controller decides and runs runbooks. It belongs to a third place: neither region may take it along.",
    keys: &[
        optional("listen", Shape::Socket, "The address it listens on. Needed unless there are `members`."),
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
            "region_tokens",
            Shape::PerRegion { of: &Shape::Secret, every: false },
            "The secret of one region's agent each: it speaks for that region, which no other agent's token does then.",
        ),
        optional(
            "observer_token",
            Shape::Secret,
            "The secret of observers. Without it they use `agent_token`, else `token`.",
        ),
        optional(
            "dns_token",
            Shape::Secret,
            "The secret by which the DNS authority (`pilotlight dns --token-env`) knows the controller; it opens nothing of the \
             controller. Without it: `token`.",
        ),
        optional(
            "recording",
            Shape::Record(&RECORDING),
            "How much it keeps of what it saw. Without it: the defaults below.",
        ),
        optional("tls", Shape::Record(&TLS), "Its certificates. May be left out only on a loopback address."),
        default("store", store::SHAPE, "sqlite", "Where journal and units are kept. Several controllers share one."),
        optional(
            "members",
            Shape::PerName(&Shape::Record(&MEMBER)),
            "Several controllers instead of one, by name: one of them leads, any of them goes on. Needs a shared `store`.",
        ),
        follows(
            "leader_lease",
            at_least_ms(300),
            "half of `policy.lease`",
            "How long a leader counts its lead; another takes it over soon after. Used with a shared `store`.",
        ),
    ],
};

pub(super) fn build(record: &Record, application: &Application) -> Option<Controller> {
    let tls = match record.record("tls") {
        Some(t) => Some(Tls { ca: t.path("ca")?, certificate: t.path("certificate")?, key: t.path("key")? }),
        None => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let recording = match record.record("recording") {
        Some(r) => Recording { size: r.number("size")?, keep: r.duration("keep")?, every: r.duration("every")? },
        None => Recording::default(),
    };
    let member = |name: &str, record: &Record| {
        let listen = record.socket("listen")?;
        let url = record.owned("url").unwrap_or_else(|| format!("{scheme}://{listen}"));
        let state = record.path("state").unwrap_or_else(|| format!("state/{name}").into());
        Some(Member { name: name.to_owned(), listen, url, state })
    };
    let members = match record.map("members") {
        [] => vec![member("controller", record)?],
        several => several.iter().map(|(name, value)| member(name, value.record()?)).collect::<Option<_>>()?,
    };
    Some(Controller {
        members,
        store: store::build(record.value("store")?, application)?,
        leader_lease: record.duration("leader_lease"),
        token: record.secret("token")?,
        agent_token: record.secret("agent_token"),
        region_tokens: region_tokens(record),
        observer_token: record.secret("observer_token"),
        dns_token: record.secret("dns_token"),
        tls,
        recording,
    })
}

fn region_tokens(record: &Record) -> BTreeMap<Region, SecretRef> {
    let of = |(region, value): &(String, Value)| Some((Region::new(region), value.secret()?));
    record.map("region_tokens").iter().filter_map(of).collect()
}

/// A secret of one place that another has too is no secret of that place.
fn check_tokens(record: &Record, out: &mut Collector<'_>) {
    let keys = ["token", "agent_token", "observer_token", "dns_token"].iter().filter_map(|key| record.value(key));
    let mut met: Vec<(&Value, SecretRef)> = Vec::new();
    for value in keys.chain(record.map("region_tokens").iter().map(|(_, value)| value)) {
        let Some(secret) = value.secret() else { continue };
        if let Some((other, _)) = met.iter().find(|(_, known)| *known == secret) {
            out.add(
                code::PLAN_CONTRADICTION,
                &value.at,
                format!("`{}` and `{}` are the same secret", value.at.path, other.at.path),
            )
            .found("one secret for two purposes")
            .allowed("a secret of its own for each, or only the first of them")
            .hint("What is left out falls back to `agent_token`, else to `token`.");
        }
        met.push((value, secret));
    }
}

pub(super) fn check(record: &Record, lease: Option<Duration>, out: &mut Collector<'_>) {
    let tls = record.value("tls").is_some();
    check_place(record, "controller", tls, out);
    for (name, value) in record.map("members") {
        if let Some(member) = value.record() {
            check_place(member, &format!("controller.members.{name}"), tls, out);
        }
    }
    check_members(record, out);
    check_tokens(record, out);
    if let (Some(lease), Some(lead)) = (lease, record.duration("leader_lease"))
        && lead > lease
    {
        out.add(code::PLAN_LONG_LEAD, record.at("leader_lease"), "the lead outlasts the lease of the writer")
            .found(show_duration(lead))
            .allowed(format!("at most `policy.lease`, {}", show_duration(lease)))
            .hint("Until another leads nobody renews the writer's lease. Half of it is the default.");
    }
}

fn check_members(record: &Record, out: &mut Collector<'_>) {
    match (record.given("listen"), record.given("members")) {
        (false, false) => {
            out.add(code::PLAN_KEY_MISSING, &record.at, "`controller.listen` is missing")
                .found("neither `listen` nor `members`")
                .allowed("`listen`, or `members` with one for each controller");
        }
        (true, true) => {
            out.add(code::PLAN_CONTRADICTION, record.at("listen"), "with `controller.members` nobody listens here")
                .found("`listen` and `members`")
                .allowed("one of them");
        }
        _ => {}
    }
    if record.map("members").len() > 1 && !record.given("store") {
        out.add(code::PLAN_NO_SHARED_STORE, record.at("members"), "several controllers need a store that they share")
            .found("`store: sqlite`, which is on one machine")
            .allowed("`controller.store` with `etcd`, `s3` or, on one machine, `folder`")
            .hint("See docs/controllers.md for which to take.");
    }
}

/// The address and the URL of one controller.
fn check_place(record: &Record, path: &str, tls: bool, out: &mut Collector<'_>) {
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
                format!("`{path}.url` is missing, and nobody can dial `every address`"),
            )
            .found(listen.to_string())
            .allowed(format!("`{path}.url` with an address that agents can dial"));
        }
    }
    let Some(url) = record.text("url").and_then(Endpoint::of_url) else { return };
    if url.tls && !tls {
        out.add(code::PLAN_TLS, record.at("url"), format!("`{path}.url` says https, but there is no `controller.tls`"))
            .found("https")
            .allowed("https together with `controller.tls`")
            .hint("Add `tls` with `ca`, `certificate` and `key`.");
    } else if !url.tls && tls {
        out.add(code::PLAN_TLS, record.at("url"), format!("`controller.tls` is there, but `{path}.url` says http"))
            .found("http")
            .allowed("https")
            .hint("Write `https://`; the controller answers nothing else once it has certificates.");
    } else if !url.tls && !is_loopback(&url.host) {
        out.add(code::PLAN_TLS, record.at("url"), format!("`{path}.url` leads to `{}` without TLS", url.host))
            .found("http")
            .allowed("https, or a loopback address")
            .hint("Add `controller.tls` and write `https://`.");
    }
}
