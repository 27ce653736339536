//! What stands behind an error, as text for people: every library wraps its errors, and the outer layers alone say little.

use std::error::Error;

/// An error with its causes on one line, outermost first; a cause that was said already is left out.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = inner.source();
    }
    text
}

/// The innermost cause, which names the address or the deadline; where the outer ones repeat a URL, or must not be told.
pub fn root(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{says}")]
    struct Layer {
        says: &'static str,
        source: Option<Box<Layer>>,
    }

    fn layers(says: &[&'static str]) -> Layer {
        let inner = says.get(1..).filter(|rest| !rest.is_empty());
        Layer { says: says[0], source: inner.map(|rest| Box::new(layers(rest))) }
    }

    #[test]
    fn causes_stand_on_one_line_and_nothing_twice() {
        assert_eq!(chain(&layers(&["cannot write", "the disk is full"])), "cannot write: the disk is full");
        assert_eq!(chain(&layers(&["connect: refused", "refused", "port 1"])), "connect: refused: port 1");
        assert_eq!(chain(&layers(&["alone"])), "alone");
    }

    #[test]
    fn the_innermost_cause_is_the_last_of_them() {
        assert_eq!(root(&layers(&["POST https://host/secret", "connect", "refused"])), "refused");
        assert_eq!(root(&layers(&["alone"])), "alone");
    }
}
