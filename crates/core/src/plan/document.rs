//! The text of a plan as a tree of nodes, each with its place.
//!
//! Border: YAML in, [`Node`]s out; what the keys mean is not known here. Works on the parser's events because the ready
//! trees of the crate drop duplicate keys and expand aliases without a bound.
//!
//! Invariant: whatever the text, this ends quickly, in bounded memory, with a tree or exactly one fault.

use super::fault::{At, Collector, Spot};
use crate::code;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use std::collections::BTreeMap;

/// Bytes of text. The largest plan of a person is a few dozen KiB; this leaves room for generated ones.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// Lists and maps within each other. The deepest legal key path has seven.
const MAX_DEPTH: usize = 32;
/// Nodes after every alias is replaced by what it stands for.
const MAX_NODES: usize = 20_000;

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) spot: Spot,
    pub(super) data: Data,
}

/// What a value is made of.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// Nothing stands there, or `~` or `null`.
    Nothing,
    /// Text as written.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the text; a key may stand there more than once.
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) spot: Spot,
}

impl Node {
    fn size(&self) -> usize {
        1 + match &self.data {
            Data::Nothing | Data::Scalar(_) => 0,
            Data::List(items) => items.iter().map(Node::size).sum(),
            Data::Map(entries) => entries.iter().map(|(_, n)| n.size()).sum(),
        }
    }
}

/// The tree of the text; `None` after one fault was added.
pub(super) fn read(text: &str, out: &mut Collector<'_>) -> Option<Node> {
    if text.len() > MAX_BYTES {
        out.add(code::PLAN_TOO_LARGE, &document(1, 1), "the plan is larger than 1 MiB")
            .found(format!("{} bytes", text.len()))
            .allowed(format!("at most {MAX_BYTES} bytes"));
        return None;
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = control_character(text) {
        out.add(code::PLAN_NOT_YAML, &at, "the plan holds a control character; it is not a text file")
            .allowed("text in UTF-8")
            .hint("Look whether the path names the plan and not some other file.");
        return None;
    }
    match Builder::default().build(text) {
        Ok(Some(node)) => Some(node),
        Ok(None) => {
            out.add(code::PLAN_NOT_ONE_MAP, &document(1, 1), "the plan is empty")
                .found("nothing")
                .allowed("a map with the keys of a plan")
                .hint("`pilotlight init` writes a plan with comments to start from.");
            None
        }
        Err(stop) => {
            stop.report(text, out);
            None
        }
    }
}

fn document(line: usize, column: usize) -> At {
    At { path: String::new(), spot: Spot { line, column, width: 1 } }
}

/// The first character that no text editor writes. A lone carriage return is one: YAML takes it as the end of a line,
/// editors do not, and every place after it would be wrong.
fn control_character(text: &str) -> Option<At> {
    let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\u{85}');
    let (i, line) = text.lines().enumerate().find(|(_, l)| l.contains(bad))?;
    let column = line.chars().position(bad).unwrap_or(0);
    Some(document(i + 1, column + 1))
}

/// Why there is no tree.
enum Stop {
    NotYaml(ScanError),
    TooDeep(Spot),
    TooMany(Spot),
    Circle(Spot),
    SecondDocument(Spot),
    ComplexKey(Spot),
    Tag(Spot, String),
}

impl Stop {
    fn report(self, text: &str, out: &mut Collector<'_>) {
        let at = |spot| At { path: String::new(), spot };
        match self {
            Stop::NotYaml(e) => not_yaml(&e, text, out),
            Stop::TooDeep(s) => {
                out.add(code::PLAN_TOO_LARGE, &at(s), "lists and maps are nested too deeply")
                    .allowed(format!("at most {MAX_DEPTH} levels"));
            }
            Stop::TooMany(s) => {
                out.add(code::PLAN_TOO_LARGE, &at(s), "the plan has too many values once its aliases are filled in")
                    .allowed(format!("at most {MAX_NODES} values"));
            }
            Stop::Circle(s) => {
                out.add(code::PLAN_TOO_LARGE, &at(s), "this alias stands inside what it stands for")
                    .found("an alias that leads to itself")
                    .allowed("an alias of something that is complete before it");
            }
            Stop::SecondDocument(s) => {
                out.add(code::PLAN_NOT_ONE_MAP, &at(s), "a second document starts here; a plan is one document")
                    .found("a second document")
                    .allowed("one document")
                    .hint("Remove the line `---`, or put the other document into a file of its own.");
            }
            Stop::ComplexKey(s) => {
                out.add(code::PLAN_WRONG_TYPE, &at(s), "a key must be text, not a list or a map")
                    .found("a list or a map as a key")
                    .allowed("a key that is text");
            }
            Stop::Tag(s, tag) => {
                out.add(
                    code::PLAN_WRONG_TYPE,
                    &at(s),
                    format!("the tag `{tag}` is not understood; plans have no tags"),
                )
                .found(tag)
                .allowed("a value without a tag")
                .hint("Remove the tag; the key already says what kind of value it takes.");
            }
        }
    }
}

/// The scanner has a bound of its own, because it looks ahead of the events.
fn stopped(e: ScanError) -> Stop {
    if e.info().contains("recursion limit") {
        Stop::TooDeep(Spot { line: e.marker().line().max(1), column: e.marker().col() + 1, width: 1 })
    } else {
        Stop::NotYaml(e)
    }
}

fn not_yaml(e: &ScanError, text: &str, out: &mut Collector<'_>) {
    let (line, column) = (e.marker().line().max(1), e.marker().col() + 1);
    // A tab in the indentation is the commonest cause and YAML's own words for it name everything but the tab.
    let tab = (line.saturating_sub(1)..=line).filter_map(|n| Some((n, text.lines().nth(n.checked_sub(1)?)?))).find_map(
        |(n, l)| {
            let indent = l.len() - l.trim_start().len();
            l.get(..indent)?.chars().position(|c| c == '\t').map(|p| (n, p + 1))
        },
    );
    if let Some((line, column)) = tab {
        out.add(
            code::PLAN_NOT_YAML,
            &document(line, column),
            "this line is indented with a tab; YAML takes only spaces",
        )
        .found("a tab")
        .allowed("spaces")
        .hint("Replace the tab by spaces.");
        return;
    }
    out.add(code::PLAN_NOT_YAML, &document(line, column), format!("this is not YAML: {}", e.info()))
        .found(e.info())
        .allowed("a YAML document")
        .hint("Look at this line and the one above it: indentation, a missing colon, an open quote or bracket.");
}

enum Frame {
    List { anchor: usize, spot: Spot, items: Vec<Node> },
    Map { anchor: usize, spot: Spot, entries: Vec<(Key, Node)>, key: Option<Key> },
}

#[derive(Default)]
struct Builder {
    stack: Vec<Frame>,
    done: BTreeMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

impl Builder {
    fn build(mut self, text: &str) -> Result<Option<Node>, Stop> {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(stopped)?;
            let ended = matches!(event, Event::StreamEnd);
            self.event(event, span)?;
            if ended {
                break;
            }
        }
        Ok(self.root)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let spot = spot(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Stop::SecondDocument(spot));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref(), spot)?;
                let nothing =
                    style == ScalarStyle::Plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let data = if nothing { Data::Nothing } else { Data::Scalar(text.into_owned()) };
                self.put(anchor, Node { spot, data })?;
            }
            Event::Alias(id) => {
                let node = self.done.get(&id).ok_or(Stop::Circle(spot))?;
                self.nodes += node.size();
                if self.nodes > MAX_NODES {
                    return Err(Stop::TooMany(spot));
                }
                let node = node.clone();
                self.put(0, node)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), spot)?;
                self.open(Frame::List { anchor, spot, items: Vec::new() }, spot)?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), spot)?;
                self.open(Frame::Map { anchor, spot, entries: Vec::new(), key: None }, spot)?;
            }
            Event::SequenceEnd | Event::MappingEnd => match self.stack.pop() {
                Some(Frame::List { anchor, spot, items }) => {
                    self.put(anchor, Node { spot, data: Data::List(items) })?;
                }
                Some(Frame::Map { anchor, spot, entries, .. }) => {
                    self.put(anchor, Node { spot, data: Data::Map(entries) })?;
                }
                None => {}
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, frame: Frame, spot: Spot) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Stop::TooDeep(spot));
        }
        self.stack.push(frame);
        Ok(())
    }

    fn put(&mut self, anchor: usize, node: Node) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Stop::TooMany(node.spot));
        }
        if anchor != 0 {
            self.done.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => self.root = Some(node),
            Some(Frame::List { items, .. }) => items.push(node),
            Some(Frame::Map { entries, key, .. }) => match key.take() {
                Some(k) => entries.push((k, node)),
                None => {
                    let text = match node.data {
                        Data::Scalar(text) => text,
                        Data::Nothing => String::new(),
                        Data::List(_) | Data::Map(_) => return Err(Stop::ComplexKey(node.spot)),
                    };
                    *key = Some(Key { text, spot: node.spot });
                }
            },
        }
        Ok(())
    }
}

fn refuse_tag(tag: Option<&saphyr_parser::Tag>, spot: Spot) -> Result<(), Stop> {
    tag.map_or(Ok(()), |t| Err(Stop::Tag(spot, t.to_string())))
}

fn spot(span: Span) -> Spot {
    let width = if span.start.line() == span.end.line() { span.end.col().saturating_sub(span.start.col()) } else { 1 };
    Spot { line: span.start.line().max(1), column: span.start.col() + 1, width: width.max(1) }
}
