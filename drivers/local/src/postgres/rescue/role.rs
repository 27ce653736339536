//! The role that lost rows are compared and written as. What a table runs by itself (triggers that always fire, rules,
//! functions in constraints, in expressions of indexes, in defaults) belongs to its owner and runs as whoever writes. So nobody
//! of power writes: a role of its own, made for one look or one apply, logs in with a password that nobody knows.
//!
//! Why a login and not `SET ROLE`, `SET SESSION AUTHORIZATION` or a function that is `SECURITY DEFINER`: code can take back
//! the first two, and what waits for the commit (deferred triggers, cursors `WITH HOLD`) runs after the third has ended.
//!
//! Border: makes the role, gives it rights, logs it in, takes it away. What is done as it stands in `pass`.
//!
//! Invariants:
//! - it is no superuser and a member of no role, and it may touch the tables of one bundle and what they refer to, nothing else;
//! - the session of the administrator touches catalogues and Pilotlight's own tables only, never a table of a user.

use super::super::session::{Exclusive, Session, SqlError, column, literal};
use super::super::work::Work;
use super::seal;
use super::tables::Tables;
use pilotlight_core::outcome::{Failure, FailureKind};
use std::time::Duration;
use tokio_postgres::Config;

/// Its name: `pg_hba.conf` has to let it in.
pub(super) const ROLE: &str = "pilotlight_rescue";

/// What to do where it does not.
pub(super) const LET_IN: &str =
    "let it in where the plan's user is let in: `host DATABASE pilotlight_rescue ADDRESS scram-sha-256` in pg_hba.conf";

/// How it is told from one that somebody else made.
const MARK: &str = "made by Pilotlight for as long as lost rows are compared or applied";

/// Taking it away is tried for so long, also when the time of the effect is over.
const AWAY: Duration = Duration::from_secs(10);

/// See the module; it is there until it is taken away.
pub(super) struct Restricted<'a> {
    admin: &'a Exclusive,
    password: String,
}

impl<'a> Restricted<'a> {
    /// Makes it, with rights on these tables, and on Pilotlight's notes where rows are applied.
    pub(super) async fn made(
        admin: &'a Exclusive,
        tables: &Tables,
        notes: bool,
        work: &Work<'_>,
    ) -> Result<Restricted<'a>, Failure> {
        let password: String = seal::random::<32>()
            .map_err(|e| Failure::transient(format!("no password can be made: {e}")))?
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        // The server keeps, and may log, only what a password can be tried against.
        let verifier = postgres_protocol::password::scram_sha_256(password.as_bytes());
        let role = Restricted { admin, password };
        role.cleared(work).await?;
        let mut sql = format!(
            "BEGIN; CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT BYPASSRLS PASSWORD {}; \
             COMMENT ON ROLE {ROLE} IS {}; ALTER ROLE {ROLE} SET session_replication_role = replica; ",
            literal(&verifier),
            literal(MARK)
        );
        for right in tables.rights() {
            sql.push_str(&format!("GRANT {right} TO {ROLE}; "));
        }
        if notes {
            sql.push_str(&format!(
                "GRANT USAGE ON SCHEMA pilotlight TO {ROLE}; GRANT INSERT ON pilotlight.rescue TO {ROLE}; "
            ));
        }
        sql.push_str("COMMIT");
        admin.rows(&sql, work.left()).await.map_err(|e| e.failure(&format!("the role {ROLE} cannot be made")))?;
        Ok(role)
    }

    /// One of an apply that was cut short goes; one of somebody else is left alone.
    async fn cleared(&self, work: &Work<'_>) -> Result<(), Failure> {
        let failed = |e: SqlError| e.failure(&format!("the role {ROLE} cannot be looked for"));
        let sql = format!(
            "SELECT shobj_description(oid, 'pg_authid') IS NOT DISTINCT FROM {} AS ours FROM pg_roles WHERE rolname = '{ROLE}'",
            literal(MARK)
        );
        let rows = self.admin.rows(&sql, work.left()).await.map_err(failed)?;
        let Some(row) = rows.first() else { return Ok(()) };
        if column(row, "ours") != Some("t") {
            return Err(Failure::rejected(format!("PL-0967: the role {ROLE} is there and was not made by Pilotlight"))
                .hint("rename it or drop it: lost rows are compared and applied as a role that Pilotlight makes and drops"));
        }
        self.drop_it(work.left()).await.map_err(|e| {
            Failure::rejected(format!("PL-0967: the role {ROLE} of an earlier apply cannot be dropped: {e}"))
                .hint("drop it by hand: `DROP OWNED BY pilotlight_rescue; DROP ROLE pilotlight_rescue`")
        })
    }

    /// A session of it.
    pub(super) async fn login(
        &self,
        away: impl FnOnce(Config) -> Session,
        mut config: Config,
        work: &Work<'_>,
    ) -> Result<Exclusive, Failure> {
        config.user(ROLE).password(&self.password);
        config.options(super::exact("-c lock_timeout=5s"));
        let session = away(config).exclusive().await.map_err(|e| not_let_in(&e))?;
        let sql = "SELECT NOT rolsuper AND NOT EXISTS (SELECT 1 FROM pg_auth_members WHERE member = r.oid) \
            AND session_user = rolname AND current_user = rolname \
            AND current_setting('session_replication_role') = 'replica' AS fit \
            FROM pg_roles r WHERE rolname = 'pilotlight_rescue'";
        let rows = session.rows(sql, work.left()).await.map_err(|e| not_let_in(&e))?;
        match rows.first().and_then(|row| column(row, "fit")) {
            Some("t") => Ok(session),
            _ => Err(Failure::rejected(format!(
                "PL-0967: the session is not one of the role {ROLE} without more rights"
            ))
            .hint("look at `pg_roles` and `pg_auth_members`: it has to be a member of no role")),
        }
    }

    /// Takes it away, with every session of it.
    pub(super) async fn away(self) {
        let Err(error) = self.drop_it(AWAY).await else { return };
        tracing::warn!("the role {ROLE} cannot be dropped: {error}; the next comparison or apply tries it again");
        let shut = format!("ALTER ROLE {ROLE} NOLOGIN PASSWORD NULL");
        if let Err(error) = self.admin.rows(&shut, AWAY).await {
            tracing::warn!("nor can it be shut: {error}");
        }
    }

    async fn drop_it(&self, within: Duration) -> Result<(), SqlError> {
        let sql = format!(
            "ROLLBACK; SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{ROLE}'; \
             BEGIN; DROP OWNED BY {ROLE}; DROP ROLE {ROLE}; COMMIT"
        );
        let dropped = self.admin.rows(&sql, within).await.map(|_| ());
        if dropped.is_err() {
            let _ = self.admin.rows("ROLLBACK", within).await;
        }
        dropped
    }
}

/// Class 28: the server knows the role and does not let it in.
fn not_let_in(error: &SqlError) -> Failure {
    let kind = match error.code() {
        Some(code) if code.starts_with("28") => FailureKind::Rejected,
        _ => FailureKind::Transient,
    };
    Failure::new(kind, format!("PL-0967: the role {ROLE} is not let in: {error}")).hint(LET_IN)
}
