//! Who follows a writer over a network without TLS: rows and, where it is not sent as SCRAM, the password can be read on the way.

use super::super::PostgresDriver;
use super::super::session::column;
use super::{ASK_TIMEOUT, finding};
use pilotlight_core::code;
use pilotlight_core::outcome::{Finding, Severity};

/// Connections that replicate over a network. What stays on the machine is excused, and so is a gate, which stands beside the server.
const BARE: &str = "SELECT a.application_name AS name, host(a.client_addr) AS address FROM pg_stat_replication a \
    JOIN pg_stat_ssl s USING (pid) WHERE NOT s.ssl AND a.client_addr IS NOT NULL AND NOT a.client_addr <<= '127.0.0.0/8' \
    AND host(a.client_addr) <> '::1' AND a.application_name NOT LIKE 'pl\\_gate%' ORDER BY 1, 2";

impl PostgresDriver {
    pub(super) async fn of_wire(&self, here: &str) -> Option<Finding> {
        let rows = self.look.rows(BARE, ASK_TIMEOUT, true).await.ok()?;
        let pair =
            |row| format!("{} from {}", column(row, "name").unwrap_or("?"), column(row, "address").unwrap_or("?"));
        bare(here, &rows.iter().map(pair).collect::<Vec<_>>(), self.plan.tls.is_some())
    }
}

fn bare(here: &str, who: &[String], planned: bool) -> Option<Finding> {
    if who.is_empty() {
        return None;
    }
    let message = format!("{here} is followed without TLS: {}", who.join(", "));
    // Without `tls` in the plan it may be meant so: a private network or a tunnel hides it as well.
    let (severity, hint) = match planned {
        true => (
            Severity::Warning,
            "stop that copy's server once: its agent starts it, and it follows as the plan's `tls` says",
        ),
        false => {
            (Severity::Note, "give the component `tls`, unless all of that way is a tunnel or a network you trust")
        }
    };
    Some(finding(code::BARE_WIRE.as_str(), severity, message, hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_without_tls_is_a_matter_of_the_plan() {
        let who = ["db_west from 10.0.0.2".to_owned()];
        assert_eq!(bare("db in east", &[], true), None);
        let (meant, broken) = (bare("db in east", &who, false).unwrap(), bare("db in east", &who, true).unwrap());
        assert_eq!((meant.severity, broken.severity), (Severity::Note, Severity::Warning));
        assert_eq!(broken.message, "db in east is followed without TLS: db_west from 10.0.0.2");
        assert!(broken.hint.contains("its agent starts it") && meant.hint.contains("tunnel"));
    }
}
