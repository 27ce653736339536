//! The end of what a command prints, which is where errors stand.

use crate::redact::Redactor;
use std::convert::Infallible;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// Kept per command: enough for a stack trace, little enough for a journal.
const KEPT_BYTES: usize = 64 * 1024;

/// Reads and keeps the end.
pub(super) struct Tail {
    from: Receiver,
    kept: Vec<u8>,
    /// More than is shown is kept, so that no secret is cut in half at the front and slips through.
    margin: usize,
    was_cut: bool,
}

impl Tail {
    pub(super) fn new(from: Receiver, longest_secret: usize) -> Self {
        Self { from, kept: Vec::new(), margin: longest_secret, was_cut: false }
    }

    /// Keeps what comes. Does not end with the output, so that it can stand beside a wait for something else.
    pub(super) async fn read_for_ever(&mut self) -> Infallible {
        self.read_to_end().await;
        std::future::pending().await
    }

    pub(super) async fn read_to_end(&mut self) {
        let mut buffer = [0; 8 * 1024];
        // An error on the pipe says as little as its end.
        while let Ok(n @ 1..) = self.from.read(&mut buffer).await {
            self.kept.extend_from_slice(&buffer[..n]);
            let limit = KEPT_BYTES + self.margin;
            if self.kept.len() > 2 * limit {
                self.kept.drain(..self.kept.len() - limit);
                self.was_cut = true;
            }
        }
    }

    /// What is kept, without secrets, beginning with a whole line.
    pub(super) fn text(&self, redactor: &Redactor) -> String {
        let text = redactor.redact(&String::from_utf8_lossy(&self.kept));
        let mut from = text.len().saturating_sub(KEPT_BYTES);
        if self.was_cut {
            from = from.max(self.margin.min(text.len()));
        }
        while !text.is_char_boundary(from) {
            from += 1;
        }
        if from == 0 {
            return text;
        }
        let rest = &text[from..];
        let line = rest.find('\n').map_or(rest, |end| &rest[end + 1..]);
        format!("[earlier output left out]\n{line}")
    }
}
