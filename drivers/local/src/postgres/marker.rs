//! The note on disk that a copy was silenced on purpose. As long as it is there nobody starts the copy by themselves.

use super::durable;
use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::{Component, Epoch};
use pilotlight_core::outcome::Failure;
use pilotlight_core::position::Position;
use pilotlight_core::time::Wall;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What ended the writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SilencedBy {
    /// By force.
    Fence,
    /// In an orderly way.
    StopWrites,
}

/// The note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The copy's component.
    pub(super) component: Component,
    /// The epoch of the effect.
    pub(super) epoch: Epoch,
    /// What ended the writing.
    pub(super) by: SilencedBy,
    /// How sure it is.
    pub(super) assurance: FenceAssurance,
    /// When, for people.
    pub(super) at: Wall,
    /// The hand-over position of an orderly end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) position: Option<Position>,
}

impl Marker {
    /// Where the note of a component is kept.
    pub(super) fn path(state_dir: &Path, component: &Component) -> PathBuf {
        state_dir.join(format!("fenced-{component}.json"))
    }

    /// Writes it durably.
    pub(super) fn write(&self, state_dir: &Path) -> Result<(), Failure> {
        let path = Marker::path(state_dir, &self.component);
        let text = serde_json::to_vec_pretty(self).expect("a marker holds only names and numbers");
        std::fs::create_dir_all(state_dir)
            .and_then(|()| durable::write(&path, &text, None))
            .map_err(|e| Failure::unknown(format!("the fence cannot be noted in {}: {e}", path.display())))
    }

    /// Reads it. A note that cannot be read counts as one: better a copy that stays down than two writers.
    pub(super) fn read(state_dir: &Path, component: &Component) -> Option<Marker> {
        let path = Marker::path(state_dir, component);
        match std::fs::read(&path) {
            Ok(text) => Some(serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "the note of a fence is damaged; the copy stays fenced");
                Marker {
                    component: component.clone(),
                    epoch: Epoch(0),
                    by: SilencedBy::Fence,
                    assurance: FenceAssurance::ConnectionsCut,
                    at: Wall(0),
                    position: None,
                }
            })),
            Err(_) => None,
        }
    }

    /// Takes it away: the copy has a role again.
    pub(super) fn clear(state_dir: &Path, component: &Component) -> Result<(), Failure> {
        let path = Marker::path(state_dir, component);
        durable::remove(&path)
            .map_err(|e| Failure::unknown(format!("the note of the fence {} cannot be removed: {e}", path.display())))
    }
}
