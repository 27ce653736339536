//! Tells people when a writer begins to acknowledge beyond the RPO and when that is over.

use crate::desk::Desk;
use crate::notes::UnitNote;
use pilotlight_core::code;
use pilotlight_core::exposed::{Change, Exposed};
use pilotlight_engine::store::UnitRecord;

/// In the log, and to those whom the plan names. Never waits.
pub(crate) fn tell(desk: &Desk, record: &UnitRecord, change: Change) {
    let (unit, code, application) = (&record.unit, code::EXPOSED, &desk.plan.application);
    let (state, about) = match change {
        Change::Begun(e) => {
            tracing::warn!(%unit, "{code}: {e}");
            ("begun", e)
        }
        Change::Ended(e) => {
            tracing::warn!(%unit, "{code}: {e}; it is over");
            ("ended", e)
        }
    };
    let over = if about.over { "; it is over" } else { ", see `pilotlight status`" };
    desk.tell(UnitNote {
        unit: unit.clone(),
        epoch: record.epoch,
        about: "exposed",
        state: format!("{state}-{}", about.since.0),
        message: format!("{application}: {code}: unit {unit}: {about}{over}"),
    });
}

/// What a move that is decided meanwhile should say of it.
pub(crate) fn line(open: Option<&Exposed>) -> Option<String> {
    open.map(|e| format!("{}: {e}", code::EXPOSED))
}
