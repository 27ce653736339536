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
}

impl Narrator {
    /// Tells it there.
    pub(crate) fn new(voice: Voice) -> Self {
        Self { voice, origin: SystemClock.mono(), progress: None }
    }

    /// A heading: a new act begins and the time starts again at zero.
    pub(crate) fn act(&mut self, title: &str) {
        self.origin = SystemClock.mono();
        self.line(&format!("\n{title}"));
    }

    /// Something happened now.
    pub(crate) fn event(&mut self, text: &str) {
        self.event_at(SystemClock.mono(), text);
    }

    /// Something happened then.
    pub(crate) fn event_at(&mut self, at: Mono, text: &str) {
        let (sign, since) = if at >= self.origin { ('+', at.since(self.origin)) } else { ('-', self.origin.since(at)) };
        self.line(&format!("  {sign}{:>7.3} s  {text}", since.as_secs_f64()));
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
        self.done_waiting();
    }
}
