//! What would stand in the way of a rescue, found before the loss.

use super::super::PostgresDriver;
use super::super::rebuild::free_bytes;
use super::copy::size;
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::{Finding, Severity};
use std::collections::BTreeMap;
use std::path::Path;

fn finding(code: &str, severity: Severity, message: String, hint: &str) -> Finding {
    Finding { code: code.to_owned(), severity, message, hint: hint.to_owned() }
}

impl PostgresDriver {
    /// `settings` are those of `pg_settings`, where the server answers.
    pub(in super::super) fn rescue_findings(
        &self,
        settings: Option<&BTreeMap<String, String>>,
        effect: &Effect,
    ) -> Vec<Finding> {
        let here = format!("{} in {}", self.component, self.region);
        let mut found = settings.map(|s| self.of_rows(&here, s)).unwrap_or_default();
        let concerned = matches!(effect, Effect::Rejoin { .. } | Effect::CaptureRescue { .. });
        if concerned && self.passphrase.is_none() {
            let message = format!("rescue bundles of {here} would not be encrypted");
            let hint =
                "set `rescue.passphrase` of the component, or keep the agent's folder as closed as the data directory";
            found.push(finding("PL-0348", Severity::Note, message, hint));
        }
        let kept_mb = settings.and_then(|s| s.get("wal_keep_size")?.parse::<u64>().ok()).unwrap_or_default();
        let root = self.rescue_root();
        let folder = nearest(&root);
        let wal = size(&self.directory().path().join("pg_wal")).unwrap_or_default();
        let needed = if matches!(effect, Effect::CaptureRescue { .. }) { wal } else { wal.max(kept_mb << 20) };
        if let Some(free) = folder.and_then(free_bytes).filter(|free| *free < needed) {
            let message =
                format!("a rescue bundle of {here} may take {needed} bytes in the agent's folder, {free} are free");
            let hint = "make room in the agent's state folder: a lost writer is not rewound before its bundle is safe";
            found.push(finding("PL-0345", Severity::Warning, message, hint));
        }
        if self.plan.rescue.rows {
            let data = self.directory().path().to_owned();
            let needed = size(&data).unwrap_or_default();
            if let Some(free) = data.parent().and_then(free_bytes).filter(|free| *free < needed) {
                let message = format!(
                    "to read lost rows {here} is copied beside its data directory: {needed} bytes, {free} are free"
                );
                let hint = "make room there, unless the file system shares blocks between files (XFS, Btrfs)";
                found.push(finding("PL-0345", Severity::Warning, message, hint));
            }
        }
        found
    }

    fn of_rows(&self, here: &str, settings: &BTreeMap<String, String>) -> Vec<Finding> {
        let mut found = Vec::new();
        if !self.plan.rescue.rows {
            return found;
        }
        if settings.get("wal_level").is_some_and(|level| level != "logical") {
            let message = format!("{here} has wal_level = {}: lost rows could not be read", settings["wal_level"]);
            let hint =
                "set wal_level = logical and restart it; until then a bundle holds transactions, times and tables only";
            found.push(finding("PL-0346", Severity::Warning, message, hint));
        }
        if settings.get("max_slot_wal_keep_size").is_some_and(|most| most == "-1") {
            let message = format!("{here} does not bound what slots keep of its log (max_slot_wal_keep_size)");
            let hint = "set max_slot_wal_keep_size to somewhat more than `rescue.max_slot`";
            found.push(finding("PL-0347", Severity::Warning, message, hint));
        }
        found
    }
}

/// The folder itself or what it will be made in.
fn nearest(path: &Path) -> Option<&Path> {
    path.ancestors().find(|p| p.exists())
}
