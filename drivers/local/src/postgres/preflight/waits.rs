//! What undermines the promise that a writer waits, and minor versions that do: of a running server.

use super::super::PostgresDriver;
use super::super::session::column;
use super::{ASK_TIMEOUT, Settings, ask, finding};
use pilotlight_core::outcome::{Finding, Severity};
use std::collections::BTreeMap;

/// One row per kind of trouble, with whom it is about; of the server what its files say. Values stand as they were given, in
/// any of the spellings that PostgreSQL takes.
const ASK: &str = "SELECT 'loose' AS name, string_agg(coalesce('role ' || r.rolname, 'every role') || ' in ' || \
    coalesce('database ' || d.datname, 'every database') || ': ' || c, '; ') AS who \
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole LEFT JOIN pg_database d ON d.oid = s.setdatabase, \
    unnest(s.setconfig) c WHERE lower(c) ~ '^synchronous_commit=(off|local|remote_write|false|no|0)$' \
    UNION ALL SELECT 'server', (SELECT lower(setting) FROM pg_file_settings WHERE lower(name) = 'synchronous_commit' AND applied \
    ORDER BY seqno DESC LIMIT 1) \
    UNION ALL SELECT 'counted', string_agg(DISTINCT application_name, ', ') FROM (SELECT application_name, sync_priority, \
    count(*) OVER (PARTITION BY application_name) AS times FROM pg_stat_replication) a \
    WHERE (times > 1 AND position('\"' || application_name || '\"' IN current_setting('synchronous_standby_names')) > 0) \
    OR (sync_priority > 0 AND application_name NOT LIKE 'pl\\_%')";

/// What was asked, by kind; absent where there is no trouble.
type Troubles = BTreeMap<String, String>;

/// Before these a server does not wait for anybody in the first moment after its start (release notes of May 2025).
const WAITS_FROM: [(u32, u32); 5] = [(13, 21), (14, 18), (15, 13), (16, 9), (17, 5)];

impl PostgresDriver {
    /// Sessions that do not wait, connections that count and should not.
    pub(super) async fn of_waits(&self, here: &str) -> Vec<Finding> {
        let Ok(rows) = self.look.rows(ASK, ASK_TIMEOUT, true).await else { return Vec::new() };
        let pair = |row| Some((column(row, "name")?.to_owned(), column(row, "who")?.to_owned()));
        let mut seen: Troubles = rows.iter().filter_map(pair).collect();
        // No view of ours has it: these sessions have set the value for themselves.
        let started = self.directory().options();
        let started = started.as_ref().and_then(|options| options.value("synchronous_commit"));
        seen.extend(started.map(|value| ("started".to_owned(), value.to_lowercase())));
        troubles(here, &seen)
    }

    /// Against each other copy that answers; a major version that differs has a finding of its own.
    pub(super) async fn of_versions(&self, here: &str, own: &Settings) -> Vec<Finding> {
        let mut found = Vec::new();
        let Some(ours) = version(own) else { return found };
        found.extend(self.confirmed.waits.then(|| old(here, ours)).flatten());
        for region in self.plan.regions.keys().filter(|r| **r != self.region) {
            let Ok(server) = self.peer(region) else { continue };
            let Ok(settings) = ask(&self.session_of(server)).await else { continue };
            let Some(theirs) = version(&settings) else { continue };
            let there = format!("{} in {region}", self.component);
            found.extend(self.confirmed.waits.then(|| old(&there, theirs)).flatten());
            found.extend(differ((here, ours), (&there, theirs)));
        }
        found
    }
}

/// Major and minor.
fn version(settings: &Settings) -> Option<(u32, u32)> {
    let number: u32 = settings.get("server_version_num")?.parse().ok()?;
    Some((number / 10_000, number % 10_000))
}

fn old(who: &str, (major, minor): (u32, u32)) -> Option<Finding> {
    let (_, from) = WAITS_FROM.into_iter().find(|(of, _)| *of == major)?;
    (minor < from).then(|| {
        let message =
            format!("{who} is version {major}.{minor}: in the first moment after a start it waits for nobody");
        finding("PL-0343", Severity::Warning, message, &format!("install {major}.{from} or newer"))
    })
}

fn differ((here, ours): (&str, (u32, u32)), (there, theirs): (&str, (u32, u32))) -> Option<Finding> {
    (ours.0 == theirs.0 && ours.1 != theirs.1).then(|| {
        let message = format!("{here} is version {}.{}, {there} is version {}.{}", ours.0, ours.1, theirs.0, theirs.1);
        let hint = "install the same minor version everywhere: after a move the other one's mistakes are yours";
        finding("PL-0342", Severity::Note, message, hint)
    })
}

fn troubles(here: &str, seen: &Troubles) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(who) = seen.get("loose") {
        let message = format!("{here} lets some sessions acknowledge what need not be on the candidate's disk ({who})");
        let hint = "ALTER ROLE or ALTER DATABASE ... RESET synchronous_commit; `connection_fence` bounds it, but not for remote_write";
        found.push(finding("PL-0340", Severity::Warning, message, hint));
    }
    found.extend(match (seen.get("started"), seen.get("server")) {
        (Some(value), _) => {
            of_server(here, value, "start it without synchronous_commit on its command line, as its agent does")
        }
        (None, Some(value)) => of_server(here, value, "set synchronous_commit = on"),
        (None, None) => None,
    });
    if let Some(names) = seen.get("counted") {
        let message = format!("{here} takes connections for its candidate that are not, or not alone ({names})");
        let hint =
            "give each standby an application_name of its own; a copied configuration must not be started as it is";
        found.push(finding("PL-0341", Severity::Warning, message, hint));
    }
    found
}

/// What the whole server does where no role, database or session says otherwise.
fn of_server(here: &str, value: &str, mend: &str) -> Option<Finding> {
    let (code, so) = match value {
        "remote_apply" => {
            ("PL-0344", "every commit waits for the candidate, because the gate never claims to have replayed")
        }
        "remote_write" => ("PL-0340", "what is acknowledged need not be on the candidate's disk"),
        "off" | "local" | "false" | "no" | "0" => ("PL-0340", "no session waits"),
        _ => return None,
    };
    Some(finding(code, Severity::Warning, format!("{here} has synchronous_commit = {value}: {so}"), mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_its_finding() {
        for (name, who, code) in [
            ("loose", "role app in every database: synchronous_commit=off", "PL-0340"),
            ("loose", "role app in every database: synchronous_commit=remote_write", "PL-0340"),
            ("server", "local", "PL-0340"),
            ("server", "remote_write", "PL-0340"),
            ("server", "no", "PL-0340"),
            ("server", "remote_apply", "PL-0344"),
            ("started", "0", "PL-0340"),
            ("started", "remote_apply", "PL-0344"),
            ("counted", "pl_1_db_west_7", "PL-0341"),
        ] {
            let found = troubles("db in east", &[(name.to_owned(), who.to_owned())].into());
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(found[0].code, code);
            assert!(found[0].message.contains("db in east") && !found[0].hint.is_empty());
        }
        assert_eq!(troubles("db in east", &Troubles::new()), []);
        assert_eq!(troubles("db in east", &[("server".to_owned(), "on".to_owned())].into()), []);
    }

    #[test]
    fn the_command_line_goes_before_the_files() {
        let of = |started: &str, server: &str| {
            let seen = [("started", started), ("server", server)].map(|(k, v)| (k.to_owned(), v.to_owned()));
            troubles("db in east", &seen.into())
        };
        assert_eq!(of("on", "off"), []);
        assert!(of("off", "on")[0].hint.contains("command line"));
    }

    #[test]
    fn old_and_different_minor_versions_are_named() {
        assert!(old("db", (15, 12)).is_some_and(|f| f.hint.contains("15.13")));
        assert_eq!((old("db", (15, 13)), old("db", (18, 0))), (None, None));
        assert!(differ(("a", (15, 13)), ("b", (15, 14))).is_some());
        // That is PL-0312, and a blocker.
        assert_eq!(differ(("a", (15, 13)), ("b", (16, 13))), None);
        assert_eq!(differ(("a", (15, 13)), ("b", (15, 13))), None);
    }
}
