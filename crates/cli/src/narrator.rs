//! What the person at the terminal reads while the demo runs.
//!
//! With `--json` everything goes to stderr, so that stdout holds one document and nothing else.

use indicatif::{ProgressBar, ProgressStyle};
use pilotlight_core::time::Mono;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::io::Write;
use std::time::Duration;

/// Where the story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// To the person at the terminal.
    Stdout,
    /// Beside a document on stdout.
    Stderr,
    /// Not at all.
    Silent,
}

/// Tells the story line by line, with the time since the last turning point.
pub(crate) struct Narrator {
    voice: Voice,
    origin: Mono,
    progress: Option<ProgressBar>,
    /// Told by several who hear of things at different times: lines that wait until their order is known.
    held: Option<Vec<(Mono, String)>>,
}

impl Narrator {
    /// Tells it there.
    pub(crate) fn new(voice: Voice) -> Self {
        Self { voice, origin: SystemClock.mono(), progress: None, held: None }
    }

    /// A heading: a new act begins and the time starts again at zero.
    pub(crate) fn act(&mut self, title: &str) {
        self.release();
        self.origin = SystemClock.mono();
        self.line(&format!("\n{title}"));
    }

    /// Something happened now.
    pub(crate) fn event(&mut self, text: &str) {
        self.event_at(SystemClock.mono(), text);
    }

    /// Something happened then. What was on its way when the act began, or differs by two clocks' ticks, begins with it.
    pub(crate) fn event_at(&mut self, at: Mono, text: &str) {
        let line = format!("  +{:>7.3} s  {text}", at.since(self.origin).as_secs_f64());
        match &mut self.held {
            Some(held) => held.push((at, line)),
            None => self.line(&line),
        }
    }

    /// From here on what happened waits to be told in order, until [`Narrator::settle`] or [`Narrator::release`].
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Tells what happened until then: nobody will come with anything older.
    pub(crate) fn settle(&mut self, until: Mono) {
        let Some(held) = &mut self.held else { return };
        held.sort_by_key(|(at, _)| *at);
        let due: Vec<(Mono, String)> = held.drain(..held.partition_point(|(at, _)| *at <= until)).collect();
        due.iter().for_each(|(_, line)| self.line(line));
    }

    /// Tells all that waits, and again at once whatever comes.
    pub(crate) fn release(&mut self) {
        self.settle(Mono(Duration::MAX));
        self.held = None;
    }

    /// A line without a time.
    pub(crate) fn line(&mut self, text: &str) {
        let print = || match self.voice {
            Voice::Silent => {}
            Voice::Stderr => eprintln!("{text}"),
            Voice::Stdout => {
                println!("{text}");
                let _ = std::io::stdout().flush();
            }
        };
        match &self.progress {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Shows a moving line below the story while something is waited for. Only at a terminal.
    pub(crate) fn waiting(&mut self, text: &str) {
        if self.voice == Voice::Silent {
            return;
        }
        let bar = self.progress.get_or_insert_with(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        bar.set_message(text.to_owned());
    }

    /// Ends the moving line.
    pub(crate) fn done_waiting(&mut self) {
        if let Some(bar) = self.progress.take() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Narrator {
    fn drop(&mut self) {
        self.release();
        self.done_waiting();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(narrator: &Narrator) -> Vec<&str> {
        narrator.held.iter().flatten().map(|(_, line)| line.trim_start()).collect()
    }

    #[test]
    fn what_is_held_is_told_in_order_and_never_before_its_act() {
        let mut narrator = Narrator::new(Voice::Silent);
        let at = |ms: u64| Mono(Duration::from_millis(10_000 + ms));
        narrator.origin = at(0);
        narrator.hold();
        narrator.event_at(at(300), "the run has ended");
        narrator.event_at(at(200), "users are served");
        // Sent before the fault, and failed by it.
        narrator.event_at(Mono(Duration::from_millis(9_999)), "users fail");
        narrator.settle(at(250));
        assert_eq!(held(&narrator), ["+  0.300 s  the run has ended"]);
        narrator.event_at(Mono::default(), "long ago");
        assert_eq!(held(&narrator)[1], "+  0.000 s  long ago");
        narrator.release();
        assert!(narrator.held.is_none());
    }
}
