//! What `check --json` prints. These types are its contract; the core's may change without them.

use super::CheckError;
use pilotlight_core::plan::{Plan, meaning};
use pilotlight_core::verdict::{Foresight, foresee};
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

#[derive(Serialize)]
struct CheckView {
    plan: String,
    ok: bool,
    faults: Vec<FaultView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<MeaningView>,
}

#[derive(Serialize)]
struct FaultView {
    code: &'static str,
    file: String,
    /// Counted from 1; 0 when the file could not be read.
    line: usize,
    column: usize,
    key_path: String,
    message: String,
    found: String,
    allowed: String,
    nearest: Option<String>,
    hint: String,
}

#[derive(Serialize)]
struct MeaningView {
    application: String,
    regions: Vec<String>,
    home: String,
    rto_ms: u64,
    rpo_ms: u64,
    objectives: Vec<String>,
    policy: Vec<String>,
    components: Vec<String>,
    starts: Vec<String>,
    holds: Vec<String>,
    guarantee: String,
    unproven: Vec<String>,
}

pub(super) fn write(path: &Path, checked: &Result<Plan, CheckError>, out: &mut dyn Write) -> io::Result<()> {
    let view = CheckView {
        plan: path.display().to_string(),
        ok: checked.is_ok(),
        faults: checked.as_ref().err().map(faults).unwrap_or_default(),
        meaning: checked.as_ref().ok().map(words),
    };
    serde_json::to_writer_pretty(&mut *out, &view)?;
    writeln!(out)
}

fn faults(error: &CheckError) -> Vec<FaultView> {
    match error {
        CheckError::Unreadable { path, cause } => vec![FaultView {
            code: error.code().as_str(),
            file: path.display().to_string(),
            line: 0,
            column: 0,
            key_path: String::new(),
            message: format!("{error}: {cause}"),
            found: String::new(),
            allowed: "a file that can be read".to_owned(),
            nearest: None,
            hint: "Name another file, or write a first one with `pilotlight init`.".to_owned(),
        }],
        CheckError::Faulty { faults, .. } => faults
            .iter()
            .cloned()
            .map(|f| FaultView {
                code: f.code.as_str(),
                file: f.file,
                line: f.line,
                column: f.column,
                key_path: f.key_path,
                message: f.message,
                found: f.found,
                allowed: f.allowed,
                nearest: f.nearest,
                hint: f.hint,
            })
            .collect(),
    }
}

fn words(plan: &Plan) -> MeaningView {
    let words = meaning(plan);
    let Foresight { starts, holds } = foresee(plan);
    let ms = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    MeaningView {
        application: plan.application.to_string(),
        regions: plan.regions.iter().map(ToString::to_string).collect(),
        home: plan.home.to_string(),
        rto_ms: ms(plan.objectives.rto),
        rpo_ms: ms(plan.objectives.rpo),
        objectives: words.objectives,
        policy: words.policy,
        components: words.components,
        starts,
        holds,
        guarantee: words.guarantee,
        unproven: words.unproven,
    }
}
