//! The lines of `test_decoding`: PostgreSQL's own description of a change, as text.
//!
//! `table SCHEMA.TABLE: UPDATE: old-key: COLUMN[TYPE]:VALUE ... new-tuple: COLUMN[TYPE]:VALUE ...`; names are quoted as in
//! SQL, values are quoted unless they are numbers, `true`, `false`, `null` or `unchanged-toast-datum`.

use pilotlight_core::rescue::{Datum, Kind, Row};

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A transaction begins.
    Begin,
    /// It was committed; the time, as text.
    Commit(Option<String>),
    /// A row was changed.
    Change(RawChange),
    /// Tables were emptied: schema and name of each.
    Truncate(Vec<(String, String)>),
    /// Something that changes no row, such as a message.
    Other,
}

/// A change as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawChange {
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) kind: Kind,
    pub(super) old: Option<Row>,
    pub(super) new: Option<Row>,
}

/// Reads a line; `None` when it is not understood.
pub(super) fn read(text: &str) -> Option<Line> {
    if text.starts_with("BEGIN") {
        return Some(Line::Begin);
    }
    if let Some(rest) = text.strip_prefix("COMMIT") {
        let at = rest.split_once("(at ").and_then(|(_, at)| at.strip_suffix(')'));
        return Some(Line::Commit(at.map(str::to_owned)));
    }
    let Some(rest) = text.strip_prefix("table ") else { return Some(Line::Other) };
    let mut scan = Scan(rest);
    let mut tables = vec![scan.table()?];
    while scan.eat(", ") {
        tables.push(scan.table()?);
    }
    scan.eat(": ").then_some(())?;
    let (word, rest) = scan.0.split_once(':')?;
    let kind = match word {
        "INSERT" => Kind::Insert,
        "UPDATE" => Kind::Update,
        "DELETE" => Kind::Delete,
        "TRUNCATE" => return Some(Line::Truncate(tables)),
        _ => return None,
    };
    let (schema, table) = tables.into_iter().next()?;
    let mut scan = Scan(rest);
    let (mut old, mut new) = (None, None);
    if scan.eat(" (no-tuple-data)") {
        return Some(Line::Change(RawChange { schema, table, kind, old, new }));
    }
    if scan.eat(" old-key:") {
        old = Some(scan.row()?);
        scan.eat(" new-tuple:").then_some(())?;
    }
    let row = scan.row()?;
    if !scan.0.is_empty() {
        return None;
    }
    match kind {
        Kind::Delete => old = Some(row),
        _ => new = Some(row),
    }
    Some(Line::Change(RawChange { schema, table, kind, old, new }))
}

/// What is left to read.
struct Scan<'a>(&'a str);

impl Scan<'_> {
    fn eat(&mut self, word: &str) -> bool {
        let rest = self.0.strip_prefix(word);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn table(&mut self) -> Option<(String, String)> {
        let schema = self.name()?;
        self.eat(".").then_some(())?;
        Some((schema, self.name()?))
    }

    /// An identifier, quoted where SQL needs it.
    fn name(&mut self) -> Option<String> {
        if self.0.starts_with('"') {
            return self.quoted('"');
        }
        let end = self.0.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at(end);
        self.0 = rest;
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Text in quotes, a quote inside being doubled.
    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        let mut chars = self.0.char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != quote {
                text.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
                text.push(quote);
            } else {
                self.0 = &self.0[at + c.len_utf8()..];
                return Some(text);
            }
        }
        None
    }

    /// ` NAME[TYPE]:VALUE` as often as it comes.
    fn row(&mut self) -> Option<Row> {
        let mut row = Row::new();
        while self.0.starts_with(' ') && !self.0.starts_with(" new-tuple:") {
            self.eat(" ");
            let name = self.name()?;
            self.kind()?;
            self.eat(":").then_some(())?;
            let value = self.value()?;
            row.insert(name, value);
        }
        Some(row)
    }

    /// `[TYPE]`; the name of an array type has brackets itself.
    fn kind(&mut self) -> Option<()> {
        self.eat("[").then_some(())?;
        let mut depth = 1;
        let mut in_quotes = false;
        for (at, c) in self.0.char_indices() {
            match c {
                '"' => in_quotes = !in_quotes,
                '[' if !in_quotes => depth += 1,
                ']' if !in_quotes => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                self.0 = &self.0[at + 1..];
                return Some(());
            }
        }
        None
    }

    fn value(&mut self) -> Option<Datum> {
        // Bits are told as B'101'.
        self.eat("B").then_some(()).filter(|()| self.0.starts_with('\'')).unwrap_or_default();
        if self.0.starts_with('\'') {
            return self.quoted('\'').map(Datum::Text);
        }
        let end = self.0.find(' ').unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        match word {
            "" => None,
            "null" => Some(Datum::Null),
            "unchanged-toast-datum" => Some(Datum::Unchanged { unchanged: true }),
            word => Some(Datum::Text(word.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Datum {
        Datum::Text(value.to_owned())
    }

    fn change(line: &str) -> RawChange {
        match read(line) {
            Some(Line::Change(change)) => change,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_type_is_read_as_it_is_told() {
        let line = r#"table public.t: INSERT: id[integer]:1 v[text]:'it''s \ x' j[jsonb]:'{"a": [1, null]}' n[numeric]:-1.500 ts[timestamp with time zone]:'2025-12-31 22:00:00+00' b[bytea]:'\xdeadbeef' a[text[]]:'{a,"b c"}' o[boolean]:true bits[bit varying]:B'101' f[double precision]:NaN big[text]:null"#;
        let new = change(line).new.unwrap();
        for (name, expected) in [
            ("id", text("1")),
            ("v", text("it's \\ x")),
            ("j", text(r#"{"a": [1, null]}"#)),
            ("n", text("-1.500")),
            ("ts", text("2025-12-31 22:00:00+00")),
            ("b", text("\\xdeadbeef")),
            ("a", text(r#"{a,"b c"}"#)),
            ("o", text("true")),
            ("bits", text("101")),
            ("f", text("NaN")),
            ("big", Datum::Null),
        ] {
            assert_eq!(new[name], expected, "{name}");
        }
        assert_eq!(new.len(), 11);
    }

    #[test]
    fn names_that_need_quotes_keep_them_to_themselves() {
        let told = change(r#"table public."we ird": INSERT: "K y"[uuid]:'a0' "a""b"["my type"]:null"#);
        assert_eq!((told.schema.as_str(), told.table.as_str()), ("public", "we ird"));
        assert_eq!(told.new, Some(Row::from([("K y".to_owned(), text("a0")), ("a\"b".to_owned(), Datum::Null)])));
    }

    #[test]
    fn old_and_new_are_told_apart() {
        let moved = change(
            "table public.t: UPDATE: old-key: id[integer]:1 new-tuple: id[integer]:7 v[text]:'new-tuple:' big[text]:unchanged-toast-datum",
        );
        assert_eq!(moved.old, Some(Row::from([("id".to_owned(), text("1"))])));
        let new = moved.new.unwrap();
        assert_eq!((&new["id"], &new["v"]), (&text("7"), &text("new-tuple:")));
        assert_eq!(new["big"], Datum::Unchanged { unchanged: true });
        let gone = change("table public.t: DELETE: id[integer]:7");
        assert_eq!((gone.kind, gone.new, gone.old.unwrap().len()), (Kind::Delete, None, 1));
        let nothing = change("table public.nopk: DELETE: (no-tuple-data)");
        assert_eq!((nothing.old, nothing.new), (None, None));
    }

    #[test]
    fn what_is_no_change_of_a_row_is_told_too() {
        assert_eq!(read("BEGIN 730"), Some(Line::Begin));
        let at = Some("2026-11-26 07:20:53.656459+00".to_owned());
        assert_eq!(read("COMMIT 730 (at 2026-11-26 07:20:53.656459+00)"), Some(Line::Commit(at)));
        let tables = ["nopk", "fullid"].map(|t| ("public".to_owned(), t.to_owned())).to_vec();
        assert_eq!(read("table public.nopk, public.fullid: TRUNCATE: (no-flags)"), Some(Line::Truncate(tables)));
        assert_eq!(read("message: transactional: 1 prefix: test, sz: 3 content:abc"), Some(Line::Other));
        for broken in [
            "table public.t: INSERT: id[integer]",
            "table public.t: MERGE: id[integer]:1",
            "table t: INSERT:",
            "table public.t: INSERT: v[text]:'open",
        ] {
            assert_eq!(read(broken), None, "{broken}");
        }
    }
}
