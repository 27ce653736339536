//! Draws a fault with the line it is in, like a compiler.
//!
//! Invariant: no secret is drawn, whichever fault of its line is: the text ends in terminals, logs and tickets.

use pilotlight_core::code;
use pilotlight_core::plan::{Fault, Faults, names_secret};
use std::io::{self, Write};

/// Characters of a source line that are shown; longer ones are cut around the fault.
const WIDTH: usize = 110;

/// Draws one of the faults.
pub(super) fn draw(fault: &Fault, all: &Faults, text: &str, err: &mut dyn Write) -> io::Result<()> {
    writeln!(err, "error[{}]: {}", fault.code, fault.message)?;
    let number = fault.line.to_string();
    let gutter = " ".repeat(number.len());
    writeln!(err, "{gutter}--> {}:{}:{}", fault.file, fault.line, fault.column)?;
    if let Some(line) = text.lines().nth(fault.line.saturating_sub(1)) {
        let Cut { shown, before, width } = cut(&masked(line, fault, all), fault.column, fault.width);
        writeln!(err, "{gutter} |\n{number} | {shown}")?;
        let nearest = fault.nearest.as_ref().map(|n| format!(" did you mean `{n}`?")).unwrap_or_default();
        writeln!(err, "{gutter} | {}{}{nearest}", " ".repeat(before), "^".repeat(width))?;
    }
    if !fault.allowed.is_empty() {
        writeln!(err, "{gutter} = allowed: {}", fault.allowed)?;
    }
    if !fault.hint.is_empty() {
        writeln!(err, "{gutter} = hint: {}", fault.hint)?;
    }
    writeln!(err)
}

/// The line with a star for each character of a secret, so that what stands behind it keeps its place.
fn masked(line: &str, fault: &Fault, all: &Faults) -> String {
    let mut shown: Vec<char> = line.chars().collect();
    let mut hide = |from: usize, to: usize| {
        let to = to.min(shown.len());
        shown.get_mut(from.min(to)..to).unwrap_or_default().iter_mut().filter(|c| **c != ' ').for_each(|c| *c = '*');
    };
    for secret in all.iter().filter(|f| f.line == fault.line && f.code == code::PLAN_LITERAL_SECRET) {
        let from = secret.column.saturating_sub(1);
        // One that goes on in the next line has no width.
        hide(from, if secret.width > 1 { from + secret.width } else { usize::MAX });
    }
    for slip in all.iter().filter(|f| f.line == fault.line && f.nearest.as_deref().is_some_and(names_secret)) {
        hide(slip.column + slip.width, usize::MAX);
    }
    if let Some(from) = after_secret_name(line) {
        hide(from, usize::MAX);
    }
    shown.into_iter().collect()
}

/// Where the value begins, in characters, of the first key that is named like a secret and whose value is written out.
fn after_secret_name(line: &str) -> Option<usize> {
    let written = |value: &str| !value.trim_start().is_empty() && !value.trim_start().starts_with(['{', '#']);
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices(':').find_map(|(at, _)| {
        let (name, value) = (line[..at].trim_end_matches(['"', '\'']), &line[at + 1..]);
        let name = name.rsplit(|c: char| !of_name(c)).next().unwrap_or_default();
        (names_secret(name) && written(value)).then(|| line[..=at].chars().count())
    })
}

struct Cut {
    shown: String,
    before: usize,
    width: usize,
}

/// The part of the line around the fault, fit for a terminal: every character one column wide, none that steers it.
fn cut(line: &str, column: usize, width: usize) -> Cut {
    let plain: Vec<char> = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let start = column.saturating_sub(1).min(plain.len());
    let from = if plain.len() <= WIDTH { 0 } else { start.saturating_sub(WIDTH / 3) };
    let to = plain.len().min(from + WIDTH);
    let mut shown: String = plain.get(from..to).unwrap_or_default().iter().collect();
    let mut before = start - from;
    if from > 0 {
        shown.insert_str(0, "...");
        before += 3;
    }
    if to < plain.len() {
        shown.push_str("...");
    }
    Cut { shown: shown.trim_end().to_owned(), before, width: width.clamp(1, (to - start.min(to)).max(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let line = format!("{}BAD{}", "a".repeat(500), "b".repeat(500));
        let Cut { shown, before, width } = cut(&line, 501, 3);
        assert_eq!(shown.chars().skip(before).take(width).collect::<String>(), "BAD");
        assert!(shown.len() <= WIDTH + 6 && shown.starts_with("...") && shown.ends_with("..."), "{shown}");
    }

    #[test]
    fn nothing_in_a_line_steers_the_terminal() {
        assert_eq!(cut("a\u{1b}[31m\tb", 1, 1).shown, "a [31m b");
    }

    #[test]
    fn a_place_past_the_end_is_still_drawn() {
        let Cut { before, width, .. } = cut("ab", 9, 5);
        assert_eq!((before, width), (2, 1));
    }
}
