//! What is wrong with a plan, where, and what would be right.
//!
//! Border: data and its one-line text. How it is drawn with the source line is the command line's business.

use crate::code::Code;
use serde::Serialize;
use std::fmt;

/// A place in the text of a plan, in lines and characters counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters to underline, at least 1.
    pub(super) width: usize,
}

/// A value's place and its key path.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) path: String,
    pub(super) spot: Spot,
}

/// One fault of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Which kind of fault; `explain` has its page.
    pub code: Code,
    /// The plan's file as the caller named it.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// `components.database.regions.east.port`; empty for the document as a whole.
    pub key_path: String,
    /// What stands there.
    pub found: String,
    /// What may stand there.
    pub allowed: String,
    /// The legal name nearest to what was found.
    pub nearest: Option<String>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it; may be empty.
    pub hint: String,
}

impl Fault {
    pub(super) fn nearest_of<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> &mut Self {
        self.nearest = nearest(&self.found, names);
        self
    }

    pub(super) fn found(&mut self, text: impl Into<String>) -> &mut Self {
        self.found = text.into();
        self
    }

    pub(super) fn allowed(&mut self, text: impl Into<String>) -> &mut Self {
        self.allowed = text.into();
        self
    }

    pub(super) fn hint(&mut self, text: impl Into<String>) -> &mut Self {
        self.hint = text.into();
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {} {}", self.file, self.line, self.column, self.code, self.message)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean `{nearest}`?")?;
        }
        Ok(())
    }
}

/// Every fault of a plan, in the order of the text; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Faults that are told. A file with more is no plan with slips in it, and their number could grow with its square.
const MOST: usize = 1_000;

/// Collects faults while a plan is read.
pub(super) struct Collector<'a> {
    file: &'a str,
    faults: Vec<Fault>,
    /// Takes the place of each fault beyond the bound.
    beyond: Option<Fault>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self { file, faults: Vec::new(), beyond: None }
    }

    /// Adds a fault; the caller fills in what it knows.
    pub(super) fn add(&mut self, code: Code, at: &At, message: impl Into<String>) -> &mut Fault {
        let fault = Fault {
            code,
            file: self.file.to_owned(),
            line: at.spot.line,
            column: at.spot.column,
            width: at.spot.width,
            key_path: at.path.clone(),
            found: String::new(),
            allowed: String::new(),
            nearest: None,
            message: message.into(),
            hint: String::new(),
        };
        if self.faults.len() >= MOST {
            return self.beyond.insert(fault);
        }
        self.faults.push(fault);
        self.faults.last_mut().expect("one was pushed the line before")
    }

    /// Nothing was found so far.
    pub(super) fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }

    /// All that was collected, in the order of the text; `None` when there is none.
    pub(super) fn finish(mut self) -> Option<Faults> {
        self.faults.sort_by_key(|f| (f.line, f.column));
        if let Some(mut last) = self.beyond {
            last.code = crate::code::PLAN_TOO_LARGE;
            last.message = format!("there are more faults; only {MOST} are told");
            last.found = "more faults".to_owned();
            last.allowed = format!("at most {MOST} faults");
            (last.nearest, last.hint) =
                (None, "Look whether the path names the plan and not some other file.".to_owned());
            self.faults.push(last);
        }
        (!self.faults.is_empty()).then_some(Faults(self.faults))
    }
}

/// The name most like `found`, if one is near enough to be meant.
pub(super) fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let plain = found.to_lowercase().replace('-', "_");
    let (distance, name) = names
        .into_iter()
        .map(|n| (strsim::damerau_levenshtein(&plain, &n.to_lowercase().replace('-', "_")), n))
        .min_by_key(|(d, _)| *d)?;
    let near_enough = (name.chars().count().max(plain.chars().count()) / 3).max(1);
    (distance <= near_enough).then(|| name.to_owned())
}
