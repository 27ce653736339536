//! `pilotlight acknowledge`: a person has seen the last automatic failover.

use crate::args::AcknowledgeArgs;
use crate::connect;
use crate::error::CliError;
use crate::operator::Operator;
use pilotlight_core::id::Unit;
use pilotlight_server::api::view::{AcknowledgeReply, AcknowledgeRequest};
use std::process::ExitCode;

/// Tells the controller; the next automatic failover need not wait for the cool-down.
pub(crate) async fn run(args: &AcknowledgeArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    let unit = connect::unit(&plan, args.unit.as_deref())?;
    let request = AcknowledgeRequest { by: connect::whoami(), raise_epoch: args.raise_epoch };
    // A controller from before this version answers nothing.
    let path = format!("/v1/units/{unit}/acknowledge");
    let reply: Option<AcknowledgeReply> = Operator::of(&plan)?.post(&path, &request).await?;
    if args.raise_epoch {
        println!("the store goes on from the newest epoch of {unit} that was seen");
    }
    println!("{}", told(reply.as_ref(), &unit));
    Ok(ExitCode::SUCCESS)
}

fn told(reply: Option<&AcknowledgeReply>, unit: &Unit) -> String {
    match reply {
        Some(AcknowledgeReply { was_open: false }) => {
            format!("there was nothing to acknowledge: no failover of {unit} bars the next automatic one")
        }
        _ => format!("acknowledged: the next automatic failover of {unit} need not wait for the cool-down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_there_is_not_said_to_be_acknowledged() {
        let told = |was_open: Option<bool>| {
            told(was_open.map(|was_open| AcknowledgeReply { was_open }).as_ref(), &Unit::new("shop"))
        };
        assert!(told(Some(false)).starts_with("there was nothing to acknowledge: no failover of shop"));
        for open in [Some(true), None] {
            assert!(told(open).starts_with("acknowledged: the next automatic failover of shop"), "{open:?}");
        }
    }
}
