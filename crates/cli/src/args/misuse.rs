//! What was typed and is not understood: what clap says of it, with the code, and what to type instead.
//!
//! Border: words only. Nothing was read or asked yet when this is told.

use super::Cli;
use crate::error::{CliError, Exit};
use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use pilotlight_core::code;
use pilotlight_core::time::parse_duration;

/// Options that a bare word may have been meant for, the likeliest first.
const MEANT: [&str; 5] = ["to", "unit", "region", "name", "member"];

/// Ways to type where something is to go.
const TARGETS: [&str; 3] = ["--to", "--region", "--target"];

/// Why a rejoin is asked for without a region.
pub(crate) const REJOIN_TAKES: &str = "it takes in every region that came back, and the writer stays where it is";

/// Where the names that a verb wants are found.
const LISTS: [(&str, &str, &str); 4] = [
    ("<RUN>", "pilotlight run list", "RUN"),
    ("<STEP>", "pilotlight run show RUN", "RUN STEP"),
    ("<NAME>", "pilotlight rescue list", "NAME"),
    ("<VERB>", "pilotlight status", "failover --to REGION"),
];

/// What other tools call what is a verb here.
const MEANT_VERBS: [(&str, &str); 6] = [
    ("plan", "pilotlight check"),
    ("validate", "pilotlight check"),
    ("lint", "pilotlight check"),
    ("dry-run", "pilotlight runbook show VERB"),
    ("start", "pilotlight serve"),
    ("controller", "pilotlight serve"),
];

/// The error for a person. `typed` is without the program's own name.
pub(crate) fn told(error: &clap::Error, typed: &[String]) -> CliError {
    let verb = Verb::of(typed);
    let hint = meant(error, &verb).unwrap_or_else(|| format!("see `{} --help`", verb.path));
    CliError::say(Exit::Usage, said(error)).code(code::COMMAND_LINE.as_str()).hint(hint)
}

/// What clap says, without its own heading and its own hints of the same, which know verbs that nobody is to type.
fn said(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let is_its_hint = |line: &str| line.trim_start().starts_with("tip:") || line.starts_with("For more information");
    let ours = |line: &&str| !line.trim().is_empty() && !is_its_hint(line);
    let lines: Vec<&str> = text.lines().filter(ours).map(|line| line.trim_start_matches("error: ")).collect();
    lines.join("\n")
}

fn meant(error: &clap::Error, verb: &Verb) -> Option<String> {
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let typed = word(error, ContextKind::InvalidArg)?;
            let alike = || word(error, ContextKind::SuggestedArg);
            verb.option_for(&typed).or_else(|| Some(format!("did you mean `{} {}`?", verb.path, alike()?)))
        }
        ErrorKind::InvalidSubcommand => {
            let typed = word(error, ContextKind::InvalidSubcommand)?;
            elsewhere(&typed).or_else(|| verb.inner_like(error))
        }
        ErrorKind::InvalidValue => {
            let alike = word(error, ContextKind::SuggestedValue)?;
            Some(format!("did you mean `{alike}`? see `{} --help`", verb.path))
        }
        ErrorKind::MissingRequiredArgument => verb.list_for(error),
        _ => None,
    }
}

fn word(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(word) => Some(word.clone()),
        ContextValue::Strings(words) => words.first().cloned(),
        _ => None,
    }
}

/// `pilotlight pause R`: the verb is there, but one level down.
fn elsewhere(word: &str) -> Option<String> {
    if word == "help" {
        return Some("did you mean `pilotlight --help`, or `pilotlight VERB --help`?".to_owned());
    }
    if let Some((_, meant)) = MEANT_VERBS.iter().find(|(name, _)| *name == word) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let all = Cli::command();
    let outer = all.get_subcommands().find(|outer| outer.find_subcommand(word).is_some())?;
    Some(format!("did you mean `pilotlight {} {word}`?", outer.get_name()))
}

/// The verb that was typed, as far as its words are known.
struct Verb {
    /// As it is typed.
    path: String,
    command: clap::Command,
}

impl Verb {
    fn of(typed: &[String]) -> Self {
        let mut verb = Verb { path: "pilotlight".to_owned(), command: Cli::command() };
        for word in typed {
            match verb.command.find_subcommand(word).cloned() {
                Some(inner) => verb.command = inner,
                None if verb.takes(word) => {}
                None => break,
            }
            verb.path = format!("{} {word}", verb.path);
        }
        verb
    }

    /// The verb that looks most like what was typed, of those that people type; clap names the likeliest last.
    fn inner_like(&self, error: &clap::Error) -> Option<String> {
        let alike: Vec<&str> = match error.get(ContextKind::SuggestedSubcommand)? {
            ContextValue::String(one) => vec![one],
            ContextValue::Strings(several) => several.iter().map(String::as_str).collect(),
            _ => return None,
        };
        let typed = |name: &&&str| self.command.find_subcommand(name).is_some_and(|inner| !inner.is_hide_set());
        let best = alike.iter().rev().find(typed)?;
        Some(format!("did you mean `{} {best}`?", self.path))
    }

    /// A word of its own that it knows, as the move that a runbook is shown of.
    fn takes(&self, word: &str) -> bool {
        self.command
            .get_positionals()
            .any(|arg| arg.get_possible_values().iter().any(|known| known.matches(word, false)))
    }

    fn has(&self, long: &str) -> bool {
        self.command.get_arguments().any(|arg| arg.get_long() == Some(long))
    }

    /// A word without its option, or under the option of another verb.
    fn option_for(&self, word: &str) -> Option<String> {
        let meant = |long: &str, word: &str| Some(format!("did you mean `{} --{long} {word}`?", self.path));
        if TARGETS.contains(&word) && self.has("to") {
            return meant("to", "REGION");
        }
        if self.command.get_name() == "rejoin" && (!word.starts_with('-') || TARGETS.contains(&word)) {
            return Some(format!("did you mean `{}`? {REJOIN_TAKES}", self.path));
        }
        if word.starts_with('-') {
            return None;
        }
        if parse_duration(word).is_some() && self.has("for") {
            return meant("for", word);
        }
        let is_plan = word.ends_with(".yaml") || word.ends_with(".yml");
        let options = if is_plan { &["plan"][..] } else { &MEANT };
        let long = options.iter().find(|long| self.has(long))?;
        meant(long, word)
    }

    /// A name was left out: where the names are.
    fn list_for(&self, error: &clap::Error) -> Option<String> {
        let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else { return None };
        let first = missing.first()?;
        let (_, list, names) = LISTS.iter().find(|(name, _, _)| name == first)?;
        // What follows the first is left out too.
        let rest = missing.iter().skip(1).map(|name| format!(" {}", name.trim_matches(['<', '>'])));
        Some(format!("see `{list}`, then type `{} {names}{}`", self.path, rest.collect::<String>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn hint(line: &str) -> String {
        let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let all = std::iter::once("pilotlight".to_owned()).chain(typed.iter().cloned());
        let error = Cli::try_parse_from(all).expect_err("it is not understood");
        let told = told(&error, &typed);
        assert_eq!(told.code.as_deref(), Some("PL-0870"));
        assert!(!told.cause.to_string().starts_with("error"), "{}", told.cause);
        told.hint.expect("there is always a hint")
    }

    #[test]
    fn a_word_without_its_option_is_told_with_it() {
        for (typed, meant) in [
            ("failover west", "`pilotlight failover --to west`"),
            ("switchover west --yes", "`pilotlight switchover --to west`"),
            ("failback home", "`pilotlight failback --to home`"),
            ("rejoin east", "`pilotlight rejoin`? it takes in every region"),
            ("rejoin --to east", "`pilotlight rejoin`? it takes in every region"),
            ("rejoin --to=east --yes", "`pilotlight rejoin`? it takes in every region"),
            ("rejoin --region east", "`pilotlight rejoin`? it takes in every region"),
            ("rejoin --from east", "see `pilotlight rejoin --help`"),
            ("failover --region west", "`pilotlight failover --to REGION`"),
            ("runbook show failover west", "`pilotlight runbook show failover --to west`"),
            ("acknowledge database", "`pilotlight acknowledge --unit database`"),
            ("agent east", "`pilotlight agent --region east`"),
            ("serve a", "`pilotlight serve --member a`"),
            ("observe third", "`pilotlight observe --name third`"),
            ("status plan.yaml", "`pilotlight status --plan plan.yaml`"),
            ("failover --dry-rn", "`pilotlight failover --dry-run`"),
            ("runbook show failover --format markdwn", "did you mean `markdown`?"),
            ("measure 5m", "`pilotlight measure --for 5m`"),
        ] {
            assert!(hint(typed).contains(meant), "{typed}: {}", hint(typed));
        }
    }

    #[test]
    fn a_name_that_was_left_out_is_told_with_where_names_are() {
        for (typed, list) in [
            ("run pause", "`pilotlight run list`, then type `pilotlight run pause RUN`"),
            ("run skip", "`pilotlight run list`, then type `pilotlight run skip RUN STEP`"),
            ("run approve", "`pilotlight run list`, then type `pilotlight run approve RUN STEP`"),
            ("run skip r1", "`pilotlight run show RUN`, then type `pilotlight run skip RUN STEP`"),
            ("rescue apply", "`pilotlight rescue list`"),
            ("runbook show", "`pilotlight runbook show failover --to REGION`"),
        ] {
            assert!(hint(typed).contains(list), "{typed}: {}", hint(typed));
        }
    }

    #[test]
    fn what_other_tools_call_a_verb_and_what_looks_like_one_lead_to_it() {
        for (typed, meant) in [
            ("plan", "did you mean `pilotlight check`?"),
            ("validate plan.yaml", "did you mean `pilotlight check`?"),
            ("dry-run failover", "did you mean `pilotlight runbook show VERB`?"),
            ("serv", "did you mean `pilotlight serve`?"),
            ("run lst", "did you mean `pilotlight run list`?"),
            ("faiover", "did you mean `pilotlight failover`?"),
        ] {
            assert_eq!(hint(typed), meant, "{typed}");
        }
    }

    #[test]
    fn no_verb_that_is_started_by_pilotlight_alone_is_offered() {
        let all = Cli::command();
        let hidden: Vec<&str> =
            all.get_subcommands().filter(|v| v.is_hide_set()).map(clap::Command::get_name).collect();
        assert!(hidden.contains(&"payments") && hidden.contains(&"gate"), "{hidden:?}");
        for typed in ["payment", "gat", "prox", "benc", "safty", "plan"] {
            let error = Cli::try_parse_from(["pilotlight", typed]).expect_err("it is not understood");
            let told = told(&error, &[typed.to_owned()]);
            let text = format!("{:#} {}", told.cause, told.hint.unwrap_or_default());
            let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
            assert!(!hidden.iter().any(|verb| words.contains(verb)), "{typed}: {text}");
        }
    }

    #[test]
    fn a_verb_is_found_one_level_down_and_help_is_offered_for_all_else() {
        assert_eq!(hint("pause r1"), "did you mean `pilotlight run pause`?");
        assert!(hint("help").contains("`pilotlight --help`"));
        assert_eq!(hint("demo --rate 0"), "see `pilotlight demo --help`");
        assert_eq!(hint("measure everything"), "see `pilotlight measure --help`");
    }
}
