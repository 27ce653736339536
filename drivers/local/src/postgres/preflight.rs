//! What would stand in the way of a move, found before the move: settings, rights, room, versions.
//!
//! Border: reads only. A blocker makes the effect fail; a warning makes a failover slower or lossier; both say what to do.

mod waits;
mod wire;

use super::PostgresDriver;
use super::session::{Session, SqlError, column};
use crate::connections::proxy::descriptors;
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use pilotlight_core::plan::ConnectionFence;
use pilotlight_core::time::show_duration;
use std::collections::BTreeMap;
use std::time::Duration;

/// A preflight has time.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// WAL that a writer should keep for a copy that comes back: a rewind reads back to the last common checkpoint.
const ENOUGH_WAL_MB: i64 = 128;

/// The settings that matter, in the units of `pg_settings`, and a few facts beside them.
type Settings = BTreeMap<String, String>;

const ASK: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('wal_log_hints', 'data_checksums', \
    'full_page_writes', 'wal_keep_size', 'max_wal_senders', 'hot_standby', 'wal_retrieve_retry_interval', \
    'wal_sender_timeout', 'wal_receiver_timeout', 'max_slot_wal_keep_size', 'restart_after_crash', 'wal_level', 'recovery_min_apply_delay', \
    'recovery_target_timeline', 'synchronous_standby_names', 'max_connections', 'server_version_num', 'primary_conninfo', 'fsync', \
    'recovery_target', 'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time', 'recovery_target_xid') \
    UNION ALL SELECT 'superuser', rolsuper::text FROM pg_roles WHERE rolname = current_user \
    UNION ALL SELECT 'recovering', pg_is_in_recovery()::text \
    UNION ALL SELECT 'clock_behind_ms', ((extract(epoch FROM last_msg_send_time - last_msg_receipt_time)) * 1000)::bigint::text \
    FROM pg_stat_wal_receiver UNION ALL SELECT 'senders', count(*)::text FROM pg_stat_replication";

async fn ask(session: &Session) -> Result<Settings, SqlError> {
    let rows = session.rows(ASK, ASK_TIMEOUT, true).await?;
    let pair = |row| Some((column(row, "name")?.to_owned(), column(row, "setting").unwrap_or_default().to_owned()));
    Ok(rows.iter().filter_map(pair).collect())
}

fn finding(code: &str, severity: Severity, message: impl Into<String>, hint: &str) -> Finding {
    Finding { code: code.to_owned(), severity, message: message.into(), hint: hint.to_owned() }
}

impl PostgresDriver {
    /// Everything that the effect would stumble over.
    pub(super) async fn findings(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let here = format!("{} in {}", self.component, self.region);
        let mut found = self.of_programs(&here);
        let own = match ask(&self.look).await {
            Ok(settings) => Some(settings),
            // A copy that is down is what a rejoin is for, and a fence needs no answer.
            Err(_)
                if matches!(
                    effect,
                    Effect::Rejoin { .. }
                        | Effect::CaptureRescue { .. }
                        | Effect::Fence { .. }
                        | Effect::ResumeWrites { .. }
                ) =>
            {
                None
            }
            Err(error) => {
                found.push(finding(
                    "PL-0301",
                    Severity::Blocker,
                    format!("{here} does not answer: {error}"),
                    "start it, or look at its log and at the user, password and database of the plan",
                ));
                return Ok(found);
            }
        };
        found.extend(own.iter().flat_map(|settings| of_server(&here, settings, effect)));
        if self.plan.connection_fence == ConnectionFence::Proxy
            && let (Some(own), Ok(clients)) = (&own, descriptors::most_clients())
        {
            found.extend(of_proxy(&here, own, clients));
        }
        if self.confirmed.waits && own.is_some() {
            found.extend(self.of_waits(&here).await);
        }
        if let (Effect::Promote { .. }, Some(own)) = (effect, &own) {
            found.extend(self.of_versions(&here, own).await);
        }
        if own.is_some() {
            found.extend(self.of_tables().await);
            found.extend(self.of_wire(&here).await);
        }
        found.extend(self.of_room(own.is_some()).await);
        found.extend(self.rescue_findings(own.as_ref(), effect));
        found.extend(self.of_doors(effect).await);
        if let Effect::Rejoin { upstream, .. } = effect {
            found.extend(self.of_rejoin(upstream, own.as_ref()).await?);
        }
        Ok(found)
    }

    /// PostgreSQL's programs, and the account they run as. A server goes on without them, until somebody has to act.
    fn of_programs(&self, here: &str) -> Vec<Finding> {
        let version = self.directory().version();
        let programs = ["postgres", "pg_controldata", "pg_rewind", "pg_basebackup", "pg_waldump"];
        let missing = programs.iter().find_map(|p| self.programs.find(p, version.as_deref()).err());
        let account = self.programs.account().err();
        missing.into_iter().chain(account).map(|failure| Finding::unseen(here, &failure)).collect()
    }

    async fn of_rejoin(
        &self,
        upstream: &pilotlight_core::id::Region,
        own: Option<&Settings>,
    ) -> Result<Vec<Finding>, Failure> {
        let there = format!("{} in {upstream}", self.component);
        let settings = match ask(&self.session_of(self.peer(upstream)?)).await {
            Ok(settings) => settings,
            Err(error) => {
                let hint = "open the way to it and its pg_hba.conf for this region";
                return Ok(vec![finding(
                    "PL-0301",
                    Severity::Blocker,
                    format!("{there} does not answer: {error}"),
                    hint,
                )]);
            }
        };
        let mut found = of_upstream(&there, &settings);
        let major = |s: &Settings| s.get("server_version_num").and_then(|v| v.parse::<u32>().ok()).map(|v| v / 10_000);
        let ours = own.and_then(major).or_else(|| self.directory().version().and_then(|v| v.parse().ok()));
        if let (Some(ours), Some(theirs)) = (ours, major(&settings))
            && ours != theirs
        {
            let message =
                format!("{} in {} is version {ours}, {there} is version {theirs}", self.component, self.region);
            let hint = "streaming replication needs the same major version on both sides";
            found.push(finding("PL-0312", Severity::Blocker, message, hint));
        }
        let theirs = self.look_upstream(upstream).await;
        if let Ok(theirs) = &theirs {
            let foretold = self.forecast(upstream, theirs).await;
            found.extend(self.of_places(upstream, &foretold).await);
            found.extend(foretold);
        }
        if let Ok(theirs) = theirs
            && let Some(free) = self.directory().path().parent().and_then(super::rebuild::free_bytes)
            && free < theirs.bytes
        {
            let message =
                format!("{free} bytes are free beside the data directory, building anew needs {}", theirs.bytes);
            let hint = "make room: where a rewind cannot work the copy is built beside the old one";
            found.push(finding("PL-0311", Severity::Warning, message, hint));
        }
        Ok(found)
    }
}

fn number(settings: &Settings, name: &str) -> i64 {
    settings.get(name).and_then(|v| v.parse().ok()).unwrap_or_default()
}

fn is(settings: &Settings, name: &str, value: &str) -> bool {
    settings.get(name).is_some_and(|v| v == value)
}

/// Settings of the server that the effect is done to.
fn of_server(here: &str, s: &Settings, effect: &Effect) -> Vec<Finding> {
    let mut found = of_rewind(here, s);
    found.extend(of_safety(here, s));
    if is(s, "recovering", "true") {
        found.extend(of_standby(here, s, effect));
    }
    found
}

/// What a later rewind of this copy needs; without it the copy is built anew, which takes longer.
fn of_rewind(here: &str, s: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    if is(s, "wal_log_hints", "off") && is(s, "data_checksums", "off") {
        let message = format!("{here} has neither wal_log_hints nor data checksums: it can never be rewound");
        let hint = "set wal_log_hints = on and restart, or enable checksums with pg_checksums";
        found.push(finding("PL-0302", Severity::Warning, message, hint));
    }
    if is(s, "full_page_writes", "off") {
        let message = format!("{here} has full_page_writes off: it can never be rewound");
        found.push(finding("PL-0303", Severity::Warning, message, "set full_page_writes = on"));
    }
    if number(s, "wal_keep_size") < ENOUGH_WAL_MB {
        let message =
            format!("{here} keeps {} MB of WAL: a copy that comes back finds a gap", number(s, "wal_keep_size"));
        let hint =
            "set wal_keep_size to what is written in the longest absence you want to rejoin without building anew";
        found.push(finding("PL-0304", Severity::Warning, message, hint));
    }
    found
}

fn of_safety(here: &str, s: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    if is(s, "superuser", "false") {
        let message = format!("the plan's user is no superuser on {here}");
        let hint = "promotion, rewind and checkpoints are asked for as a superuser; grant it or name another user";
        found.push(finding("PL-0305", Severity::Blocker, message, hint));
    }
    if is(s, "restart_after_crash", "on") {
        let message = format!("{here} has restart_after_crash on: after a crash it decides by itself to come back");
        let hint = "set restart_after_crash = off; the agent starts it again, as the policy says";
        found.push(finding("PL-0306", Severity::Warning, message, hint));
    }
    if is(s, "fsync", "off") {
        let message = format!("{here} has fsync off: what it acknowledges is not on disk");
        found.push(finding("PL-0307", Severity::Warning, message, "set fsync = on"));
    }
    let names = s.get("synchronous_standby_names").map_or("", String::as_str);
    if !names.is_empty() && !names.contains("\"pl_") {
        let message =
            format!("{here} waits for synchronous standbys ({names}): commits hang while none of them is there");
        let hint = "after a failover the old writer is not there; leave synchronous_standby_names empty";
        found.push(finding("PL-0308", Severity::Warning, message, hint));
    }
    if number(s, "wal_sender_timeout") > 10_000 || number(s, "wal_sender_timeout") == 0 {
        let message = format!("{here} notices a silent standby after {} s", number(s, "wal_sender_timeout") / 1_000);
        let hint = "set wal_sender_timeout = 5s; an orderly stop waits for replicas that long";
        found.push(finding("PL-0309", Severity::Warning, message, hint));
    }
    if number(s, "max_wal_senders") < number(s, "senders") + 3 {
        let message = format!("{here} has max_wal_senders = {}", number(s, "max_wal_senders"));
        let hint = "a rejoin needs up to three besides those in use; raise it on both sides";
        found.push(finding("PL-0310", Severity::Warning, message, hint));
    }
    found
}

/// The proxy in front of it has the limits of the agent that asks here.
fn of_proxy(here: &str, s: &Settings, clients: u64) -> Option<Finding> {
    let takes = number(s, "max_connections");
    (u64::try_from(takes).is_ok_and(|takes| takes > clients)).then(|| {
        let message =
            format!("{here} takes {takes} clients, the limit of open files lets its proxy have only {clients} of them");
        let hint = "raise the hard limit of open files of the agent (LimitNOFILE), then start agent and proxy again";
        finding("PL-0338", Severity::Warning, message, hint)
    })
}

fn of_standby(here: &str, s: &Settings, effect: &Effect) -> Vec<Finding> {
    let mut found = Vec::new();
    if number(s, "wal_retrieve_retry_interval") > 1_000 {
        let pause = number(s, "wal_retrieve_retry_interval") / 1_000;
        let message = format!("{here} sits out {pause} s before it looks for its upstream again");
        let hint = "set wal_retrieve_retry_interval = 100ms: the pause stalls replication after each interruption";
        found.push(finding("PL-0313", Severity::Warning, message, hint));
    }
    if number(s, "wal_receiver_timeout") > 10_000 || number(s, "wal_receiver_timeout") == 0 {
        let message = format!("{here} notices a silent upstream after {} s", number(s, "wal_receiver_timeout") / 1_000);
        found.push(finding("PL-0314", Severity::Warning, message, "set wal_receiver_timeout = 5s"));
    }
    found.extend(of_clock(here, number(s, "clock_behind_ms")));
    let info = s.get("primary_conninfo").map_or("", String::as_str);
    if !info.is_empty() && !info.contains("tcp_user_timeout") && !info.contains("keepalives_idle") {
        let message = format!("primary_conninfo of {here} has no keepalives: a cut link goes unnoticed for hours");
        let hint = "add keepalives_idle=2 tcp_user_timeout=5000; a rejoin by Pilotlight does";
        found.push(finding("PL-0315", Severity::Note, message, hint));
    }
    let promotes = matches!(effect, Effect::Promote { .. } | Effect::AwaitPosition { .. });
    let severity = if promotes { Severity::Blocker } else { Severity::Warning };
    if number(s, "recovery_min_apply_delay") > 0 {
        let message = format!("{here} replays with a delay of {} ms", number(s, "recovery_min_apply_delay"));
        let hint = "a delayed copy cannot take over in time; set recovery_min_apply_delay = 0";
        found.push(finding("PL-0316", severity, message, hint));
    }
    let targets = [
        "recovery_target",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_xid",
    ];
    for name in targets.iter().filter(|name| s.get(**name).is_some_and(|v| !v.is_empty())) {
        let message = format!("{here} has {name} set: it stops short of what it received");
        found.push(finding("PL-0317", severity, message, "clear every recovery_target setting of a standby"));
    }
    if !is(s, "recovery_target_timeline", "latest") {
        let message = format!("{here} stays on one timeline: it does not follow a promotion");
        found.push(finding("PL-0318", Severity::Warning, message, "set recovery_target_timeline = latest"));
    }
    found
}

/// The clocks of two regions, compared by what the upstream last sent: never better than the way between them.
fn of_clock(here: &str, behind_ms: i64) -> Option<Finding> {
    let apart = Duration::from_millis(behind_ms.unsigned_abs());
    let how = if behind_ms > 0 { "behind" } else { "ahead of" };
    (apart > super::look::CLOCKS_APART).then(|| {
        let message = format!("the clock of {here} is {} {how} its upstream's", show_duration(apart));
        let hint = "let a time service keep both; ages are reckoned with the difference, people and logs are not";
        finding("PL-0325", Severity::Warning, message, hint)
    })
}

fn of_upstream(there: &str, s: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    if is(s, "recovering", "true") {
        let message = format!("{there} is a standby itself");
        found.push(finding("PL-0319", Severity::Blocker, message, "a copy rejoins the writer; run the failover first"));
    }
    if is(s, "wal_level", "minimal") {
        let message = format!("{there} has wal_level = minimal");
        found.push(finding("PL-0320", Severity::Blocker, message, "set wal_level = replica and restart it"));
    }
    if is(s, "superuser", "false") {
        let message = format!("the plan's user is no superuser on {there}");
        found.push(finding("PL-0305", Severity::Blocker, message, "rewind and base backup need it"));
    }
    if number(s, "max_wal_senders") < number(s, "senders") + 3 {
        let message =
            format!("{there} has {} of {} WAL senders in use", number(s, "senders"), number(s, "max_wal_senders"));
        found.push(finding("PL-0310", Severity::Warning, message, "raise max_wal_senders: a rejoin needs up to three"));
    }
    found
}

#[cfg(test)]
mod tests;
