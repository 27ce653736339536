//! `pilotlight init`: writes a plan with comments to start from.
//!
//! Invariant: the file is there as a whole or not at all, and an existing one is replaced only when that was asked for.

use pilotlight_core::code::{self, Code};
use pilotlight_core::plan::SAMPLE;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Where the plan goes.
    pub(crate) plan: &'a Path,
    /// Replaces an existing file.
    pub(crate) force: bool,
}

/// Why no plan was written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InitError {
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The file system says no.
    #[error("cannot write {}", path.display())]
    NotWritten {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
}

impl InitError {
    /// Its page.
    pub(crate) fn code(&self) -> Code {
        match self {
            InitError::Exists(_) => code::FILE_EXISTS,
            InitError::NotWritten { .. } => code::FILE_NOT_WRITTEN,
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            InitError::Exists(_) => "choose another path, or replace it with --force",
            InitError::NotWritten { .. } => "look at the folder: is it there, may you write to it, is there room?",
        }
    }
}

/// Writes the plan and says what comes next.
pub(crate) fn run(request: &Request<'_>, out: &mut dyn Write) -> Result<(), InitError> {
    write(request.plan, SAMPLE, request.force)?;
    // The plan is written; a closed pipe must not make that look like a failure.
    let _ = writeln!(
        out,
        "wrote {0}\nnext: put your hosts and ports in, remove the examples payments and warm-cache, then  pilotlight check {0}",
        request.plan.display()
    );
    Ok(())
}

/// Puts a plan there as a whole.
pub(crate) fn write(path: &Path, text: &str, force: bool) -> Result<(), InitError> {
    let not_written = |cause| InitError::NotWritten { path: path.to_owned(), cause };
    // A dangling link counts as being there: writing through it would surprise whoever made it.
    if !force && path.symlink_metadata().is_ok() {
        return Err(InitError::Exists(path.to_owned()));
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".pilotlight-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(not_written)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(not_written)?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map(drop).map_err(|e| match e.error.kind() {
        io::ErrorKind::AlreadyExists => InitError::Exists(path.to_owned()),
        _ => not_written(e.error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::plan::Plan;
    use std::fs;

    fn init(plan: &Path, force: bool) -> Result<String, InitError> {
        let mut out = Vec::new();
        run(&Request { plan, force }, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn it_writes_a_plan_without_faults_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        let said = init(&path, false).unwrap();
        assert!(said.contains("pilotlight check"), "{said}");
        assert!(Plan::read(&fs::read_to_string(&path).unwrap(), "plan.yaml").is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_ne!(fs::metadata(&path).unwrap().permissions().mode() & 0o040, 0, "the group may read a plan");
    }

    #[test]
    fn it_replaces_a_file_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.yaml");
        fs::write(&path, "mine").unwrap();
        let error = init(&path, false).unwrap_err();
        assert_eq!(error.code(), code::FILE_EXISTS);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        init(&path, true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), SAMPLE);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = init(&folder.path().join("no/plan.yaml"), false).unwrap_err();
        assert_eq!(error.code(), code::FILE_NOT_WRITTEN);
        assert!(error.to_string().contains("no/plan.yaml"), "{error}");
    }
}
