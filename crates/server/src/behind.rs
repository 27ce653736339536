//! What holds a unit still because the store is not the one that it was: agents or guards have met more than it says, or
//! agents obey a newer term than the one that is led from it.

use crate::api::Refusal;
use crate::controller::not_changed;
use crate::desk::Desk;
use axum::http::StatusCode;
use pilotlight_core::code;
use pilotlight_core::id::Unit;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_engine::store::UnitsError;

/// Why no move of the unit may start.
pub(crate) fn of(desk: &Desk, unit: &Unit) -> Option<Finding> {
    desk.engine.behind(unit).map(Finding::from).or_else(|| of_term(desk, unit))
}

/// Agents obey nothing that is said here: they take it for the word of a leader that was deposed.
fn of_term(desk: &Desk, unit: &Unit) -> Option<Finding> {
    let led = desk.lead.term();
    let heard = desk.terms.newer_than(led).filter(|_| desk.lead.is_contested())?;
    let message = format!(
        "agents have obeyed a leader of term {heard}, and this one leads term {led}: either another leads by now, or the store was \
         lost, or an old copy of it was put back; agents obey nothing from here, leases run out, no move starts"
    );
    let hint = format!(
        "if no other controller leads on another store, `pilotlight acknowledge --unit {unit} --raise-epoch` puts this one over it"
    );
    Some(Finding { code: code::STORE_BEHIND.to_string(), severity: Severity::Blocker, message, hint })
}

/// The answer to whoever wants to start a move all the same.
pub(crate) fn refusal(finding: &Finding) -> Refusal {
    Refusal::new(StatusCode::CONFLICT, code::STORE_BEHIND.as_str(), finding.message.clone(), finding.hint.clone())
}

/// A person says that this is the store to go on with, and that nobody leads from another.
pub(crate) async fn raise(desk: &Desk, unit: &Unit, by: &str) -> Result<bool, UnitsError> {
    let record = desk.engine.raise_epoch(unit).await?;
    tracing::warn!(%unit, by, epoch = %record.epoch, "the epoch of the store was raised by hand");
    let was_open = acknowledge(desk, unit, by).await?;
    if desk.terms.newer_than(desk.lead.term()).is_some() {
        // Last: it ends this term.
        desk.terms.go_over();
    }
    Ok(was_open)
}

/// A person has seen the last failover; whether there was one that nobody had seen.
pub(crate) async fn acknowledge(desk: &Desk, unit: &Unit, by: &str) -> Result<bool, UnitsError> {
    let last = desk.engine.granter().unit(unit).and_then(|record| record.failed_over);
    let was_open = last.is_some_and(|failover| failover.acknowledged_by.is_none());
    desk.engine.acknowledge(unit, by).await?;
    tracing::info!(%unit, by, was_open, "the last failover was acknowledged");
    Ok(was_open)
}

/// A store that agents have heard say more has an old candidate: before anything else is decided, it has none.
pub(crate) async fn mend(desk: &Desk, unit: &Unit) {
    let behind = desk.engine.behind(unit);
    // First: once it is mended, nobody could tell any more that a run in it is older than it seems.
    if let Err(e) = desk.engine.overtake(unit).await {
        return not_changed(desk, unit, &e);
    }
    if let Err(e) = desk.engine.end_what_was_taken_back(unit).await {
        return not_changed(desk, unit, &e);
    }
    match desk.engine.mend_candidacy(unit).await {
        Ok(false) => {}
        Ok(true) => {
            let (code, why) = (code::STORE_BEHIND, behind.map(|b| b.to_string()).unwrap_or_default());
            tracing::warn!(%unit, "{code}: {why}; it has none now, and the writer's agent names one anew");
        }
        Err(e) => not_changed(desk, unit, &e),
    }
}
