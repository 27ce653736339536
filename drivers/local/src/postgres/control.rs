//! What `pg_controldata` says of a directory: the state it was left in and its last checkpoint.

use super::directory::Directory;
use super::lsn::{Lsn, Place};
use super::programs::{Call, Programs};
use pilotlight_core::outcome::Failure;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The control file, as far as it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    /// System identifier.
    pub(super) system: String,
    /// `Database cluster state`.
    pub(super) state: String,
    /// Start of the newest checkpoint record and its timeline.
    pub(super) checkpoint: Place,
    /// Where a crash recovery would start to read.
    pub(super) redo: Lsn,
    /// Bytes of a WAL segment.
    pub(super) segment_bytes: u64,
    /// It has data checksums, or hint bits in its log: without either it cannot be rewound.
    pub(super) comparable: bool,
}

impl Control {
    /// Reads the control file of a directory, whether a server runs on it or not.
    pub(super) async fn of(directory: &Directory, programs: &Programs) -> Result<Control, Failure> {
        let version = directory.version();
        let call = Call { program: "pg_controldata", version: version.as_deref(), folder: directory.path() };
        let args = [directory.path()];
        let ended = programs.run(call, &args, Duration::from_secs(5), &CancellationToken::new()).await?;
        // It prints what it has read all the same.
        if ended.output.contains("CRC checksum does not match") {
            return Err(directory.damaged("global/pg_control is not what was written").output(ended.output));
        }
        match (ended.success, Control::read(&ended.output)) {
            (true, Some(control)) => Ok(control),
            _ => Err(Failure::transient(format!("pg_controldata cannot read {}", directory.path().display()))
                .output(ended.output)),
        }
    }

    fn read(text: &str) -> Option<Control> {
        let fields: BTreeMap<&str, &str> =
            text.lines().filter_map(|l| l.split_once(':')).map(|(k, v)| (k.trim(), v.trim())).collect();
        let system = (*fields.get("Database system identifier")?).to_owned();
        let checksums = fields.get("Data page checksum version").is_some_and(|v| *v != "0");
        Some(Control {
            state: (*fields.get("Database cluster state")?).to_owned(),
            checkpoint: Place {
                system: system.clone(),
                timeline: fields.get("Latest checkpoint's TimeLineID")?.parse().ok()?,
                lsn: fields.get("Latest checkpoint location")?.parse().ok()?,
                begun: None,
            },
            redo: fields.get("Latest checkpoint's REDO location")?.parse().ok()?,
            comparable: checksums || fields.get("wal_log_hints setting").is_some_and(|v| *v == "on"),
            segment_bytes: fields.get("Bytes per WAL segment")?.parse().ok()?,
            system,
        })
    }

    /// It was shut down as a writer, with everything written out.
    pub(super) fn is_shut_down_writer(&self) -> bool {
        self.state == "shut down"
    }

    /// It was last run as a writer, and so may hold what nobody else holds.
    pub(super) fn was_writer(&self) -> bool {
        matches!(
            self.state.as_str(),
            "shut down" | "shutting down" | "in production" | "in crash recovery" | "starting up"
        )
    }

    /// The hand-over position of a clean stop: the first byte after the start of the shutdown checkpoint's record.
    ///
    /// What a standby says it has replayed is always the end of a record. At or after this byte there is only the end of
    /// that record or of later ones, so whoever has reached it has the whole record and everything before it. The
    /// record's length, which differs between versions and at page borders, need not be known.
    pub(super) fn hand_over(&self) -> Place {
        Place { lsn: Lsn(self.checkpoint.lsn.0 + 1), ..self.checkpoint.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pg_control version number:            1300
Database system identifier:           7301234567890123456
Database cluster state:               shut down
pg_control last modified:             Sat 21 Nov 2026 01:00:00 AM UTC
Latest checkpoint location:           0/3000060
Latest checkpoint's REDO location:    0/3000060
Latest checkpoint's TimeLineID:       2
Bytes per WAL segment:                16777216
wal_log_hints setting:                off
Data page checksum version:           0
";

    #[test]
    fn checksums_or_hint_bits_make_pages_comparable() {
        let of = |text: &str| Control::read(text).unwrap().comparable;
        assert!(!of(TEXT));
        assert!(of(&TEXT.replace("checksum version:           0", "checksum version:           1")));
        assert!(of(&TEXT.replace("setting:                off", "setting:                on")));
    }

    #[test]
    fn the_last_checkpoint_of_a_clean_stop_is_the_hand_over() {
        let control = Control::read(TEXT).unwrap();
        assert!(control.is_shut_down_writer() && control.was_writer());
        let position = control.hand_over().position();
        assert_eq!((position.lineage.as_str(), position.value.as_str()), ("7301234567890123456/2", "0/3000061"));
        assert!(!Control::read(&TEXT.replace("shut down", "shut down in recovery")).unwrap().was_writer());
        assert_eq!(Control::read("pg_controldata: error: no such file"), None);
    }
}
