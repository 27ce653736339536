//! Starting moves, whether the controller or a person wants them.

use crate::accord::Apart;
use crate::api::Refusal;
use crate::api::view::{MoveReply, MoveRequest};
use crate::desk::Desk;
use crate::{behind, exposed};
use axum::http::StatusCode;
use pilotlight_core::cause::chain;
use pilotlight_core::code;
use pilotlight_core::derive::Consent;
use pilotlight_core::id::{Region, RunId, Unit};
use pilotlight_core::observation::{Role, Target};
use pilotlight_core::outcome::Finding;
use pilotlight_core::placement::{Intent, Mode, Placement, Verb};
use pilotlight_core::run::{Cause, RunView};
use pilotlight_core::runbook::{self, Basis, Runbook};
use pilotlight_core::time::show_duration;
use pilotlight_core::verdict::{Verdict, signs_of_life};
use pilotlight_engine::journal::AppendError;
use pilotlight_engine::storage::StorageError;
use pilotlight_engine::store::{UnitRecord, UnitsError};
use pilotlight_engine::{RunSummary, StartError};
use std::time::Duration;

/// Where a move starts from.
pub(crate) struct Source {
    /// Where the writer is, or was.
    pub(crate) writer: Region,
    /// Whom that writer waited for.
    pub(crate) candidate: Option<Region>,
    /// What it is said of.
    pub(crate) basis: Basis,
}

/// Where the writer is, or was before the last move of the unit ended in the middle.
pub(crate) async fn source_of(desk: &Desk, record: &UnitRecord) -> Result<Source, Refusal> {
    let candidate = record.candidate.as_ref().map(|c| c.region.clone());
    if let Some(writer) = record.writer.clone() {
        return Ok(Source { writer, candidate, basis: record.basis() });
    }
    let last = last_move(desk, record).await?.ok_or_else(|| nothing_known(&record.unit))?;
    Ok(Source { writer: last.from, candidate, basis: record.basis() })
}

/// Where the move came from that named the present writer and ended before that one was made to write, if there is one: what
/// was to be silent then was, and nobody else was granted the lease since.
async fn cut_short(desk: &Desk, record: &UnitRecord) -> Result<Option<Source>, Refusal> {
    let Some(named) = record.writer.as_ref().filter(|named| lies_still(desk, &record.unit, named)) else {
        return Ok(None);
    };
    let Some(last) = last_move(desk, record).await?.filter(|r| &r.to == named && r.from != *named) else {
        return Ok(None);
    };
    let view = desk.engine.view(&last.run).await.map_err(|e| storage(&e))?;
    // A person's word is asked for again: it may have been taken back by ending the run.
    let attested = view.is_none_or(|v| runbook::attested(v.steps.iter().map(|s| &s.effect)));
    let candidate = Some(named.clone()).filter(|_| !attested);
    Ok(Some(Source { writer: last.from, candidate, basis: record.basis() }))
}

/// A copy that the region should write is a standby, seen since the unit last changed.
fn lies_still(desk: &Desk, unit: &Unit, region: &Region) -> bool {
    let sight = desk.sight(unit);
    let Some(agent) = sight.agents.get(region) else { return false };
    desk.plan.in_unit(unit).any(|(component, _)| {
        let look = agent.seen.get(&Target { component: component.clone(), region: Some(region.clone()) });
        look.is_some_and(|(state, at)| matches!(state.role, Some(Role::Standby { .. })) && sight.is_after_change(*at))
    })
}

/// The newest run that was to move the unit's writer or its users.
pub(crate) fn newest_move<'a>(runs: &'a [RunSummary], unit: &Unit) -> Option<&'a RunSummary> {
    runs.iter().filter(|r| &r.unit == unit && r.verb.moves()).max_by_key(|r| r.epoch)
}

/// The same, from a history that can be read as a whole.
async fn last_move(desk: &Desk, record: &UnitRecord) -> Result<Option<RunSummary>, Refusal> {
    let runs = desk.engine.runs().await.map_err(|e| storage(&e))?;
    Ok(newest_move(&runs, &record.unit).cloned())
}

pub(crate) fn nothing_known(unit: &Unit) -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        code::NOTHING_KNOWN.as_str(),
        format!("it is not known yet where the writer of unit {unit} is"),
        "see `pilotlight status` for what the controller waits for",
    )
}

/// The store or the journal cannot be used.
pub(crate) fn storage(error: &StorageError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), chain(error), error.hint())
}

/// The same at a start: there is no run that could go on.
fn not_started(error: &StorageError) -> Refusal {
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), chain(error), error.hint_at_start())
}

/// What agents that run under another plan forbid of a move. Only those that the move rests on: where the writer is, unless
/// a person says that it is off there, and where it goes.
fn apart(desk: &Desk, runbook: &Runbook, automatic: bool) -> Option<Apart> {
    let from = Some(&runbook.from).filter(|_| !runbook.is_attested());
    stands_apart(desk, &runbook.intent, from, automatic)
}

/// The same of a run that waits for a person.
pub(crate) fn apart_of(desk: &Desk, view: &RunView) -> Option<Apart> {
    let attested = runbook::attested(view.steps.iter().map(|s| &s.effect));
    stands_apart(desk, &view.intent, Some(&view.from).filter(|_| !attested), false)
}

fn stands_apart(desk: &Desk, intent: &Intent, from: Option<&Region>, automatic: bool) -> Option<Apart> {
    let rests_on = from.into_iter().chain([&intent.target.writer]).filter(|_| intent.verb.moves());
    rests_on.into_iter().find_map(|region| desk.accords.apart(region, &intent.unit, automatic))
}

/// Hands a runbook to the engine.
pub(crate) async fn start(desk: &Desk, runbook: Runbook, cause: Cause) -> Result<RunId, Refusal> {
    if let Some(apart) = apart(desk, &runbook, cause.automatic) {
        return Err(Refusal::from(&apart));
    }
    if let Some(behind) = behind::of(desk, &runbook.intent.unit) {
        return Err(behind::refusal(&behind));
    }
    desk.engine.start(runbook, cause).await.map_err(|e| match &e {
        StartError::Unit(UnitsError::Busy { unit, run }) => already_moving(unit, run),
        StartError::Unit(UnitsError::Storage(e)) | StartError::Journal(AppendError::Storage(e)) => not_started(e),
        StartError::Unit(UnitsError::Deposed { .. }) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code::NOT_THE_LEADER.as_str(),
            chain(&e),
            "nothing was started; ask again, another controller leads",
        ),
        StartError::Unit(UnitsError::Changed(_)) => Refusal::new(
            StatusCode::CONFLICT,
            code::UNIT_CHANGED.as_str(),
            chain(&e),
            "nothing was started; look at it again, it may be another move now",
        ),
        StartError::Behind(behind) => behind::refusal(&behind.clone().into()),
        StartError::Unit(_) | StartError::Journal(_) | StartError::Unsound(_) | StartError::Illegal(_) => {
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, code::DEFECT.as_str(), chain(&e), "nothing was started")
        }
    })
}

pub(crate) fn already_moving(unit: &Unit, run: &RunId) -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        code::ALREADY_MOVING.as_str(),
        format!("run {run} moves unit {unit}"),
        format!("wait for its end, or see `pilotlight run show {run}`"),
    )
}

/// What is to move, and from where.
async fn wanted(desk: &Desk, request: &MoveRequest) -> Result<(Intent, Source), Refusal> {
    if request.verb == Verb::Rescue {
        return Err(Refusal::bad("a bundle is applied by its name: pilotlight rescue apply"));
    }
    let unit = unit_of(desk, request.unit.as_ref())?;
    let Some(record) = desk.engine.granter().unit(&unit) else { return Err(nothing_known(&unit)) };
    let (source, target) = ends(desk, request, &record).await?;
    let mode = request.mode.unwrap_or(match request.verb {
        Verb::Failover => Mode::Ungraceful,
        Verb::Switchover | Verb::Failback | Verb::Rejoin | Verb::Drain | Verb::Rescue => Mode::Graceful,
    });
    if request.drill_ms.is_some() && request.verb != Verb::Switchover {
        let what =
            format!("a {} is no drill: only a planned move to another region is taken back by itself", request.verb);
        return Err(Refusal::new(StatusCode::BAD_REQUEST, code::NOT_NOW.as_str(), what, "drill with a switchover"));
    }
    let drained = drained(desk, request, &source.writer)?;
    let target = placement(desk, request.verb, &unit, (&source.writer, &target), drained.as_ref());
    Ok((Intent { unit, verb: request.verb, mode, target }, source))
}

/// What a person asks for, as a runbook.
pub(crate) async fn derive(desk: &Desk, request: &MoveRequest) -> Result<Runbook, Refusal> {
    let (intent, source) = wanted(desk, request).await?;
    let evidence = desk.judgement(&intent.unit).map(|j| j.evidence).unwrap_or_default();
    let refused = |r| Refusal::from(&r).evidence(evidence.iter().map(ToString::to_string));
    let attested_by = attested(desk, request, &intent.unit, &source.writer)?;
    let mut runbook = desk.derive(&intent, &source, (Consent::Given, None), attested_by).map_err(refused)?;
    if attested_by.is_some() && !runbook.is_attested() {
        let what =
            format!("nobody's word is needed: this {} proves by itself that the old writer is silent", request.verb);
        return Err(Refusal::new(StatusCode::BAD_REQUEST, code::NOT_NOW.as_str(), what, "leave --writer-is-off out"));
    }
    runbook.sign(&request.by);
    if let Some(by) = &request.waive_rescue
        && !runbook.waive_rescue(by)
    {
        let what = format!("there is nothing to waive: no step of this {} keeps a rescue bundle", request.verb);
        return Err(Refusal::new(StatusCode::BAD_REQUEST, code::NOT_NOW.as_str(), what, "leave --waive-rescue out"));
    }
    Ok(runbook)
}

/// From where and whereto. A move that was cut short is gone on with by asking for it again.
async fn ends(desk: &Desk, request: &MoveRequest, record: &UnitRecord) -> Result<(Source, Region), Refusal> {
    let source = source_of(desk, record).await?;
    if request.verb == Verb::Drain {
        let writer = source.writer.clone();
        return Ok((source, writer));
    }
    let cut_short = if request.verb.moves() { cut_short(desk, record).await? } else { None };
    match (cut_short, &request.target) {
        (Some(begun), target) if target.as_ref().is_none_or(|t| *t == source.writer) => Ok((begun, source.writer)),
        _ => target_of(desk, request, &record.unit, &source.writer).map(|target| (source, target)),
    }
}

/// Whose share a person wants drained: a region that has one and not the writer.
fn drained(desk: &Desk, request: &MoveRequest, writer: &Region) -> Result<Option<Region>, Refusal> {
    if request.verb != Verb::Drain {
        return Ok(None);
    }
    let refused = |what: String, hint: String| {
        Err(Refusal::new(StatusCode::CONFLICT, code::SHARE_NOT_DRAINED.as_str(), what, hint))
    };
    let Some(shares) = &desk.plan.shares else {
        let what = "the plan has no `shares`: all users are where the writer is".to_owned();
        return refused(what, format!("pilotlight switchover leads them out of {writer}, with the writer"));
    };
    let takes = |r: &&Region| *r != writer && shares.get(*r).is_some_and(|share| *share > 0);
    let others: Vec<&Region> = desk.plan.regions.iter().filter(takes).collect();
    let known = || others.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    match &request.target {
        Some(region) if region == writer => {
            let hint = "pilotlight switchover or failover drains it, and moves the writer".to_owned();
            refused(format!("the writer is in {region}, and nobody is led to a region that does not work"), hint)
        }
        Some(region) if !others.contains(&region) => {
            refused(format!("{region} takes no traffic at rest"), format!("name one of: {}", known()))
        }
        Some(region) => Ok(Some(region.clone())),
        None if others.len() == 1 => Ok(others.first().map(|r| (*r).clone())),
        None => refused("no region to drain was named".to_owned(), format!("name one of: {}", known())),
    }
}

/// Where users are to be. A region that is left, lost or drained before takes nothing until a failback.
fn placement(
    desk: &Desk,
    verb: Verb,
    unit: &Unit,
    (from, to): (&Region, &Region),
    drained: Option<&Region>,
) -> Placement {
    let plan = &desk.plan;
    if plan.shares.is_none() {
        return Placement::in_region(to);
    }
    let (sight, led) = (desk.sight(unit), desk.led(unit));
    let silent = |region: &Region| region != to && !sight.hears(plan, region);
    let dark = |region: &Region| led.as_ref().is_some_and(|led| led.get(region).is_none_or(|share| *share == 0));
    match verb {
        Verb::Rejoin | Verb::Rescue => Placement::in_region(to),
        Verb::Failback => plan.placement(to, silent),
        Verb::Drain => plan.placement(to, |r| Some(r) == drained || silent(r) || dark(r)),
        // Taken up again where it was given up: users are to be where they were.
        Verb::Failover if from == to && desk.judgement(unit).is_some_and(|j| j.verdict == Verdict::WriterDead) => {
            plan.placement(to, |r| silent(r) || dark(r))
        }
        Verb::Failover | Verb::Switchover if from == to => Placement::in_region(to),
        Verb::Failover | Verb::Switchover => plan.placement(to, |r| r == from || silent(r) || dark(r)),
    }
}

/// Who says that the old writer is off, unless somebody still sees it.
fn attested<'a>(
    desk: &Desk,
    request: &'a MoveRequest,
    unit: &Unit,
    writer: &Region,
) -> Result<Option<&'a str>, Refusal> {
    let Some(region) = &request.writer_is_off else { return Ok(None) };
    if request.verb != Verb::Failover || region != writer {
        let what = format!("the writer of unit {unit} is in {writer}, and only a failover goes without it");
        let hint = format!("for example: pilotlight failover --writer-is-off {writer}");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, code::NOT_NOW.as_str(), what, hint));
    }
    let signs = signs_of_life(&desk.plan, unit, writer, &desk.sight(unit));
    if signs.is_empty() {
        return Ok(Some(&request.by));
    }
    let refusal = Refusal::new(
        StatusCode::CONFLICT,
        code::WRITER_STILL_SEEN.as_str(),
        format!("the writer in {writer} cannot be taken for off: something of it is still seen"),
        "turn it off, wait some seconds and ask again; a writer that is heard needs nobody's word",
    );
    Err(refusal.evidence(signs.iter().map(ToString::to_string)))
}

/// Starts what a person asks for, or says what it would do.
pub(crate) async fn request(desk: &Desk, request: MoveRequest) -> Result<MoveReply, Refusal> {
    let runbook = match derive(desk, &request).await {
        Err(refused) if request.dry_run && refused.status == StatusCode::CONFLICT => {
            return Err(refused.findings(foreseen(desk, &request).await));
        }
        derived => derived?,
    };
    if request.dry_run {
        let steps = desk.engine.dry_run(&runbook).await;
        let judgement = desk.judgement(&runbook.intent.unit);
        // The start itself would be refused, whatever the steps find.
        let behind = behind::of(desk, &runbook.intent.unit);
        let apart = apart(desk, &runbook, false).as_ref().map(Finding::from);
        let findings = behind.into_iter().chain(apart).chain(judgement.and_then(|j| j.foresee(&runbook.intent)));
        let findings = findings.collect();
        return Ok(MoveReply::DryRun { runbook: Box::new(runbook), steps, findings });
    }
    let unit = &runbook.intent.unit;
    if let Some(run) = desk.engine.granter().unit(unit).and_then(|r| r.run) {
        return Err(already_moving(unit, &run));
    }
    let judged = desk.judged(unit);
    let evidence = judged.as_ref().and_then(|j| j.judgement.as_ref()).map(|j| j.evidence.clone()).unwrap_or_default();
    let exposed = judged.as_ref().and_then(|j| exposed::line(j.exposed.first().filter(|e| !e.over)));
    let mut why = reason(request.drill_ms, request.why);
    if runbook.is_attested() {
        why.push_str(&format!("; {} says that the writer in {} is off", request.by, runbook.from));
    }
    match request.waive_rescue {
        Some(name) => why.push_str(&format!("; {name} waives what a rescue bundle lacks")),
        None if runbook.gives_up() => {
            why.push_str(&format!("; {} gives up what an empty data directory held", request.by));
        }
        None => {}
    }
    let cause = Cause {
        by: request.by,
        automatic: false,
        why,
        evidence: evidence.iter().map(ToString::to_string).chain(exposed).collect(),
        exposure_ms: judged
            .as_ref()
            .and_then(|j| j.judgement.as_ref())
            .and_then(|j| j.exposure_of(&runbook.intent.target.writer)),
        first_seen: judged.and_then(|j| j.unwell_since),
        drill_ms: request.drill_ms,
    };
    let run = start(desk, runbook, cause).await?;
    Ok(MoveReply::Started { run })
}

/// Why a person's run is started, for every list and report; an auditor must tell a drill from a move.
fn reason(drill: Option<Duration>, why: String) -> String {
    let why = if why.is_empty() { "asked for by hand".to_owned() } else { why };
    match drill {
        // A reason ends as it was given: by its end the function of AWS Lambda knows its runs again.
        Some(lasts) => format!("a drill of {}, {why}", show_duration(lasts)),
        None => why,
    }
}

/// What drivers find in the way of a move whose whole is refused: a copy that was deleted is more than one that is not a
/// standby. Asked of the move as it would be if all was as planned, where a region is heard.
async fn foreseen(desk: &Desk, request: &MoveRequest) -> Vec<Finding> {
    let Ok((mut intent, source)) = wanted(desk, request).await else { return Vec::new() };
    let sight = desk.sight(&intent.unit);
    let hears = |region: &Region| sight.hears(&desk.plan, region);
    // A provider that is asked about a planned move looks at the source, too.
    if !hears(&source.writer) {
        intent.mode = Mode::Ungraceful;
    }
    let Ok(mut runbook) = desk.derive_as_planned(&intent, &source) else { return Vec::new() };
    runbook.steps.retain(|step| step.effect.region().is_none_or(hears));
    let steps = desk.engine.dry_run(&runbook).await;
    steps.into_iter().flat_map(|step| step.findings).collect()
}

fn unit_of(desk: &Desk, named: Option<&Unit>) -> Result<Unit, Refusal> {
    let units = desk.plan.units();
    match named {
        Some(unit) if units.contains(unit) => Ok(unit.clone()),
        None if units.len() == 1 => Ok(units.into_iter().next().expect("one was counted").clone()),
        _ => {
            let known = units.into_iter().map(Unit::as_str).collect::<Vec<_>>().join(", ");
            let what = named.map_or("the plan has several units".to_owned(), |u| format!("the plan has no unit {u}"));
            let hint = format!("name one with --unit: {known}");
            Err(Refusal::new(StatusCode::NOT_FOUND, code::NO_SUCH_NAME.as_str(), what, hint))
        }
    }
}

fn target_of(desk: &Desk, request: &MoveRequest, unit: &Unit, writer: &Region) -> Result<Region, Refusal> {
    if let Some(target) = &request.target {
        let home = &desk.plan.home;
        if request.verb == Verb::Failback && target != home {
            let what = format!("a failback goes home, to {home}, and not to {target}");
            let hint = format!("pilotlight switchover --to {target}");
            return Err(Refusal::new(StatusCode::BAD_REQUEST, code::NOT_NOW.as_str(), what, hint));
        }
        return Ok(target.clone());
    }
    let others = || desk.plan.regions.iter().filter(|r| *r != writer);
    let target = match request.verb {
        Verb::Failback => Some(desk.plan.home.clone()),
        Verb::Rejoin | Verb::Drain | Verb::Rescue => Some(writer.clone()),
        Verb::Failover | Verb::Switchover => {
            // The one that `status` names.
            let best = desk.judgement(unit).and_then(|j| j.successor(&desk.plan).map(|c| c.region.clone()));
            // With one other region there is nothing to choose; whether it can take over is derivation's to say.
            best.or_else(|| others().next().filter(|_| others().count() == 1).cloned())
        }
    };
    target.ok_or_else(|| {
        let known = others().map(Region::as_str).collect::<Vec<_>>().join(", ");
        Refusal::new(
            StatusCode::BAD_REQUEST,
            code::PLAN_UNKNOWN_REGION.as_str(),
            "no region to move to was named",
            format!("name one of: {known}"),
        )
    })
}
