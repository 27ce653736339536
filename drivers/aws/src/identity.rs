//! Who calls: the account of the credentials, against the account of the plan.

use crate::access::Access;
use crate::call::Call;
use crate::finding::{finding, not_asked};
use aws_sdk_sts::Client;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use std::time::Duration;

/// A look that takes longer is worth nothing.
const LOOK: Duration = Duration::from_secs(3);

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) arn: String,
}

impl Access {
    /// Whose credentials are used for a region: a finding when they are not those of the plan's account, or none.
    pub async fn identity(&self, region: &Region) -> Result<String, Finding> {
        let Caller { account, arn } = self.caller(region).await?;
        match self.account() {
            Some(wanted) if wanted != account => {
                let message = format!("the credentials for {region} are of account {account}, the plan names {wanted}");
                let hint = "use the role or profile of that account";
                Err(finding(code::AWS_WRONG_ACCOUNT, Severity::Blocker, message, hint))
            }
            _ => Ok(format!("{arn} in account {account}")),
        }
    }

    /// Whose credentials are used for a region.
    pub(crate) async fn caller(&self, region: &Region) -> Result<Caller, Finding> {
        let name = self.name(region);
        let no_keys = |message| finding(code::AWS_DENIED, Severity::Blocker, message, "are there credentials for AWS?");
        let config = self.config(region).await.map_err(|f| no_keys(f.message))?;
        let client = Client::new(&config);
        let call = Call { service: "sts", region: name, action: "GetCallerIdentity" };
        let answer = match self.read(call, LOOK, || client.get_caller_identity().send()).await {
            Ok(answer) => answer,
            Err(refused) => return Err(not_asked(refused.not_seen())),
        };
        Ok(Caller {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or("somebody").to_owned(),
        })
    }
}
