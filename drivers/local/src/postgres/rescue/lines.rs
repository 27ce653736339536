//! Lines of JSON whose texts may be as long as a row of a database: read piece by piece, long texts cut on the way, so that
//! memory is bounded by what is told and not by what is in the file.
//!
//! Border: letters and brackets; what the values mean is not known here.
//!
//! Invariant: what was cut is named with its whole length; a line is never dropped because it is long.

use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

/// One value of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// JSON, texts cut.
    pub(super) text: Vec<u8>,
    /// Names whose text was cut, with its whole length in bytes.
    pub(super) cut: BTreeMap<String, u64>,
}

impl Line {
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.text)
    }

    /// The same in so many bytes, as far as cutting texts further can bring it there.
    pub(super) fn within(mut self, most: usize) -> Line {
        for each in [1_024, 64] {
            if self.text.len() <= most {
                break;
            }
            let mut shorter = Shortener::new(each);
            shorter.take(&self.text);
            let mut line = shorter.line;
            line.cut.extend(self.cut);
            self = line;
        }
        self
    }
}

/// See the module.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    most: usize,
}

impl Lines {
    /// Texts longer than `most` bytes are cut.
    pub(super) fn new(file: Box<dyn Read + Send>, most: usize) -> Lines {
        Lines { reader: BufReader::new(file), most }
    }

    /// The next line; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        let mut shortener = Shortener::new(self.most);
        let found = self.each_piece(|piece| shortener.take(piece))?;
        Ok(found.then_some(shortener.line))
    }

    /// Passes over a line.
    pub(super) fn skip(&mut self) -> io::Result<bool> {
        self.each_piece(|_| {})
    }

    /// The pieces of one line, without its end. A line break inside a text is escaped.
    fn each_piece(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        let mut found = false;
        loop {
            let piece = match self.reader.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if piece.is_empty() {
                return Ok(found);
            }
            found = true;
            let end = piece.iter().position(|b| *b == b'\n');
            take(&piece[..end.unwrap_or(piece.len())]);
            let used = end.map_or(piece.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

/// Walks through the letters of one value.
struct Shortener {
    most: usize,
    line: Line,
    /// The name that was met last, for each bracket that is open.
    names: Vec<String>,
    /// The text that is read, or was read last: what is kept of it, its whole length.
    kept: Vec<u8>,
    length: u64,
    within: bool,
    cutting: bool,
    /// Letters of an escape that are still to come.
    escape: u8,
}

impl Shortener {
    fn new(most: usize) -> Shortener {
        Shortener {
            most,
            line: Line::default(),
            names: Vec::new(),
            kept: Vec::new(),
            length: 0,
            within: false,
            cutting: false,
            escape: 0,
        }
    }

    fn take(&mut self, piece: &[u8]) {
        for byte in piece {
            if self.within { self.letter(*byte) } else { self.outside(*byte) }
        }
    }

    fn outside(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.kept.clear();
                (self.length, self.within, self.cutting, self.escape) = (0, true, false, 0);
            }
            b'{' | b'[' => self.names.push(String::new()),
            b'}' | b']' => drop(self.names.pop()),
            b':' => {
                let name = String::from_utf8_lossy(&self.kept).into_owned();
                if let Some(last) = self.names.last_mut() {
                    *last = name;
                }
            }
            _ => {}
        }
        self.line.text.push(byte);
    }

    fn letter(&mut self, byte: u8) {
        let inside_escape = self.escape > 0;
        if inside_escape {
            // `\u` is followed by four more.
            self.escape = if self.escape == ESCAPE && byte == b'u' { 4 } else { self.escape_left() };
        } else if byte == b'"' {
            return self.end();
        } else {
            // A text is cut before a letter, never inside one.
            let begins = byte & 0xC0 != 0x80;
            self.cutting |= begins && self.kept.len() >= self.most;
            self.length += 1;
            self.escape = if byte == b'\\' { ESCAPE } else { 0 };
        }
        if !self.cutting {
            self.kept.push(byte);
            self.line.text.push(byte);
        }
    }

    fn escape_left(&self) -> u8 {
        if self.escape == ESCAPE { 0 } else { self.escape - 1 }
    }

    fn end(&mut self) {
        self.within = false;
        self.line.text.push(b'"');
        if self.cutting {
            let name = self.names.last().cloned().unwrap_or_default();
            let longest = self.line.cut.entry(name).or_default();
            *longest = self.length.max(*longest);
        }
    }
}

/// A backslash was read, and what it escapes was not.
const ESCAPE: u8 = u8::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Gives one byte at a time, so that every border of a piece is met.
    struct Slow(io::Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let one = to.len().min(1);
            self.0.read(&mut to[..one])
        }
    }

    fn lines(values: &[Value], most: usize) -> Vec<(Value, BTreeMap<String, u64>)> {
        let text: String = values.iter().map(|v| format!("{v}\n")).collect();
        let mut lines = Lines::new(Box::new(Slow(io::Cursor::new(text.into_bytes()))), most);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            all.push((line.read().unwrap(), line.cut));
        }
        all
    }

    #[test]
    fn short_lines_are_told_as_they_are() {
        let values = [
            json!({"a": "x\n\"\\ü\u{1}", "new": {"v": null, "n": ["1", 2, {"deep": "y"}]}}),
            json!("alone"),
            json!(null),
            json!({"a:{\"": "}"}),
        ];
        let expected: Vec<_> = values.iter().map(|v| (v.clone(), BTreeMap::new())).collect();
        assert_eq!(lines(&values, 64), expected);
    }

    #[test]
    fn a_long_text_is_cut_between_letters_and_named_with_its_length() {
        let long = "\u{1}\"ü".repeat(1_000);
        let value = json!({"table": "t", "key": {"id": "1"}, "new": {"id": "1", "v": long, "w": "ok"}});
        for most in 8..48 {
            let told = lines(&[value.clone(), json!({"after": "it"})], most);
            let (first, cut) = &told[0];
            assert_eq!(cut, &BTreeMap::from([("v".to_owned(), long.len() as u64)]), "{most}");
            let kept = first["new"]["v"].as_str().unwrap();
            assert!(long.starts_with(kept) && kept.len() <= most + 6 && !kept.is_empty(), "{most}: {kept:?}");
            assert_eq!((&first["new"]["w"], &first["key"]["id"]), (&json!("ok"), &json!("1")));
            assert_eq!(told[1].0, json!({"after": "it"}), "the next line is found");
        }
    }

    #[test]
    fn many_long_texts_fit_once_each_is_shorter() {
        let row: serde_json::Map<String, Value> =
            (0..100).map(|n| (format!("c{n}"), json!("x".repeat(5_000)))).collect();
        let text = Value::Object(row).to_string();
        let line = Lines::new(Box::new(io::Cursor::new(text.into_bytes())), 2_000).next().unwrap().unwrap();
        assert!(line.text.len() > 200_000);
        let line = line.within(150_000);
        assert!(line.text.len() <= 150_000 && line.text.len() > 100_000, "{}", line.text.len());
        assert!(line.cut.len() == 100 && line.cut.values().all(|n| *n == 5_000), "{:?}", line.cut);
        let value: Value = line.read().unwrap();
        assert_eq!(value["c99"].as_str().map(str::len), Some(1_024));
    }
}
