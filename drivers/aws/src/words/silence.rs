//! Silencing a writer that security groups can shut clients out of, an instance or all of a cluster's: what comes next.
//!
//! Border: decides; the drivers of RDS and Aurora ask AWS and tell it, one step at a time, until the moment is noted.
//!
//! Invariant: the moment is noted only when the groups let nobody in, all of them have taken effect, and what ran when they did
//! runs no more. Sessions from before outlive a change of groups, so there is a reboot after it.

use crate::words::instance::Reboot;
use pilotlight_core::time::Wall;
use std::time::Duration;

/// How much of it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// Every instance serves.
    All,
    /// Some do, or it is not known.
    Some,
    /// None does.
    None,
    /// It was stopped, and stays so.
    Stopped,
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Silencing {
    /// Its security groups are those that let nobody in.
    pub closed: bool,
    /// They have taken effect.
    pub settled: bool,
    /// AWS takes changes of it now.
    pub rests: bool,
    /// Its instances.
    pub runs: Runs,
    /// The reboot after its clients were shut out.
    pub reboot: Option<Reboot>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It cannot be closed in the state it is in.
    Busy,
    /// Shut clients out; marks of an earlier time would be believed, so they go first.
    Close,
    /// AWS is at it.
    Wait,
    /// Reboot it, and mark that.
    Reboot,
    /// Mark that it was seen to be down.
    SeenDown,
    /// Whatever was acknowledged was so before now: mark the moment.
    Note,
}

impl Silencing {
    /// The next step; a reboot that was asked for is shown within that time.
    pub fn next(&self, now: Wall, shows_within: Duration) -> Next {
        if !self.closed {
            return if self.rests { Next::Close } else { Next::Busy };
        }
        if let (Runs::None, Some(Reboot::Asked(_))) = (self.runs, self.reboot) {
            return Next::SeenDown;
        }
        if !self.settled || !self.rests {
            return Next::Wait;
        }
        match (self.runs, self.reboot) {
            (Runs::Stopped, _) => Next::Note,
            (Runs::Some | Runs::None, _) => Next::Wait,
            (Runs::All, None) => Next::Reboot,
            (Runs::All, Some(reboot)) if reboot.is_over(now, shows_within) => Next::Note,
            (Runs::All, Some(_)) => Next::Wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWS: Duration = Duration::from_secs(60);
    const NOW: Wall = Wall(1_000_000);

    fn open() -> Silencing {
        Silencing { closed: false, settled: true, rests: true, runs: Runs::All, reboot: None }
    }

    #[test]
    fn it_is_closed_then_rebooted_then_noted() {
        let next = |s: Silencing| s.next(NOW, SHOWS);
        assert_eq!(next(open()), Next::Close);
        let closed = Silencing { closed: true, ..open() };
        assert_eq!(next(Silencing { settled: false, ..closed }), Next::Wait, "sessions may begin until then");
        assert_eq!(next(closed), Next::Reboot);
        let asked = Silencing { reboot: Some(Reboot::Asked(NOW)), ..closed };
        assert_eq!(next(asked), Next::Wait, "it may not be down yet");
        assert_eq!(next(Silencing { rests: false, runs: Runs::None, ..asked }), Next::SeenDown);
        let seen = Silencing { reboot: Some(Reboot::Seen), ..closed };
        assert_eq!(next(Silencing { rests: false, runs: Runs::None, ..seen }), Next::Wait);
        assert_eq!(next(seen), Next::Note);
        let shown = Silencing { reboot: Some(Reboot::Asked(Wall(NOW.0 - 61_000))), ..closed };
        assert_eq!(next(shown), Next::Note, "a reboot would have been shown by now");
    }

    #[test]
    fn what_is_stopped_is_closed_and_noted_without_a_reboot() {
        let stopped = Silencing { runs: Runs::Stopped, ..open() };
        assert_eq!(stopped.next(NOW, SHOWS), Next::Close);
        assert_eq!(Silencing { closed: true, ..stopped }.next(NOW, SHOWS), Next::Note);
    }

    /// Whatever else is so.
    #[test]
    fn nothing_is_noted_while_it_is_open_or_a_session_from_before_may_live() {
        for settled in [true, false] {
            for rests in [true, false] {
                for runs in [Runs::All, Runs::Some, Runs::None, Runs::Stopped] {
                    for reboot in [None, Some(Reboot::Asked(NOW)), Some(Reboot::Seen)] {
                        let any = Silencing { closed: false, settled, rests, runs, reboot };
                        assert!(matches!(any.next(NOW, SHOWS), Next::Close | Next::Busy), "{any:?}");
                        let closed = Silencing { closed: true, ..any };
                        let may_live = runs != Runs::Stopped && reboot != Some(Reboot::Seen);
                        if !settled || may_live {
                            assert_ne!(closed.next(NOW, SHOWS), Next::Note, "{closed:?}");
                        }
                    }
                }
            }
        }
    }
}
