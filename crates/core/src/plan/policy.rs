//! `policy`: who decides, on what, how fast; and the settings that cannot go together.

use super::fault::Collector;
use super::shape::{Key, Section, Shape, Word, at_least_ms, default, follows, optional, required, unbuilt, word};
use super::value::{Datum, Record};
use super::{DecisionMode, Guarantee, OnWriterDeath, Policy, RejoinMode};
use crate::code;
use crate::effect::FenceAssurance;
use crate::id::Observer;
use crate::time::show_duration;
use std::time::Duration;

static MODES: [Word; 3] = [
    word("automatic", "Pilotlight starts a failover by itself."),
    word("approve-first", "Pilotlight prepares it; a person approves the first step."),
    word("manual", "A person starts it."),
];

static GUARANTEES: [Word; 3] = [
    word(
        "best-effort",
        "Rests on the agent's lease. Holds as long as the old writer's agent runs, or its region is dead.",
    ),
    unbuilt("bounded", "a gate that confirms commits only while the lease is valid"),
    unbuilt("strict", "only what the candidate already holds is acknowledged"),
];

static FENCES: [Word; 6] = [
    word("proven", "Only after it was seen that no process is left that could acknowledge."),
    word("lapsed", "Also after the old writer's lease has run out."),
    word("provider-attested", "Also when the provider says so. Too weak for `mode: automatic`."),
    word("connections-cut", "Also when only connections were cut. Too weak for `mode: automatic`."),
    word("traffic-only", "Also when only new traffic is led elsewhere. Too weak for `mode: automatic`."),
    word("none", "Also when nothing is known. Too weak for `mode: automatic`."),
];

static DEATHS: [Word; 2] = [
    word("restart", "Start it again in place, up to three times within ten minutes, then give it up."),
    word("failover", "Give it up at once."),
];

static ATTEMPTS: Section = Section {
    doc: "Start the server again in place, so often within ten minutes, then give it up.",
    keys: &[default("attempts", Shape::Count { least: 1, most: 100 }, "3", "How often.")],
};

static RESTART: [Key; 1] = [optional("restart", Shape::Record(&ATTEMPTS), "Start it again in place, so often.")];

static REJOINS: [Word; 2] = [
    word("automatic", "As soon as its agent is back. Changes that only the old writer held are rewound away."),
    word("manual", "When a person says so."),
];

pub(super) static SECTION: Section = Section {
    doc: "Who decides, on what, how fast.",
    keys: &[
        required("mode", Shape::Choice(&MODES), "Who starts a failover."),
        default("guarantee", Shape::Choice(&GUARANTEES), "best-effort", "What \"one writer\" rests on."),
        default(
            "lease",
            at_least_ms(1000),
            "10s",
            "How long the region of a silent agent may go on writing. A lost region is failed over after it.",
        ),
        follows(
            "renew",
            at_least_ms(10),
            "a sixth of `lease`",
            "How often the lease is renewed; at most half of `lease`.",
        ),
        default(
            "least_fence",
            Shape::Choice(&FENCES),
            "lapsed",
            "The least assurance that may promote without a person.",
        ),
        default(
            "on_postmaster_death",
            Shape::ChoiceOr(&DEATHS, &RESTART),
            "restart",
            "What the agent does when its database server has died while the region lives.",
        ),
        default(
            "cool_down",
            at_least_ms(0),
            "1h",
            "No second automatic failover for so long, unless a person acknowledges the first.",
        ),
        optional("max_lag", Shape::Size, "A candidate further behind in receiving is not promoted automatically."),
        optional(
            "max_replay_lag",
            Shape::Size,
            "A candidate that has received but not replayed more than this is not promoted automatically: nothing is lost, \
             but users wait for the replay.",
        ),
        optional(
            "unhealthy_for",
            at_least_ms(1000),
            "A writer that its agent sees and that does not work for so long is failed over. Without it a person decides.",
        ),
        optional(
            "observers",
            Shape::List { of: &Shape::Name, least: 0 },
            "Places with a `pilotlight observe` beside the agents and the controller. A controller that does not hear more \
             than half of all of these, itself counted, starts nothing.",
        ),
        follows(
            "hold_file",
            Shape::Path,
            "`hold` in `controller.state`",
            "While this file exists on the controller's machine, nothing starts by itself. `pilotlight hold on` writes it.",
        ),
        default("rejoin", Shape::Choice(&REJOINS), "manual", "Who makes a returned region a standby again."),
    ],
};

pub(super) fn build(record: &Record) -> Option<Policy> {
    let lease = record.duration("lease")?;
    Some(Policy {
        mode: match record.word("mode")? {
            "automatic" => DecisionMode::Automatic,
            "approve-first" => DecisionMode::ApproveFirst,
            _ => DecisionMode::Manual,
        },
        guarantee: record.word("guarantee").map(|_| Guarantee::BestEffort)?,
        lease,
        renew: renew(record)?,
        least_fence: fence(record)?,
        on_writer_death: match &record.value("on_postmaster_death")?.datum {
            Datum::Word("failover") => OnWriterDeath::Failover,
            Datum::One(_, value) => OnWriterDeath::Restart { attempts: value.record()?.number32("attempts")? },
            _ => OnWriterDeath::Restart { attempts: 3 },
        },
        cool_down: record.duration("cool_down")?,
        max_lag_bytes: record.number("max_lag"),
        max_replay_bytes: record.number("max_replay_lag"),
        unhealthy_for: record.duration("unhealthy_for"),
        observers: record.list("observers").iter().filter_map(|v| v.text()).map(Observer::new).collect(),
        hold_file: record.path("hold_file"),
        rejoin: match record.word("rejoin")? {
            "automatic" => RejoinMode::Automatic,
            _ => RejoinMode::Manual,
        },
    })
}

fn renew(record: &Record) -> Option<Duration> {
    if record.given("renew") { record.duration("renew") } else { Some(record.duration("lease")? / 6) }
}

fn fence(record: &Record) -> Option<FenceAssurance> {
    Some(match record.word("least_fence")? {
        "proven" => FenceAssurance::Proven,
        "lapsed" => FenceAssurance::Lapsed,
        "provider-attested" => FenceAssurance::ProviderAttested,
        "connections-cut" => FenceAssurance::ConnectionsCut,
        "traffic-only" => FenceAssurance::TrafficOnly,
        _ => FenceAssurance::None,
    })
}

pub(super) fn check(record: &Record, rpo: Option<Duration>, out: &mut Collector<'_>) {
    let lease = record.duration("lease");
    if let (Some(lease), Some(renew)) = (lease, record.duration("renew"))
        && renew * 2 > lease
    {
        out.add(code::PLAN_RENEWAL, record.at("renew"), "`policy.renew` leaves no second try before the lease ends")
            .found(show_duration(renew))
            .allowed(format!("at most half of the lease, {}", show_duration(lease / 2)))
            .hint("One lost packet would fence a healthy writer. A sixth of the lease is the default.");
    }
    if record.word("mode") != Some("automatic") {
        return;
    }
    if let (Some(lease), Some(rpo)) = (lease, rpo)
        && rpo < lease
        && !record.given("guarantee")
    {
        out.add(
            code::PLAN_RPO_BELOW_LEASE,
            record.at("lease"),
            "the lease is longer than the RPO: a cut link can lose more",
        )
        .found(format!("lease {}, RPO {}", show_duration(lease), show_duration(rpo)))
        .allowed("a lease no longer than `objectives.rpo`, or `guarantee: best-effort` written out")
        .hint(
            "While the link is cut the old writer goes on for up to one lease. Shorten `policy.lease`, or write \
                     `guarantee: best-effort` to accept that, or choose `mode: approve-first`.",
        );
    }
    if fence(record).is_some_and(|f| f < FenceAssurance::Lapsed) {
        let word = record.word("least_fence").unwrap_or_default();
        out.add(
            code::PLAN_WEAK_FENCE,
            record.at("least_fence"),
            format!("`{word}` is too weak a fence for `mode: automatic`"),
        )
        .found(word)
        .allowed("`lapsed` or `proven`")
        .hint(
            "Below `lapsed` two regions could write at once. Write `lapsed`, or let a person decide with \
                 `mode: approve-first`.",
        );
    }
}
