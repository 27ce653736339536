//! `policy`: who decides, on what, how fast; and the settings that cannot go together.

use super::fault::Collector;
use super::shape::{Key, Section, Shape, Word, at_least_ms, default, follows, optional, required, word};
use super::value::{Datum, Record};
use super::{BeyondRpo, Guarantee, OnWriterDeath, Policy};
use crate::code;
use crate::effect::FenceAssurance;
use crate::id::Observer;
use crate::time::show_duration;
use serde::Serialize;
use std::time::Duration;

/// Who starts a failover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionMode {
    /// Pilotlight.
    Automatic,
    /// Pilotlight prepares it, a person approves the first step.
    ApproveFirst,
    /// A person.
    Manual,
}

/// Who makes a returned region a standby again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RejoinMode {
    /// Pilotlight, as soon as its agent is back.
    Automatic,
    /// A person.
    Manual,
}

static MODES: [Word; 3] = [
    word("automatic", "Pilotlight starts a failover by itself."),
    word("approve-first", "Pilotlight prepares it; a person approves the first step."),
    word("manual", "A person starts it."),
];

static GUARANTEES: [Word; 3] = [
    word(
        "bounded",
        "A write is acknowledged when the candidate has it, or when a gate confirms it that does so only while the lease \
         is valid. Nothing is acknowledged by an old writer after another was promoted.",
    ),
    word(
        "strict",
        "A write is acknowledged only when the candidate has it. Nothing acknowledged is lost, and writes wait while the \
         candidate is away. A writer that has no candidate yet, as after a move, waits for nobody.",
    ),
    word(
        "best-effort",
        "Rests on the agent's lease. Holds as long as the old writer's agent runs, or its region is dead.",
    ),
];

static BEYOND: [Word; 2] = [
    word(
        "expose",
        "They go on and are counted as exposed; a candidate that is gone for longer than lease and RPO is withdrawn.",
    ),
    word("stall", "They wait until the candidate has caught up: no more than the RPO is ever exposed."),
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
    word(
        "automatic",
        "As soon as its agent is back. Changes that only the old writer held are kept in a rescue bundle first.",
    ),
    word("manual", "When a person says so."),
];

pub(super) static SECTION: Section = Section {
    doc: "Who decides, on what, how fast.",
    keys: &[
        required("mode", Shape::Choice(&MODES), "Who starts a failover."),
        default("guarantee", Shape::Choice(&GUARANTEES), "bounded", "What \"one writer\" rests on."),
        default(
            "beyond_rpo",
            Shape::Choice(&BEYOND),
            "expose",
            "What happens to writes while the candidate is further behind than the RPO, under `guarantee: bounded`.",
        ),
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
            "No second automatic failover for so long, unless a person acknowledges the first; time in which no controller leads does not count.",
        ),
        default(
            "withdraw_after",
            at_least_ms(1000),
            "5m",
            "A failover that waits for a person's approval (`approve-first`), and of which nothing has begun, is withdrawn once \
             the writer has worked for so long without a break.",
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
            "While this file exists on the controller's machine, nothing starts by itself. `pilotlight hold on` writes it; where \
             several controllers share a store it also holds all of them there.",
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
        guarantee: match record.word("guarantee")? {
            "strict" => Guarantee::Strict,
            "bounded" => Guarantee::Bounded,
            _ => Guarantee::BestEffort,
        },
        beyond_rpo: match record.word("beyond_rpo")? {
            "stall" => BeyondRpo::Stall,
            _ => BeyondRpo::Expose,
        },
        lease,
        renew: renew(record)?,
        least_fence: fence(record)?,
        on_writer_death: match &record.value("on_postmaster_death")?.datum {
            Datum::Word("failover") => OnWriterDeath::Failover,
            Datum::One(_, value) => OnWriterDeath::Restart { attempts: value.record()?.number32("attempts")? },
            _ => OnWriterDeath::Restart { attempts: 3 },
        },
        cool_down: record.duration("cool_down")?,
        withdraw_after: record.duration("withdraw_after")?,
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
    record.word("least_fence").map(fence_of)
}

/// One of [`FENCES`].
pub(super) fn fence_of(word: &str) -> FenceAssurance {
    match word {
        "proven" => FenceAssurance::Proven,
        "lapsed" => FenceAssurance::Lapsed,
        "provider-attested" => FenceAssurance::ProviderAttested,
        "connections-cut" => FenceAssurance::ConnectionsCut,
        "traffic-only" => FenceAssurance::TrafficOnly,
        _ => FenceAssurance::None,
    }
}

/// Nothing in the plan says that more than the RPO may be lost.
fn accepts_no_more(record: &Record) -> bool {
    match record.word("guarantee") {
        Some("strict") => false,
        Some("bounded") => !record.given("beyond_rpo"),
        _ => !record.given("guarantee"),
    }
}

/// The governor works on the gate, and needs room to work in.
fn beyond(record: &Record, rpo: Option<Duration>, out: &mut Collector<'_>) {
    let word = record.word("guarantee").unwrap_or_default();
    if record.given("beyond_rpo") && !matches!(word, "bounded" | "best-effort") {
        out.add(
            code::PLAN_NO_GOVERNOR,
            record.at("beyond_rpo"),
            format!("`beyond_rpo` says nothing under `guarantee: {word}`"),
        )
        .found(record.word("beyond_rpo").unwrap_or_default())
        .allowed("`beyond_rpo` together with `guarantee: bounded`")
        .hint("Under `strict` every write waits for the candidate. Take the line out.");
    }
    if word == "best-effort" && record.word("beyond_rpo") == Some("stall") {
        out.add(
            code::PLAN_NO_GOVERNOR,
            record.at("beyond_rpo"),
            "`guarantee: best-effort` has no gate that could make writes wait",
        )
        .found("stall")
        .allowed("`beyond_rpo: expose`, or `guarantee: bounded`")
        .hint("Choose `guarantee: bounded`, or write `beyond_rpo: expose` to accept what may be lost.");
    }
    if word == "bounded" && record.word("beyond_rpo") == Some("stall") && rpo.is_some_and(|rpo| rpo < LEAST_GOVERNED) {
        out.add(code::PLAN_RPO_TOO_SHORT, record.at("beyond_rpo"), "the RPO is too short to be kept by `beyond_rpo: stall`")
            .found(rpo.map(show_duration).unwrap_or_default())
            .allowed(format!("an RPO of at least {}", show_duration(LEAST_GOVERNED)))
            .hint("The writer's agent looks several times a second how far the candidate is. `guarantee: strict` loses nothing.");
    }
}

/// The agent looks at its candidate about every 200 ms; below this, writes would stall between two looks.
const LEAST_GOVERNED: Duration = Duration::from_secs(1);

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
    beyond(record, rpo, out);
    if record.word("mode") != Some("automatic") {
        return;
    }
    if let (Some(lease), Some(rpo)) = (lease, rpo)
        && rpo < lease
        && accepts_no_more(record)
    {
        out.add(
            code::PLAN_RPO_BELOW_LEASE,
            record.at("lease"),
            "the lease is longer than the RPO: a cut link can lose more",
        )
        .found(format!("lease {}, RPO {}", show_duration(lease), show_duration(rpo)))
        .allowed("a lease no longer than `objectives.rpo`, or `beyond_rpo` written out")
        .hint(
            "While the link is cut the old writer goes on for up to one lease. Write `beyond_rpo: stall` to let writes wait \
                     instead, `beyond_rpo: expose` to accept it, or shorten `policy.lease`.",
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
