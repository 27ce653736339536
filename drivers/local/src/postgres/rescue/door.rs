//! Whether `pg_hba.conf` would let the role of a rescue in, tried before the loss: from here, at each copy that may be the writer
//! by then.
//!
//! The role is not there until then and need not be. A server chooses its rule by the name before it looks for the role, and
//! where the rule asks for a password it plays the exchange to its end for a role that it does not know. So a login
//! with a password that nobody has tells what the rule is. The file could be read instead (`pg_hba_file_rules`), but that is not
//! what the server has loaded, nor does it say from which address we come.
//!
//! Border: it tries and tells; the role itself is made by `role`. Each try leaves one line in the log of that server.

use super::super::PostgresDriver;
use super::super::session::Knock;
use super::super::upstream;
use super::role::{LET_IN, ROLE};
use pilotlight_core::code;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};

/// Nobody has it: the password of the role is made when the role is.
const NOBODYS: &str = "pilotlight asks whether this role would be let in";

impl PostgresDriver {
    /// Copies that would not let the role in, and those where it could not be tried.
    pub(in super::super) async fn of_doors(&self, effect: &Effect) -> Vec<Finding> {
        let concerned = matches!(effect, Effect::Rejoin { .. } | Effect::Promote { .. } | Effect::Fence { .. });
        if !concerned || !self.plan.rescue.rows {
            return Vec::new();
        }
        let mut found = Vec::new();
        for region in self.plan.regions.keys().filter(|r| **r != self.region) {
            found.extend(self.try_door(region).await);
        }
        found
    }

    async fn try_door(&self, region: &Region) -> Option<Finding> {
        let server = self.peer(region).ok()?;
        let mut config = upstream::config(&self.plan, &server.host, server.port, None);
        config.user(ROLE).password(NOBODYS);
        let (there, here) = (format!("{} in {region}", self.component), &self.region);
        let (severity, message, hint) = match self.away(config).knock().await {
            Knock::LetIn => return None,
            Knock::Refused(why) => {
                let message = format!(
                    "{there} would not let the role {ROLE} in from {here}, lost rows could not be compared: {why}"
                );
                (Severity::Warning, message, LET_IN)
            }
            Knock::Untold(why) => {
                let message = format!("whether {there} lets the role {ROLE} in from {here} could not be tried: {why}");
                (Severity::Note, message, "ask again when that server answers and has connections left")
            }
        };
        Some(Finding { code: code::RESCUE_ROLE.to_string(), severity, message, hint: hint.to_owned() })
    }
}
