//! Makes the list of faults that breaks a law as short as it can be.
//!
//! One fault is left out, or made shorter, and the world is lived through again; whatever still breaks the same law is
//! kept, until nothing more can be left out. The rest of the seed's chance falls differently then, so the result is a
//! world that breaks the law, not always for the first one's reason.

use crate::fault::Fault;
use crate::laws::Law;
use crate::world::{Options, Story};
use std::time::Duration;

/// The shortest world found, as options for the same seed, and its story.
pub fn shrink(seed: u64, options: &Options, law: Law) -> (Options, Story) {
    let mut options = options.clone();
    let mut story = crate::live(seed, &options);
    let mut faults = story.faults.clone();
    let mut breaks = |faults: &[Fault]| {
        options.faults = Some(faults.to_vec());
        let tried = crate::live(seed, &options);
        tried.broken.as_ref().is_some_and(|b| b.law == law).then_some(tried)
    };
    let mut changed = true;
    while changed {
        changed = false;
        let mut at = 0;
        while at < faults.len() {
            let mut fewer = faults.clone();
            fewer.remove(at);
            if let Some(tried) = breaks(&fewer) {
                (faults, story, changed) = (fewer, tried, true);
                continue;
            }
            let mut shorter = faults.clone();
            shorter[at].lasts /= 2;
            if shorter[at].lasts >= Duration::from_millis(50)
                && let Some(tried) = breaks(&shorter)
            {
                (faults, story, changed) = (shorter, tried, true);
            }
            at += 1;
        }
    }
    options.faults = Some(faults);
    (options, story)
}
