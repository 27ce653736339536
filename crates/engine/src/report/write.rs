//! Puts a report on disk: each file appears whole or not at all.

use super::{Objectives, Report, page};
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
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
        replace(&paths.json, &json)?;
        replace(&paths.html, &page(self))?;
        Ok(paths)
    }
}

/// Writes beside the target and renames, so that a full disk or a crash leaves the old file.
fn replace(path: &Path, text: &str) -> Result<(), WriteError> {
    let beside = path.with_extension(format!("part-{}", std::process::id()));
    let written = write_whole(&beside, text).and_then(|()| std::fs::rename(&beside, path));
    written.map_err(|cause| {
        // The half-written file is of no use; that it cannot be removed either adds nothing to the message.
        let _ = std::fs::remove_file(&beside);
        WriteError { path: path.to_owned(), cause }
    })
}

fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
