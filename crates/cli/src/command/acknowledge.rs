//! `pilotlight acknowledge`: a person has seen the last automatic failover.

use crate::args::AcknowledgeArgs;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::id::Unit;
use pilotlight_server::api::view::AcknowledgeRequest;
use std::process::ExitCode;

/// Tells the controller; the next automatic failover need not wait for the cool-down.
pub(crate) async fn run(args: &AcknowledgeArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    let units = plan.units();
    let unit = match (&args.unit, units.len()) {
        (Some(name), _) if units.iter().any(|unit| unit.as_str() == name) => Unit::new(name),
        (None, 1) => units.into_iter().next().cloned().unwrap_or_else(|| Unit::new(plan.application.as_str())),
        (name, _) => {
            let names: Vec<&str> = units.into_iter().map(Unit::as_str).collect();
            let what =
                name.as_ref().map_or("the plan has several units".to_owned(), |n| format!("the plan has no unit {n}"));
            return Err(CliError::say(Exit::Usage, what)
                .code(code::NO_SUCH_NAME.as_str())
                .hint(format!("name one with --unit: {}", names.join(", "))));
        }
    };
    let request = AcknowledgeRequest { by: connect::whoami(), raise_epoch: args.raise_epoch };
    Operator::of(&plan)?.post::<()>(&format!("/v1/units/{unit}/acknowledge"), &request).await?;
    if args.raise_epoch {
        println!("the store goes on from the newest epoch of {unit} that was seen");
    }
    println!("acknowledged: the next automatic failover of {unit} need not wait for the cool-down");
    Ok(ExitCode::SUCCESS)
}
