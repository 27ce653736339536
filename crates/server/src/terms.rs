//! Which terms agents have heard, held against the one that is led here: agents obey no older term than they have heard.
//!
//! A leader whose agents have heard a newer term leads on another store than they know: a new one, an old copy, or one that
//! nobody else has, as under a mount that is away. Its own record cannot tell these apart, and in the last case a leader of
//! the right store lives. So it puts itself over that term at a person's word only, and until then it holds still.
//!
//! Border: two numbers and a signal; who gives up the lead and takes it again is [`crate::seat`].

use pilotlight_core::leader::Term;
use tokio::sync::watch;

/// See the module.
#[derive(Default)]
pub(crate) struct Terms {
    heard: watch::Sender<Term>,
    over: watch::Sender<Term>,
}

impl Terms {
    /// An agent obeys no older one.
    pub(crate) fn heard(&self, term: Term) {
        raise(&self.heard, term);
    }

    /// The newest, if it is newer than the one that is led.
    pub(crate) fn newer_than(&self, led: Term) -> Option<Term> {
        Some(*self.heard.borrow()).filter(|heard| *heard > led)
    }

    /// A person says that nobody leads on another store: the next term from here is past all that were heard.
    pub(crate) fn go_over(&self) {
        let heard = *self.heard.borrow();
        raise(&self.over, heard);
    }

    /// Past which the next term from here is to be.
    pub(crate) fn to_pass(&self) -> Term {
        *self.over.borrow()
    }

    /// Returns when a person wants the lead to be past a newer term than `led`. May be dropped while it waits.
    pub(crate) async fn wants_more_than(&self, led: Term) -> Term {
        let mut over = self.over.subscribe();
        let wanted = over.wait_for(|over| *over > led).await.ok().map(|over| *over);
        match wanted {
            Some(over) => over,
            // The sender lives as long as this.
            None => std::future::pending().await,
        }
    }
}

fn raise(known: &watch::Sender<Term>, term: Term) {
    known.send_if_modified(|known| std::mem::replace(known, term.max(*known)) < term);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_person_puts_a_leader_over_a_term_that_was_heard() {
        let terms = Terms::default();
        terms.heard(Term(7));
        terms.heard(Term(3));
        assert_eq!((terms.newer_than(Term(1)), terms.newer_than(Term(7))), (Some(Term(7)), None));
        assert_eq!(terms.to_pass(), Term(0), "nobody has said so");
        let waits = terms.wants_more_than(Term(1));
        tokio::pin!(waits);
        assert!(waits_still(&mut waits).await);
        terms.go_over();
        assert_eq!((waits.await, terms.to_pass()), (Term(7), Term(7)));
        let now = terms.wants_more_than(Term(8));
        tokio::pin!(now);
        assert!(waits_still(&mut now).await, "once it leads past it, it is left alone");
    }

    async fn waits_still(future: &mut (impl Future<Output = Term> + Unpin)) -> bool {
        tokio::select! {
            biased;
            _ = future => false,
            () = std::future::ready(()) => true,
        }
    }
}
