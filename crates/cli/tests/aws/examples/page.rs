//! What the README of an example tells to type, in the order in which it tells it.

use std::fs;
use std::path::{Path, PathBuf};

/// One line of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// `export NAME=VALUE`
    Export(String, String),
    /// What goes on beside the next ones: the words after `pilotlight`, before the `&`.
    Beside(Vec<String>),
    /// The words after `pilotlight`.
    Say(Vec<String>),
}

impl Line {
    fn of(text: &str) -> Self {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        if let Some((name, value)) = text.strip_prefix("export ").and_then(|export| export.split_once('=')) {
            return Line::Export(name.to_owned(), value.to_owned());
        }
        let Some(typed) = text.strip_prefix("pilotlight ") else { panic!("a line that nothing here tries: {text}") };
        match typed.strip_suffix(" &") {
            Some(beside) => Line::Beside(words(beside)),
            None => Line::Say(words(typed)),
        }
    }

    /// It looks where a move would lead, and moves nothing.
    pub(super) fn is_dry_run(&self) -> bool {
        matches!(self, Line::Say(words) if words.iter().any(|word| word == "--dry-run"))
    }
}

/// Every line under "Try it" that is to be typed. One that nothing here knows fails the test.
pub(super) fn lines(folder: &Path) -> Vec<Line> {
    let text = fs::read_to_string(folder.join("README.md")).unwrap();
    let (_, tried) = text.split_once("\n## Try it\n").expect("it says how to try it");
    let tried = tried.split("\n## ").next().unwrap_or_default();
    let lines: Vec<Line> = tried.lines().filter_map(|line| line.strip_prefix("    ")).map(Line::of).collect();
    for verb in ["check", "import", "failover", "failback", "drill"] {
        let told = |line: &Line| matches!(line, Line::Say(words) if words[0] == verb);
        assert!(lines.iter().any(told), "it does not tell how to {verb}");
    }
    lines
}

/// The Terraform environment that makes the parts of the example.
pub(super) fn environment(folder: &Path, lines: &[Line]) -> PathBuf {
    let named = lines.iter().find_map(|line| match line {
        Line::Say(words) if words[0] == "import" => words.get(2),
        _ => None,
    });
    folder.join(named.expect("the page imports from one"))
}

/// The seconds that the page says after these words.
pub(super) fn seconds(folder: &Path, words: &str) -> f64 {
    let text = fs::read_to_string(folder.join("README.md")).unwrap();
    let (_, after) = text.split_once(words).unwrap_or_else(|| panic!("the page does not say {words:?}"));
    let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after {words:?}"))
}
