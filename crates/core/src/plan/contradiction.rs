//! Settings of different sections that cannot all be meant.
//!
//! Each check is a function of the values that could be read; one that misses a value says nothing.

use super::address::{Endpoint, may_be_same_host};
use super::fault::{At, Collector, nearest};
use super::shares::STORES;
use super::value::{Datum, Record};
use crate::code;
use crate::lease::granters_lease;
use crate::time::show_duration;

pub(super) fn check(root: &Record, out: &mut Collector<'_>) {
    regions_once(root, out);
    listeners(root, out);
    data_dirs(root, out);
    measured_name(root, out);
    rto_can_be_met(root, out);
    rpo_zero_is_waited_for(root, out);
    one_dns_name_each(root, out);
    observers_once(root, out);
}

/// Each observer is a place of its own: not a region's agent, not the controller, not another observer.
fn observers_once(root: &Record, out: &mut Collector<'_>) {
    let Some(policy) = root.record("policy") else { return };
    let observers = policy.list("observers");
    for (i, value) in observers.iter().enumerate() {
        let Some(name) = value.text() else { continue };
        let taken = match name {
            "controller" => "the controller looks anyway",
            super::health::ALARMS => "that is the voice of alarms",
            _ if root.list("regions").iter().any(|r| r.text() == Some(name)) => "the agent of that region looks anyway",
            _ if observers.iter().take(i).any(|o| o.text() == Some(name)) => "it is named twice",
            _ => continue,
        };
        out.add(code::PLAN_OBSERVER, &value.at, format!("`{name}` cannot be a further observer: {taken}"))
            .found(name)
            .allowed("a name that is no region, not `controller` or `cloudwatch`, and not named before")
            .hint("An observer adds a view only from a place where nobody looks yet.");
    }
}

fn regions_once(root: &Record, out: &mut Collector<'_>) {
    let regions = root.list("regions");
    for (i, value) in regions.iter().enumerate() {
        if regions.iter().take(i).any(|other| other.text() == value.text()) {
            let name = value.text().unwrap_or_default();
            out.add(code::PLAN_CONTRADICTION, &value.at, format!("the region `{name}` is named twice"))
                .found(name)
                .allowed("each region once");
        }
    }
}

fn components<'a>(root: &'a Record, kind: &'a str) -> impl Iterator<Item = &'a Record> {
    root.map("components").iter().filter_map(|(_, v)| v.record()).filter(move |r| r.kind == kind)
}

/// Two things that would listen on one address and port.
fn listeners(root: &Record, out: &mut Collector<'_>) {
    let mut all: Vec<(String, u16, &At)> = Vec::new();
    let controller = root.record("controller");
    let members = controller.into_iter().flat_map(|c| c.map("members")).filter_map(|(_, value)| value.record());
    for record in controller.into_iter().chain(members) {
        if let Some(socket) = record.socket("listen") {
            all.push((socket.ip().to_string(), socket.port(), record.at("listen")));
        }
    }
    for record in components(root, "postgres") {
        for (_, value) in record.map("regions") {
            let Some(server) = value.record() else { continue };
            if let (Some(host), Some(port)) = (server.text("host"), server.number("port")) {
                all.push((host.to_owned(), u16::try_from(port).unwrap_or_default(), server.at("port")));
            }
            if let Some(socket) = server.socket("proxy") {
                all.push((socket.ip().to_string(), socket.port(), server.at("proxy")));
            }
        }
    }
    let mut authorities = Vec::new();
    for record in components(root, "dns") {
        // One authority answers for many names: the same in both addresses is the same process, and half of it is two.
        let authority = record.socket("server").zip(record.text("control_url").and_then(Endpoint::of_url));
        if authority.as_ref().is_some_and(|a| authorities.contains(a)) {
            continue;
        }
        authorities.extend(authority);
        if let Some(socket) = record.socket("server") {
            all.push((socket.ip().to_string(), socket.port(), record.at("server")));
        }
        if let Some(url) = record.text("control_url").and_then(Endpoint::of_url) {
            all.push((url.host, url.port, record.at("control_url")));
        }
    }
    for (i, (host, port, at)) in all.iter().enumerate() {
        let first = all.iter().take(i).find(|(h, p, _)| p == port && may_be_same_host(h, host));
        if let Some((_, _, other)) = first {
            out.add(code::PLAN_SHARED_PLACE, at, format!("`{}` and `{}` are the same address", at.path, other.path))
                .found(format!("{host}:{port}"))
                .allowed("an address and port of its own for each")
                .hint(format!("`{}` has it already, in line {}.", other.path, other.spot.line));
        }
    }
}

/// Two servers in one data directory.
fn data_dirs(root: &Record, out: &mut Collector<'_>) {
    let servers: Vec<&Record> =
        components(root, "postgres").flat_map(|r| r.map("regions").iter().filter_map(|(_, v)| v.record())).collect();
    let place = |s: &Record| Some((s.owned("host")?, s.path("data_dir")?));
    for (i, server) in servers.iter().enumerate() {
        let Some((host, dir)) = place(server) else { continue };
        let first =
            servers.iter().take(i).find(|s| place(s).is_some_and(|(h, d)| d == dir && may_be_same_host(&h, &host)));
        if let Some(other) = first {
            let other = other.at("data_dir");
            out.add(code::PLAN_SHARED_PLACE, server.at("data_dir"), "two servers on one host share a data directory")
                .found(dir.display().to_string())
                .allowed("a data directory of its own for each server")
                .hint(format!("`{}` has it already, in line {}.", other.path, other.spot.line));
        }
    }
}

/// The outside client must come in through a name that Pilotlight leads.
fn measured_name(root: &Record, out: &mut Collector<'_>) {
    let Some(record) = root.record("measure") else { return };
    let Some(url) = record.text("url").and_then(Endpoint::of_url) else { return };
    let names: Vec<&str> = components(root, "dns").filter_map(|r| r.text("name")).collect();
    if names.is_empty() || names.iter().any(|n| n.eq_ignore_ascii_case(&url.host)) {
        return;
    }
    let near = nearest(&url.host, names.iter().copied());
    out.add(code::PLAN_CONTRADICTION, record.at("url"), format!("`{}` is not a name of this plan's DNS", url.host))
        .found(url.host)
        .allowed(super::shape::one_of(names.into_iter()))
        .hint("The client must find the service as users do, else it measures something else.")
        .nearest = near;
}

/// In automatic mode the lease and the DNS answers alone must leave room in the RTO.
fn rto_can_be_met(root: &Record, out: &mut Collector<'_>) {
    let (Some(objectives), Some(policy)) = (root.record("objectives"), root.record("policy")) else { return };
    let (Some(rto), Some(lease)) = (objectives.duration("rto"), policy.duration("lease")) else { return };
    if policy.word("mode") != Some("automatic") {
        return;
    }
    let ttl = components(root, "dns").filter_map(|r| r.duration("ttl")).max().unwrap_or_default();
    let least = granters_lease(lease) + ttl;
    if rto < least {
        out.add(code::PLAN_OBJECTIVE, objectives.at("rto"), "these settings cannot meet the RTO when a region is lost")
            .found(format!("RTO {}, but lease and TTL alone take {}", show_duration(rto), show_duration(least)))
            .allowed(format!("more than {}", show_duration(least)))
            .hint("Shorten `policy.lease` or the `ttl` of the DNS component, or promise less.");
    }
}

/// Nothing acknowledged is ever lost only where each write waited for another region: of one store that does not wait, the
/// newest writes may be lost. Said for every mode: who decides changes nothing in that.
fn rpo_zero_is_waited_for(root: &Record, out: &mut Collector<'_>) {
    let (Some(objectives), Some(policy)) = (root.record("objectives"), root.record("policy")) else { return };
    let (Some(rpo), Some(guarantee)) = (objectives.duration("rpo"), policy.word("guarantee")) else { return };
    if !rpo.is_zero() {
        return;
    }
    let waits = |kind: &str| kind == "postgres" && guarantee == "strict";
    let stores = root.map("components").iter().filter_map(|(name, v)| Some((name, v.record()?.kind)));
    let behind = stores.filter(|(_, kind)| STORES.contains(kind) && !waits(kind));
    let behind: Vec<String> = behind.map(|(name, _)| format!("`{name}`")).collect();
    if let Some(first) = behind.first() {
        let what = match behind.len() {
            1 => format!("{first} answers before another region has the write, so its newest writes may be lost"),
            _ => format!(
                "{} answer before another region has the write, so their newest writes may be lost",
                behind.join(" and ")
            ),
        };
        out.add(code::PLAN_RPO_ZERO, objectives.at("rpo"), what)
            .found(show_duration(rpo))
            .allowed("more than 0, or PostgreSQL with `guarantee: strict` as the only store")
            .hint("Promise what the store keeps, for example `rpo: 5s`.");
    }
}

fn one_dns_name_each(root: &Record, out: &mut Collector<'_>) {
    let all: Vec<&Record> = components(root, "dns").collect();
    for (i, record) in all.iter().enumerate() {
        let Some(Datum::Text(name)) = record.value("name").map(|v| &v.datum) else { continue };
        if all.iter().take(i).any(|other| other.text("name") == Some(name)) {
            out.add(code::PLAN_CONTRADICTION, record.at("name"), format!("two components lead the name `{name}`"))
                .found(name.clone())
                .allowed("one component for each name");
        }
    }
}
