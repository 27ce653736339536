//! Tags that a new database takes over from the one in whose place it comes.

use aws_sdk_rds::types::Tag;

/// Those that people gave: AWS's own cannot be set, and ours say what became of the old one.
pub(crate) fn theirs(of: &[Tag]) -> Vec<Tag> {
    let is_theirs = |t: &&Tag| t.key().is_some_and(|k| !k.starts_with("aws:") && !k.starts_with("pilotlight:"));
    of.iter().filter(is_theirs).cloned().collect()
}
