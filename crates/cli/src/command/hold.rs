//! `pilotlight hold on|off`: a person keeps everything automatic from starting.
//!
//! A file on the disk of a controller holds that one and needs nobody's answer, so it works while every API is down. Then the
//! controller that leads is asked to hold all of them, by what they share.

use crate::args::HoldVerb;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use anyhow::Context;
use pilotlight_core::code;
use pilotlight_core::plan::Plan;
use pilotlight_server::api::view::{HoldReply, HoldRequest};
use pilotlight_server::hold;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The file works without an answer.
const PATIENCE: Duration = Duration::from_secs(6);

/// Writes or removes the file, and asks the leader to tell the others.
pub(crate) async fn run(verb: &HoldVerb) -> Result<ExitCode, CliError> {
    let (HoldVerb::On(crate::args::HoldArgs { member, .. }) | HoldVerb::Off(member)) = verb;
    let plan = connect::read_plan(&member.plan.plan)?;
    let file = plan.hold_file(connect::member(&plan, member.member.as_deref())?);
    let (done, why) = match verb {
        HoldVerb::On(args) => (on(&file, &args.why), Some(args.why.clone())),
        HoldVerb::Off(_) => (off(&file), None),
    };
    let on = why.is_some();
    let (asked, at) = (ask(&plan, why).await, plan.controller.urls().join(", "));
    match (done, &asked) {
        (Ok(said), _) => println!("{said}"),
        // A person's own machine, perhaps: the controllers' word counts.
        (Err(e), Ok(reply)) if on && reply.hold.is_some() => println!("{:#}", e.cause),
        (Err(e), _) => return Err(e),
    }
    let told = told(asked, on, plan.controller.members.len() > 1, &at);
    println!("{}", told.as_ref().unwrap_or_else(|but| but));
    // A script must not rely on a hold that counts only here.
    Ok(if told.is_ok() { ExitCode::SUCCESS } else { Exit::Failed.into() })
}

fn on(file: &Path, why: &str) -> Result<String, CliError> {
    let written = hold::write(file, &connect::whoami(), why);
    written.with_context(|| format!("cannot write {}", file.display())).map_err(|e| {
        CliError::new(Exit::Failed, e)
            .code(code::FILE_NOT_WRITTEN.as_str())
            .hint("nothing holds yet; run it on the controller's machine, with the rights of the controller")
    })?;
    Ok(format!("on: nothing starts by itself while {} is there; moves by hand work", file.display()))
}

fn off(file: &Path) -> Result<String, CliError> {
    let removed = hold::remove(file).with_context(|| format!("cannot remove {}", file.display()));
    let removed = removed
        .map_err(|e| CliError::new(Exit::Failed, e).code(code::FILE_NOT_WRITTEN.as_str()).hint("it still holds"))?;
    Ok(match removed {
        true => format!("off: {} is gone, what is automatic may start again", file.display()),
        false => format!("off already: there is no {}", file.display()),
    })
}

/// Asks the controller that leads, for all of them.
async fn ask(plan: &Plan, why: Option<String>) -> Result<HoldReply, String> {
    let (on, by) = (why.is_some(), connect::whoami());
    let request = HoldRequest { by, why: why.unwrap_or_default(), on };
    let asked = async {
        let operator = Operator::of(plan).map_err(|e| format!("{:#}", e.cause))?;
        operator.post::<HoldReply>("/v1/hold", &request).await.map_err(|e| format!("{:#}", e.cause))
    };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// What the leader's answer means, for people; an error where what was wished for does not count everywhere.
fn told(asked: Result<HoldReply, String>, on: bool, several: bool, at: &str) -> Result<String, String> {
    match asked {
        Ok(HoldReply { hold: Some(hold), .. }) if !on => {
            Err(format!("BUT the controller that leads is still held: {hold}"))
        }
        Ok(HoldReply { hold: None, .. }) if on => Err(format!("BUT the controller at {at} says that nothing holds it")),
        Ok(HoldReply { shared: true, .. }) => {
            Ok("the controllers share that: it counts for whichever leads".to_owned())
        }
        Ok(HoldReply { shared: false, .. }) => Ok(format!("the controller at {at} sees that")),
        Err(why) if several => Err(format!(
            "BUT the controllers cannot be asked ({why}): only one that sees this file {}; try again, or do the same on each of \
             their machines",
            if on { "is held" } else { "is let go" }
        )),
        Err(why) => Ok(format!("the controller at {at} cannot be asked ({why}); it looks at the file itself")),
    }
}
