//! Secrets that were written into a command or its environment: a plan is read by many, so it holds none.

use super::super::fault::{At, Collector};
use super::super::value::Record;
use crate::code;

/// Last words of names whose value is a secret.
const SECRETS: [&str; 7] = ["password", "passwd", "token", "secret", "api_key", "access_key", "apikey"];

const HINT: &str = "Set it in the environment of the agent, which commands inherit, or let the program read it from a \
                    file; then replace it: it has been in a file.";

/// Whether a text names something whose value is a secret: `PGPASSWORD`, `--api-key`; not `PGPASSFILE`.
pub fn names_secret(name: &str) -> bool {
    let bare = name.trim_start_matches('-').to_ascii_lowercase().replace('-', "_");
    SECRETS.iter().any(|word| bare.ends_with(word))
}

/// Whether a connection string, alone or inside of something longer, carries its password. One that a shell puts there
/// (`$PASSWORD`) is not written down.
pub(in crate::plan) fn carries_password(text: &str) -> bool {
    let written = |value: &str| !value.trim_start().is_empty() && !value.trim_start().starts_with(['$', '{']);
    let in_url = text.split("://").skip(1).any(|rest| {
        let authority = rest.split(['/', ' ', '?', '"', '\'']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|u| u.split_once(':')).is_some_and(|(_, password)| written(password))
    });
    let lower = text.to_ascii_lowercase();
    let mut pairs = lower.split("password").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('='));
    in_url || pairs.any(|value| written(value.trim_start().trim_start_matches(['"', '\''])))
}

/// Looks through `command`, `shell` and `env`.
pub(super) fn check(record: &Record, out: &mut Collector<'_>) {
    for (name, value) in record.map("env") {
        let Some(text) = value.text() else { continue };
        let named = names_secret(name) && !text.is_empty() && !text.starts_with('/');
        if named || carries_password(text) {
            refuse(&value.at, out);
        }
    }
    let words: Vec<_> = record.list("command").iter().filter_map(|v| Some((v.text()?, &v.at))).collect();
    for (at, (word, place)) in words.iter().enumerate() {
        let after_flag = at.checked_sub(1).is_some_and(|before| {
            let flag = words[before].0;
            flag.starts_with("--") && !flag.contains('=') && names_secret(flag) && !word.starts_with(['-', '/'])
        });
        let in_flag = word.starts_with("--")
            && word.split_once('=').is_some_and(|(flag, value)| names_secret(flag) && !value.starts_with(['/', '$']));
        if after_flag || in_flag || carries_password(word) {
            refuse(place, out);
        }
    }
    if record.text("shell").is_some_and(carries_password) {
        refuse(record.at("shell"), out);
    }
}

// What was found is not repeated: a fault ends in logs, and this is a secret.
fn refuse(at: &At, out: &mut Collector<'_>) {
    out.add(code::PLAN_LITERAL_SECRET, at, format!("`{}` holds the secret itself", at.path))
        .found("a text with credentials")
        .allowed("no secret")
        .hint(HINT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_by_their_last_word() {
        for name in ["PGPASSWORD", "SLACK_TOKEN", "--password", "--api-key", "AWS_SECRET_ACCESS_KEY", "CLIENT_SECRET"] {
            assert!(names_secret(name), "{name}");
        }
        for name in ["PGPASSFILE", "PASSWORD_FILE", "DATABASE_URL", "--tokens-file", "TOKENIZER"] {
            assert!(!names_secret(name), "{name}");
        }
    }

    #[test]
    fn passwords_are_seen_wherever_they_stand() {
        for text in [
            "postgres://u:p@h/x",
            "--dsn=postgres://u:p@h/x",
            "curl https://me:pw@example.test/",
            "host=db password=hunter2",
            "PASSWORD = 'x'",
        ] {
            assert!(carries_password(text), "{text}");
        }
        for text in [
            "postgres://u@h/x",
            "https://example.test/a:b@c",
            "psql \"password=$PGPASSWORD\"",
            "postgres://u:$PW@h/x",
            "password=",
            "http://[::1]:80/",
        ] {
            assert!(!carries_password(text), "{text}");
        }
    }
}
