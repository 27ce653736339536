//! Puts a report on disk: each file appears whole or not at all.

use super::{Objectives, Report, page};
use pilotlight_driver::file::replace;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};

/// Where the report lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// For machines.
    pub json: PathBuf,
    /// For people.
    pub html: PathBuf,
}

/// The report could not be put on disk; what was there before is still there.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// The report for machines, which need not work out what became of the promises.
#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    report: &'a Report,
    objectives: Objectives,
}

impl Report {
    /// Writes `report.json` and `report.html` into `folder`, which is made if it is missing. Blocks on the disk.
    pub fn write(&self, folder: &Path) -> Result<Paths, WriteError> {
        std::fs::create_dir_all(folder).map_err(|cause| WriteError { path: folder.to_owned(), cause })?;
        let paths = Paths { json: folder.join("report.json"), html: folder.join("report.html") };
        let document = Document { report: self, objectives: self.objectives() };
        let mut json =
            serde_json::to_string_pretty(&document).expect("a report has only string keys and plain numbers");
        json.push('\n');
        put(&paths.json, &json)?;
        put(&paths.html, &page(self))?;
        Ok(paths)
    }
}

fn put(path: &Path, text: &str) -> Result<(), WriteError> {
    replace(path, text.as_bytes()).map_err(|cause| WriteError { path: path.to_owned(), cause })
}
