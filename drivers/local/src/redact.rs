//! Takes secrets out of what programs print, before anybody keeps or shows it.
//!
//! Border: it knows values, not where they come from. A program that prints a secret in another form (encoded, split)
//! is not caught; nothing can be promised there.

/// What stands in place of a secret.
const MASK: &str = "[secret]";

/// Shorter values would blank out half of any text and hide nothing.
const SHORTEST: usize = 4;

/// Known secret values.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret that contains another goes as a whole.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor of {} secrets", self.secrets.len())
    }
}

impl Redactor {
    /// Knows these values, and each line of those that have several.
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> = Vec::new();
        for value in values {
            secrets.extend(value.lines().map(|line| line.trim().to_owned()));
            secrets.push(value);
        }
        secrets.retain(|s| s.len() >= SHORTEST);
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        secrets.dedup();
        Self { secrets }
    }

    /// The text without them.
    pub fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK))
    }

    /// The length of the longest, in bytes.
    pub fn longest(&self) -> usize {
        self.secrets.first().map_or(0, String::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_whole_and_short_values_stay() {
        let redactor = Redactor::new(["hunter2", "hunter2-and-more", "abc", "line one\nline two\n"].map(str::to_owned));
        assert_eq!(redactor.redact("pw=hunter2-and-more,hunter2; abc"), "pw=[secret],[secret]; abc");
        assert_eq!(redactor.redact("here: line two"), "here: [secret]");
        assert!(!format!("{redactor:?}").contains("hunter"));
    }
}
