//! `pilotlight hold on|off`: the file by which a person keeps everything automatic from starting.
//!
//! It works on the disk and asks nobody, so it works while every API is down; afterwards it asks the controller whether it
//! sees the file, because a hold on the wrong machine holds nothing.

use crate::args::HoldVerb;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use anyhow::Context;
use pilotlight_core::code;
use pilotlight_core::plan::Plan;
use pilotlight_server::api::view::StatusView;
use pilotlight_server::hold;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The controller is only asked for a second opinion.
const PATIENCE: Duration = Duration::from_secs(3);

/// Writes or removes the file.
pub(crate) async fn run(verb: &HoldVerb) -> Result<ExitCode, CliError> {
    let (HoldVerb::On(crate::args::HoldArgs { member, .. }) | HoldVerb::Off(member)) = verb;
    let plan = connect::read_plan(&member.plan.plan)?;
    let file = plan.hold_file(connect::member(&plan, member.member.as_deref())?);
    match verb {
        HoldVerb::On(args) => {
            on(&file, &args.why)?;
            println!("on: nothing starts by itself while {} is there; moves by hand work", file.display());
        }
        HoldVerb::Off(_) => {
            if off(&file)? {
                println!("off: {} is gone, what is automatic may start again", file.display());
            } else {
                println!("off already: there is no {}", file.display());
            }
        }
    }
    println!("{}", second_opinion(&plan, matches!(verb, HoldVerb::On(_))).await);
    Ok(ExitCode::SUCCESS)
}

fn on(file: &Path, why: &str) -> Result<(), CliError> {
    let folder = file.parent().unwrap_or_else(|| Path::new("."));
    let beside = file.with_extension("new");
    let write = || {
        std::fs::create_dir_all(folder)?;
        std::fs::write(&beside, hold::text(&connect::whoami(), why))?;
        std::fs::rename(&beside, file)
    };
    write().with_context(|| format!("cannot write {}", file.display())).map_err(|e| {
        CliError::new(Exit::Failed, e)
            .code(code::FILE_NOT_WRITTEN.as_str())
            .hint("nothing holds yet; run it on the controller's machine, with the rights of the controller")
    })
}

/// Returns whether there was one.
fn off(file: &Path) -> Result<bool, CliError> {
    match std::fs::remove_file(file) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => {
            let cause = anyhow::Error::new(e).context(format!("cannot remove {}", file.display()));
            Err(CliError::new(Exit::Failed, cause).code(code::FILE_NOT_WRITTEN.as_str()).hint("it still holds"))
        }
    }
}

async fn second_opinion(plan: &Plan, wanted: bool) -> String {
    let asked = async {
        let operator = Operator::of(plan).ok()?;
        operator.get::<StatusView>("/v1/status").await.ok()
    };
    let at = plan.controller.urls().join(", ");
    match tokio::time::timeout(PATIENCE, asked).await.ok().flatten() {
        Some(status) if status.hold.is_some() == wanted && plan.controller.members.len() > 1 => {
            "the controller that leads sees that; do the same on the machine of every other".to_owned()
        }
        Some(status) if status.hold.is_some() == wanted => format!("the controller at {at} sees that"),
        Some(_) => {
            format!(
                "BUT the controller at {at} sees it otherwise: run this on the machine of the controller that leads"
            )
        }
        None => format!("the controller at {at} cannot be asked; it looks at the file itself"),
    }
}
