//! The effects the engine does itself: ending the old lease and naming who may hold the next.

use super::Parts;
use crate::store::UnitsError;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::{Region, RunId, Unit};
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::run::Returned;
use pilotlight_driver::Context;

/// Takes the unit from its writer in the store, then waits until nobody can hold its lease.
pub(super) async fn await_lapse(parts: &Parts, run: &RunId, unit: &Unit, context: &Context) -> Returned {
    let record = parts.units.change_for(unit, run, context.epoch, |record| record.writer = None).await;
    parts.granter.knows(&record.map_err(failure)?);
    tokio::select! {
        biased;
        () = parts.granter.lapsed(unit) => {
            let output = Output { assurance: Some(FenceAssurance::Lapsed), ..Output::default() };
            Ok(Outcome::Done { output })
        }
        // The writer is no writer any more in the store, so this is not nothing: it is looked at, or taken back.
        () = context.cancel.cancelled() => Err(Failure::unknown("the run was ended before the lease was over")),
        () = parts.clock.sleep(context.deadline) => {
            Err(Failure::unknown(format!("{} after {:?}", parts.granter.sight(unit), context.deadline)))
        }
    }
}

/// The lease is over, and that proves nothing of a writer that needed none: what counts is a person's word.
pub(super) fn attest(lapsed: Returned, region: &Region, by: Option<&str>) -> Returned {
    let (Ok(Outcome::Done { mut output }), Some(by)) = (lapsed.clone(), by) else { return lapsed };
    output.assurance = Some(FenceAssurance::PersonAttested);
    output.text = format!("{by} says that the writer in {region} is off");
    Ok(Outcome::Done { output })
}

/// Names the region in the store; its agent is granted the lease at its next heartbeat.
pub(super) async fn grant(parts: &Parts, run: &RunId, unit: &Unit, region: &Region, context: &Context) -> Returned {
    // Whoever writes from now on starts unopposed: its own agent admits a candidate once it writes and waits for one, and need
    // not wait for the end of the run. Taken back, the same holds for the writer before.
    let change = |record: &mut crate::store::UnitRecord| {
        record.writer = Some(region.clone());
        record.candidate = None;
        record.candidacy += 1;
        record.settled = true;
    };
    let record = parts.units.change_for(unit, run, context.epoch, change).await.map_err(failure)?;
    parts.granter.knows(&record);
    Ok(Outcome::done())
}

fn failure(error: UnitsError) -> Failure {
    match error {
        // A write that is reported as failed may have been kept: who is named in the store is not known.
        UnitsError::Storage(error) => Failure::unknown(error.to_string()).hint(error.hint()),
        // Nothing was changed, and what follows is not this controller's to say.
        deposed @ UnitsError::Deposed { .. } => Failure::transient(deposed.to_string()),
        refused => Failure::rejected(refused.to_string()),
    }
}
