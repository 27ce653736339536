//! The loop that judges, decides and starts runs.
//!
//! It is a reconciler: each round reads everything that is known now and needs no input; news only make the next round come
//! sooner. While the writer is well, or a run has the unit, nothing but news or a silence can change what is decided, so
//! rounds are few. What it decides is decided in core; what it starts is run by the engine.
//!
//! Invariant: a run is only started through the engine, which takes the unit first; two rounds, or two controllers, that
//! decide the same start one run.

mod entry;

use crate::api::Refusal;
use crate::api::view::DecisionView;
use crate::desk::{Desk, Judged};
use crate::drills::RefusedBack;
use crate::orders::Order;
use crate::past::{Past, past};
use crate::{behind, drills, exposed, moves};
use pilotlight_core::code;
use pilotlight_core::derive::Consent;
use pilotlight_core::exposed::Watch;
use pilotlight_core::id::{Region, RunId, Unit};
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::placement::{Intent, Verb};
use pilotlight_core::recording::{self, Scene};
use pilotlight_core::remembered::{CoolDown, Counter, Remembered};
use pilotlight_core::run::Cause;
use pilotlight_core::time::{ClockWatch, Mono, Wall, show_duration};
use pilotlight_core::verdict::{self, Decision, History, Judgement, LastFailover, Sight, Verdict};
use pilotlight_engine::Control;
use pilotlight_engine::store::{UnitRecord, UnitsError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Between two rounds without news: what is decided by age alone is decided so late.
const TICK: Duration = Duration::from_millis(100);

/// The same while nothing but news is waited for: what it is then good for is a person's file and the age of what is shown.
const CALM: Duration = Duration::from_millis(500);

/// Between two attempts to start a run that was refused: what refuses it rarely changes faster.
const START_AGAIN: Duration = Duration::from_secs(1);

/// Between two attempts to read a history that could not be read: somebody may have put it back.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Runs until shutdown.
pub(crate) async fn run(desk: Arc<Desk>) {
    let (news, changes) = (desk.hub.news(), desk.engine.granter().changes());
    let mut rounds: BTreeMap<Unit, Round> =
        desk.plan.units().into_iter().map(|u| (u.clone(), Round::default())).collect();
    let mut clocks = ClockWatch::default();
    loop {
        if let Some(set) = clocks.read(desk.clock.wall(), desk.clock.mono()) {
            let code = code::CLOCK_SET;
            tracing::warn!(
                "{code}: the controller's wall clock was {set}; nothing is decided by it, times in records look odd"
            );
        }
        let (heard, known) = (news.get(), changes.get());
        let mut calm = true;
        for (unit, round) in &mut rounds {
            behind::mend(&desk, unit).await;
            grant_wish(&desk, unit).await;
            let judged = look_at(&desk, unit, round).await;
            round.log(unit, &judged);
            calm &= is_calm(&desk, unit, &judged);
            desk.note_judged(unit, judged);
        }
        tokio::select! {
            biased;
            () = news.passes(heard) => {}
            () = changes.passes(known) => {}
            () = desk.clock.sleep(next_round(&desk, rounds.keys(), calm)) => {}
            () = desk.shutdown.cancelled() => return,
        }
    }
}

/// The writer is well, or a run has the unit and nothing says that it should give way.
fn is_calm(desk: &Desk, unit: &Unit, judged: &Judged) -> bool {
    match judged.judgement.as_ref().map(|j| j.verdict) {
        Some(Verdict::Healthy) => true,
        Some(verdict) if is_grave(verdict) => false,
        _ => desk.engine.granter().read(unit, |record| record.run.is_some()).unwrap_or(false),
    }
}

fn is_grave(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::WriterDead | Verdict::RegionLost | Verdict::Suspect)
}

/// A lease that ends before the next round, or an agent that is silent from then on, makes it come at that moment: nothing
/// is decided before, and users wait for it.
fn next_round<'a>(desk: &Desk, units: impl Iterator<Item = &'a Unit>, calm: bool) -> Duration {
    let tick = if calm { desk.next_silence().min(CALM) } else { TICK };
    let left = |unit: &Unit| match desk.engine.granter().sight(unit) {
        LeaseSight::Held { left } | LeaseSight::WaitingOutStart { left } => Some(left),
        LeaseSight::Lapsed => None,
    };
    units.filter_map(left).min().map_or(tick, |left| left.min(tick))
}

/// Changes the candidate as the writer's agent wishes. The next answer to it shows what came of it; until then it asks with
/// each heartbeat, so most wishes come too late and are passed over.
async fn grant_wish(desk: &Desk, unit: &Unit) {
    let Some((from, wish)) = desk.take_wish(unit) else { return };
    // Nobody new may be promoted while the writer's agent may rest on another promise; to withdraw is always safe.
    if wish.candidate.is_some() && desk.accords.differs(&from, unit) {
        return;
    }
    match desk.engine.wish(&from, &wish).await {
        Ok(UnitRecord { candidate: Some(c), .. }) => {
            tracing::info!(%unit, "{} is the candidate: {from} waits for it", c.region);
        }
        Ok(_) => tracing::info!(%unit, "{from} has no candidate: nobody is promoted without a person"),
        Err(UnitsError::Overtaken { .. }) => {}
        Err(e) => not_changed(desk, unit, &e),
    }
}

/// The agent wishes again with each heartbeat, for as long as a disk is full, for example.
pub(crate) fn not_changed(desk: &Desk, unit: &Unit, error: &UnitsError) {
    let (code, kind) = match error {
        UnitsError::Storage(e) => (e.code(), "storage"),
        _ => (code::NOT_NOW.as_str(), "units"),
    };
    if desk.rarely.may_say(&format!("candidate {unit} {kind}"), desk.clock.mono()) {
        tracing::warn!(%unit, "{code}: the candidate cannot be changed, trying again: {error}");
    }
}

/// What is remembered of a unit from one round to the next; all of it can be lost.
#[derive(Default)]
struct Round {
    /// What would have been logged last.
    line: Option<(Option<Verdict>, String)>,
    /// What was, without its figures.
    logged: String,
    unwell_since: Option<Wall>,
    /// The verdict, and since when it has been that.
    word: Option<(Verdict, Mono)>,
    past: Past,
    /// What leaders before this one kept; `None` until it was read.
    before: Option<Arc<Remembered>>,
    cool_down: Counter,
    /// The version of the unit's record that the past belongs to, and when it was read.
    read_at: Option<(u64, Mono)>,
    refused: Option<(Mono, Refusal)>,
    refused_back: RefusedBack,
    exposure: Watch,
}

impl Round {
    /// Reads the past anew when the unit's record has changed, and again after a while where it could not be read. Says
    /// once what cannot be read.
    async fn remember(&mut self, desk: &Desk, record: &UnitRecord, now: Mono) {
        match self.read_at {
            Some((version, _)) if version != record.version => self.refused = None,
            Some((_, at)) if self.past.unread().is_empty() || now.since(at) < READ_AGAIN => return,
            _ => {}
        }
        let past = past(desk, record, std::mem::take(&mut self.past.read)).await;
        if past.unread() != self.past.unread() {
            for unread in past.unread() {
                tracing::error!(unit = %record.unit, "an earlier run cannot be read: {}: {}", unread.code, unread.why);
            }
        }
        self.past = past;
        self.read_at = Some((record.version, now));
    }

    /// Goes on from what leaders before this one kept, once that was read.
    fn recall(&mut self, desk: &Desk, unit: &Unit, now: Mono) {
        if self.before.is_none() {
            self.before = desk.memories.before(unit);
            self.exposure = self.before.as_ref().map_or_else(Watch::default, |b| Watch::goes_on(&b.exposed, now));
        }
    }

    /// For the leaders after this one; nothing before it is known what it goes on from.
    fn keep(&self, desk: &Desk, unit: &Unit, last: Option<&LastFailover>) {
        if self.before.is_none() {
            return;
        }
        let lasts = desk.plan.policy.cool_down;
        let cool_down = last.map(|l| CoolDown::now(l.run.clone(), l.counted, l.acknowledged, lasts));
        let exposed = self.exposure.all().to_vec();
        desk.memories.note(unit, Remembered { cool_down, exposed, ..Remembered::default() });
    }

    /// One line when something changes.
    fn log(&mut self, unit: &Unit, judged: &Judged) {
        let verdict = judged.judgement.as_ref().map(|j| j.verdict);
        let decision = match &judged.decision {
            DecisionView::Hold { why, .. } => Cow::Borrowed(why),
            DecisionView::Start { intent, refused, .. } => {
                let refused = refused.as_ref().map(|r| format!(", refused ({}): {}", r.code, r.message));
                Cow::Owned(format!("{}{}", intent.aim(), refused.unwrap_or_default()))
            }
        };
        if self.line.as_ref().is_some_and(|(before, decided)| *before == verdict && *decided == *decision) {
            return;
        }
        let line = format!("{}: {decision}", verdict.map_or("not judged".to_owned(), |v| v.to_string()));
        self.line = Some((verdict, decision.into_owned()));
        // Figures inside a text change all the time; only another kind of text is news.
        let kind: String = line.chars().filter(|c| !c.is_ascii_digit()).collect();
        if kind == self.logged {
            return;
        }
        if tracing::enabled!(tracing::Level::INFO) {
            let evidence = judged.judgement.iter().flat_map(|j| &j.evidence).map(ToString::to_string);
            let evidence = evidence.collect::<Vec<_>>().join("; ");
            tracing::info!(%unit, evidence, "{line}");
        }
        self.logged = kind;
    }
}

/// One round of a unit: it is judged, what is past is remembered, it is decided, and what was decided is done.
async fn look_at(desk: &Desk, unit: &Unit, round: &mut Round) -> Judged {
    // The record first: what is seen must be held against a change that it shows.
    let record = desk.engine.granter().unit(unit);
    let sight = desk.sight(unit);
    desk.meet_epochs(unit, &sight);
    let Some(record) = record else {
        return Judged {
            judgement: None,
            decision: entry::enter(desk, unit, &sight).await,
            unwell_since: None,
            cooling_down: None,
            drill: None,
            exposed: Vec::new(),
        };
    };
    let judgement = judge(desk, &record, &sight, round);
    round.remember(desk, &record, sight.now).await;
    let now = desk.clock.wall();
    round.recall(desk, unit, sight.now);
    watch_exposure(desk, &record, (&judgement, &sight), round, now);
    let mut history = history(desk, &record, round, sight.now);
    round.keep(desk, unit, history.last_failover.as_ref());
    (history.gives_way, history.prepared) = in_the_way(desk, &record, judgement.verdict).await;
    let decided = verdict::decide(&desk.plan, unit, &judgement, &history, now);
    let bars = history.last_failover.as_ref().filter(|l| !l.acknowledged);
    let cooling_down = bars.map(|l| l.cooling_down(&desk.plan)).filter(|left| !left.is_zero());
    desk.record(|| Scene {
        at: now,
        unit: unit.clone(),
        writer: record.writer.clone(),
        sight,
        history,
        verdict: judgement.verdict,
        decision: recording::words(&decided),
    });
    let decision = act(desk, round, &record, &judgement, decided).await;
    let drill = match round.past.drill.clone().filter(|_| record.run.is_none()) {
        Some(drill) => Some(drills::go_on(desk, &record, drill, judgement.verdict, &mut round.refused_back).await),
        None => None,
    };
    let (exposed, unwell_since) = (round.exposure.all().to_vec(), round.unwell_since);
    Judged { judgement: Some(judgement), decision, unwell_since, cooling_down, drill, exposed }
}

/// What is seen as a verdict; the round notes since when it is that one, and since when all is not well.
fn judge(desk: &Desk, record: &UnitRecord, sight: &Sight, round: &mut Round) -> Judgement {
    let judgement = verdict::verdict(&desk.plan, &record.unit, record.writer.as_ref(), sight);
    round.unwell_since = match judgement.verdict {
        Verdict::Healthy | Verdict::NoDataYet => None,
        _ => round.unwell_since.or(Some(desk.clock.wall())),
    };
    if round.word.is_none_or(|(word, _)| word != judgement.verdict) {
        round.word = Some((judgement.verdict, sight.now));
    }
    judgement
}

/// Whether more is exposed than the plan allows; whoever wants to hear of that is told when it begins and when it is over.
fn watch_exposure(
    desk: &Desk,
    record: &UnitRecord,
    (judgement, sight): (&Judgement, &Sight),
    round: &mut Round,
    now: Wall,
) {
    if round.before.is_some()
        && let Some(change) = round.exposure.look(&desk.plan, judgement, sight, now)
    {
        exposed::tell(desk, record, change);
    }
}

/// Does what was decided, unless the store is behind what was seen: then nothing is.
async fn act(
    desk: &Desk,
    round: &mut Round,
    record: &UnitRecord,
    judgement: &Judgement,
    decided: Decision,
) -> DecisionView {
    if let Some(behind) = behind::of(desk, &record.unit).filter(|_| record.run.is_none()) {
        round.refused = None;
        let why = format!("{}; {}", behind.message, behind.hint);
        return DecisionView::Hold { why, code: Some(behind.code) };
    }
    match decided {
        Decision::Hold(reason) => {
            round.refused = None;
            DecisionView::Hold { why: reason.to_string(), code: reason.code().map(|c| c.to_string()) }
        }
        Decision::End { run, intent } => end(desk, &run, &intent).await,
        Decision::Withdraw { run, worked } => withdraw(desk, &run, worked, judgement).await,
        Decision::Start(intent) => start(desk, round, record, judgement, intent, Consent::Policy).await,
        Decision::Ask(intent) => start(desk, round, record, judgement, intent, Consent::AskFirst).await,
    }
}

fn history(desk: &Desk, record: &UnitRecord, round: &mut Round, now: Mono) -> History {
    // What was withdrawn was none.
    let automatic = record.failed_over.as_ref().filter(|f| f.automatic && !round.past.withdrawn);
    let clocks = (desk.clock.wall(), now);
    let before = round.before.as_ref().and_then(|before| before.cool_down.as_ref());
    let last_failover = automatic.map(|f| LastFailover {
        run: f.run.clone(),
        at: f.at,
        acknowledged: f.acknowledged_by.is_some(),
        failed: round.past.failed_over_badly,
        unread: round.past.failover_unread.clone(),
        counted: round.cool_down.counted(&f.run, before, now),
    });
    History {
        hold: desk.holds.read(),
        same_for: round.word.map_or(Duration::ZERO, |(_, since)| now.since(since)),
        running: record.run.clone(),
        gives_way: false,
        prepared: false,
        last_failover,
        failed_rejoins: round.past.failed_rejoins(clocks),
        failed_drain: round.past.failed_drain(clocks),
        led: desk.led(&record.unit),
        rejoins_unread: round.past.rejoins_unread.clone(),
    }
}

/// Whether the run that has the unit would be ended for a failover, and whether it was prepared for a writer that works
/// again. Asked only when that may be so.
async fn in_the_way(desk: &Desk, record: &UnitRecord, verdict: Verdict) -> (bool, bool) {
    let Some(run) = &record.run else { return (false, false) };
    let unasked = record.failed_over.as_ref().is_some_and(|f| f.automatic && f.run == *run);
    let bears_on = is_grave(verdict) || unasked && verdict.works();
    if !bears_on {
        return (false, false);
    }
    match desk.engine.stance(run).await {
        Ok(Some(stance)) => (stance.gives_way, stance.prepared),
        Ok(None) | Err(_) => (false, false),
    }
}

/// Ends a prepared failover whose writer works again.
async fn withdraw(desk: &Desk, run: &RunId, worked: Duration, judgement: &Judgement) -> DecisionView {
    let writer = judgement.writer.as_ref().map_or("the writer", Region::as_str);
    let why = format!("{writer} has worked for {}", show_duration(worked));
    let evidence = judgement.evidence.iter().map(ToString::to_string).collect();
    match desk.engine.withdraw(run, why.clone(), evidence).await {
        Ok(()) => {
            tracing::info!(%run, "withdrawn, nothing of it had begun: {why}");
            hold_still(format!("run {run} is withdrawn: {why}"))
        }
        Err(e) => {
            hold_still(format!("run {run} was prepared for a lost writer, which works, and cannot be withdrawn: {e}"))
        }
    }
}

/// Ends a run for a failover, which is decided anew when it has ended.
async fn end(desk: &Desk, run: &RunId, intent: &Intent) -> DecisionView {
    let then = format!("a {} of {} to {}", intent.verb, intent.unit, intent.target.writer);
    match desk.engine.control(run, Control::Abort, "pilotlight").await {
        Ok(()) => {
            tracing::warn!(%run, "ended, and what it did is taken back: {then} is needed");
            hold_still(format!("run {run} is being ended for {then}"))
        }
        Err(e) => hold_still(format!("run {run} stands in the way of {then} and cannot be ended: {e}")),
    }
}

async fn start(
    desk: &Desk,
    round: &mut Round,
    record: &UnitRecord,
    judgement: &Judgement,
    intent: Intent,
    consent: Consent,
) -> DecisionView {
    let asks = consent == Consent::AskFirst;
    let now = desk.clock.mono();
    if let Some((at, refusal)) = &round.refused
        && now.since(*at) < START_AGAIN
    {
        return DecisionView::Start { intent, asks, refused: Some((*refusal.body).clone()) };
    }
    // An order is about a region that is lost: of a writer that is dead or hangs in one that lives, more can be had.
    let lost = judgement.verdict == Verdict::RegionLost && intent.verb == Verb::Failover;
    let writer = judgement.writer.as_ref().filter(|_| lost && consent == Consent::Policy);
    let order = writer.and_then(|writer| desk.orders.of(&intent.unit, writer));
    let mut why = format!("{}: {}", judgement.scope, judgement.verdict);
    if intent.verb == Verb::Rejoin {
        let back: Vec<&str> = judgement.returned.iter().map(|r| r.region.as_str()).collect();
        why = format!("{} {} back; {why}", back.join(" and "), if back.len() > 1 { "are" } else { "is" });
    }
    if let Some(order) = &order {
        why.push_str(&format!("; {}", order.why));
    }
    let cause = Cause {
        by: "pilotlight".to_owned(),
        automatic: true,
        why,
        evidence: judgement
            .evidence
            .iter()
            .map(ToString::to_string)
            .chain(exposed::line(round.exposure.open()))
            .collect(),
        first_seen: round.unwell_since,
        exposure_ms: judgement.exposure_of(&intent.target.writer),
        drill_ms: None,
    };
    match try_start(desk, record, &intent, (consent, order.as_ref()), cause).await {
        Ok(run) => {
            tracing::info!(%run, unit = %intent.unit, "started a {}", intent.aim());
            round.refused = None;
            DecisionView::Start { intent, asks, refused: None }
        }
        Err(refusal) => {
            let body = (*refusal.body).clone();
            round.refused = Some((now, refusal));
            DecisionView::Start { intent, asks, refused: Some(body) }
        }
    }
}

async fn try_start(
    desk: &Desk,
    record: &UnitRecord,
    intent: &Intent,
    (consent, order): (Consent, Option<&Order>),
    cause: Cause,
) -> Result<RunId, Refusal> {
    let source = moves::source_of(desk, record).await?;
    let runbook = desk.derive(intent, &source, (consent, order), None).map_err(|r| Refusal::from(&r))?;
    moves::start(desk, runbook, cause).await
}

fn hold_still(why: String) -> DecisionView {
    DecisionView::Hold { why, code: None }
}
