//! Runs the binary in a folder of its own with nothing of the caller's environment but `PATH` and `HOME`.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary, ready for arguments.
pub(crate) fn pilotlight(folder: &Path) -> Command {
    bare(env!("CARGO_BIN_EXE_pilotlight"), folder)
}

/// A shell in the same surroundings; for what only a shell can arrange for the binary.
pub(crate) fn shell(folder: &Path) -> Command {
    bare("sh", folder)
}

fn bare(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    for kept in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command
}

/// Runs it to its end.
pub(crate) fn run(folder: &Path, words: &[&str]) -> Output {
    pilotlight(folder).args(words).output().expect("the binary runs")
}

/// Exit code, stdout, stderr.
pub(crate) fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
