//! How numbers are written for people: lengths, offsets, counts, coordinates.

use pilotlight_core::time::show_duration;
use std::cmp::Ordering;
use std::time::Duration;

/// `214 ms`, `3.21 s`, `32.1 s`, `4 min 05 s`, `2 h 03 min`.
pub(super) fn length(ms: u64) -> String {
    let seconds = Duration::from_millis(ms).as_secs_f64();
    match ms {
        1_000..9_995 => format!("{seconds:.2} s"),
        9_995..60_000 => format!("{seconds:.1} s"),
        _ => show_duration(Duration::from_millis(ms)),
    }
}

/// A point in time as seen from `zero`: `+3.21 s`, `−120 ms`, `0`; exact also where lengths are rounded: `+4:00:01.5 h`.
pub(super) fn offset(at_ms: u64, zero_ms: u64) -> String {
    match at_ms.cmp(&zero_ms) {
        Ordering::Less => format!("−{}", exact(zero_ms - at_ms)),
        Ordering::Equal => "0".to_owned(),
        Ordering::Greater => format!("+{}", exact(at_ms - zero_ms)),
    }
}

fn exact(ms: u64) -> String {
    let (hours, minutes, seconds, tenths) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms / 100 % 10);
    match ms {
        0..60_000 => length(ms),
        60_000..3_600_000 => format!("{minutes}:{seconds:02}.{tenths} min"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}.{tenths} h"),
    }
}

/// `84.6 %`.
pub(super) fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// `79,861`.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A coordinate of a picture, to a tenth of a pixel and without a needless `.0`.
pub(super) fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// The width of a text in a picture, rather too wide than too narrow; no font can be asked.
pub(super) fn width(text: &str) -> f64 {
    text.chars().map(|c| if "il.,:;|' ".contains(c) { 3.6 } else { 6.6 }).sum()
}

/// In lines that are at most so wide, broken between words where that can be. Nothing is left out.
pub(super) fn wrap(text: &str, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + width(" ") + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(pieces(word, most)),
        }
    }
    lines
}

/// A word that is wider than a line is broken where the line ends.
fn pieces(word: &str, most: f64) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let piece = pieces.last_mut().expect("it begins with one");
        if !piece.is_empty() && width(piece) + width(&c.to_string()) > most {
            pieces.push(c.to_string());
        } else {
            piece.push(c);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(length(214), "214 ms");
        assert_eq!(length(3_214), "3.21 s");
        assert_eq!(length(9_999), "10.0 s");
        assert_eq!(length(32_140), "32.1 s");
        assert_eq!(length(14_580_000), "4 h 03 min");
        assert_eq!(offset(1_000, 1_120), "−120 ms");
        assert_eq!(offset(14_401_570, 0), "+4:00:01.5 h");
        assert_eq!(offset(0, 65_040), "−1:05.0 min");
        assert_eq!(share(3_288, 3_880), "84.7 %");
        assert_eq!(offset(5, 5), "0");
        assert_eq!(count(79_861), "79,861");
        assert_eq!(count(861), "861");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!((px(3.04), px(-0.01), px(2.5)), ("3".to_owned(), "0".to_owned(), "2.5".to_owned()));
    }

    #[test]
    fn long_texts_are_broken_into_lines_and_nothing_is_left_out() {
        assert_eq!(wrap("short", 100.0), ["short"]);
        assert_eq!(wrap("", 100.0), Vec::<String>::new());
        let text = "promote the database in the-western-region-whose-name-is-longer-than-a-line for good";
        let lines = wrap(text, 120.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line) <= 120.0), "{lines:?}");
        let letters = |text: &str| text.chars().filter(|c| *c != ' ').collect::<String>();
        assert_eq!(letters(&lines.concat()), letters(text));
    }
}
