//! What a plan may look like: one table of keys per section, in plain data.
//!
//! The reader, the JSON schema and the plan reference are all made from these tables, so none of them can say anything
//! else than the others.

use std::time::Duration;

/// What a value may be.
#[derive(Debug)]
pub(super) enum Shape {
    /// Any text that is not empty.
    Text,
    /// A name: `[a-z][a-z0-9-]*`, at most 63 characters.
    Name,
    /// One of the plan's regions.
    Region,
    /// A length of time.
    Duration { least: Duration },
    /// A whole number.
    Count { least: u64, most: u64 },
    /// A number of bytes such as `16MiB`.
    Size,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [Word]),
    /// One of these words, or a map with exactly one of these keys.
    ChoiceOr(&'static [Word], &'static [Key]),
    /// `ADDRESS:PORT` with a numeric address.
    Socket,
    /// `HOST:PORT`.
    HostPort,
    /// An IP address.
    Ip,
    /// An `http://` or `https://` URL without user and password.
    Url,
    /// A domain name without a final dot.
    Domain,
    /// A connection string of PostgreSQL without a password.
    Dsn,
    /// A path; relative paths start at the plan's folder.
    Path,
    /// `{env: NAME}` or `{file: PATH}`.
    Secret,
    /// A map with these keys.
    Record(&'static Section),
    /// A map with exactly one of these keys.
    OneOf(&'static [Key]),
    /// A map with the key `kind` that says which further keys there are.
    Kinds(&'static Kinds),
    /// A list.
    List { of: &'static Shape, least: usize },
    /// A map with regions as keys; every region must be there if `every`.
    PerRegion { of: &'static Shape, every: bool },
    /// A map with names of the user's choice as keys, at least one.
    PerName(&'static Shape),
    /// Environment variables: a map of text.
    Environment,
}

/// A word of a choice.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) word: &'static str,
    pub(super) doc: &'static str,
}

/// A map with fixed keys.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) doc: &'static str,
    pub(super) keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) need: Need,
    pub(super) shape: Shape,
    pub(super) doc: &'static str,
}

/// What holds when a key is not there.
#[derive(Debug)]
pub(super) enum Need {
    /// It must be there.
    Required,
    /// Nothing is assumed.
    Optional,
    /// This is assumed.
    Default(&'static str),
    /// What is assumed follows from other keys, said in words.
    Follows(&'static str),
}

/// Sections by the word in `kind`.
#[derive(Debug)]
pub(super) struct Kinds {
    /// Keys that every kind has.
    pub(super) shared: &'static [Key],
    /// The kinds.
    pub(super) variants: &'static [Variant],
}

/// One kind.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) word: &'static str,
    pub(super) section: &'static Section,
}

/// A key that must be there.
pub(super) const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, need: Need::Required, shape, doc }
}

/// A key that may be left out.
pub(super) const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, doc }
}

/// A key with a value of its own when it is left out.
pub(super) const fn default(name: &'static str, shape: Shape, value: &'static str, doc: &'static str) -> Key {
    Key { name, need: Need::Default(value), shape, doc }
}

/// A key that follows from others when it is left out.
pub(super) const fn follows(name: &'static str, shape: Shape, words: &'static str, doc: &'static str) -> Key {
    Key { name, need: Need::Follows(words), shape, doc }
}

/// A word of a choice.
pub(super) const fn word(word: &'static str, doc: &'static str) -> Word {
    Word { word, doc }
}

/// Any length of time.
pub(super) const TIME: Shape = Shape::Duration { least: Duration::ZERO };

/// A length of time of at least so many milliseconds.
pub(super) const fn at_least_ms(ms: u64) -> Shape {
    Shape::Duration { least: Duration::from_millis(ms) }
}

impl Shape {
    /// What is allowed, in words that follow "allowed:".
    pub(super) fn allowed(&self) -> String {
        match self {
            Shape::Text => "text".into(),
            Shape::Name => "a name of small letters, digits and hyphens that starts with a letter".into(),
            Shape::Region => "a region of the plan".into(),
            Shape::Duration { least } if least.is_zero() => "a length of time such as `250ms`, `3s` or `15m`".into(),
            Shape::Duration { least } => {
                format!("a length of time of at least {}", crate::time::show_duration(*least))
            }
            Shape::Count { least, most: u64::MAX } => format!("a whole number of at least {least}"),
            Shape::Count { least, most } => format!("a whole number from {least} to {most}"),
            Shape::Size => "a number of bytes such as `16MiB`".into(),
            Shape::Flag => "`true` or `false`".into(),
            Shape::Choice(words) => one_of(words.iter().map(|w| w.word)),
            Shape::ChoiceOr(words, keys) => {
                format!(
                    "{}, or a map with {}",
                    one_of(words.iter().map(|w| w.word)),
                    one_of(keys.iter().map(|k| k.name))
                )
            }
            Shape::Socket => "`ADDRESS:PORT` such as `127.0.0.1:7400` or `[::1]:7400`".into(),
            Shape::HostPort => "`HOST:PORT`".into(),
            Shape::Ip => "an IP address".into(),
            Shape::Url => "a URL that starts with `http://` or `https://`".into(),
            Shape::Domain => "a domain name such as `pay.example.com`".into(),
            Shape::Dsn => "a connection string such as `host=127.0.0.1 port=5433 dbname=postgres user=postgres`".into(),
            Shape::Path => "a path".into(),
            Shape::Secret => "`{env: NAME}` or `{file: PATH}`".into(),
            Shape::Record(section) => format!("a map with the keys {}", names(section.keys)),
            Shape::OneOf(keys) => format!("a map with one of the keys {}", names(keys)),
            Shape::Kinds(_) => "a map with the key `kind`".into(),
            Shape::List { of, least: 0 } => format!("a list, each entry {}", of.allowed()),
            Shape::List { of, least } => format!("a list of at least {least}, each entry {}", of.allowed()),
            Shape::PerRegion { .. } => "a map with regions as keys".into(),
            Shape::PerName(_) => "a map with names as keys".into(),
            Shape::Environment => "a map of variable names to text".into(),
        }
    }
}

/// `` `a`, `b` ``: the names of keys.
pub(super) fn names(keys: &[Key]) -> String {
    let quoted: Vec<String> = keys.iter().map(|k| format!("`{}`", k.name)).collect();
    quoted.join(", ")
}

/// `` `a`, `b` or `c` ``.
pub(super) fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = words.map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}
