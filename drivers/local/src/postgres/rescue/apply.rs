//! Lost changes against the new writer: rehearsed in a transaction that is taken back, or applied for good.
//!
//! One transaction of the new writer per lost one, in their order. Each change is compared with the row as it is and only
//! then made, so that the rehearsal and the apply are the same code and judge alike. A lost transaction of which one
//! change cannot be made is not made at all. Triggers do not fire: what they did the first time is in the log too; so
//! foreign keys are looked after here.
//!
//! Invariants:
//! - nothing is overwritten that the new writer wrote since the fork, or whose past is not known;
//! - a lost transaction is made at most once: its number is noted in `pilotlight.rescue` by the transaction that makes it;
//! - tables of users are read and written as a role without power only (`role`).

use super::super::PostgresDriver;
use super::super::sentinel::{FOREIGN, not_ours};
use super::super::session::{SqlError, column};
use super::super::upstream;
use super::super::work::Work;
use super::bundle::{Applied, Folder};
use super::notes::{NOTES, Notes};
use super::pass::{Ended, Pass, Trouble, first_look};
use super::role::Restricted;
use super::tables::{Highest, Tables};
use super::{check_failed, skipped, unusable};
use pilotlight_core::id::{BundleId, Region};
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::rescue::{Class, Classified, Manifest, Rows};
use pilotlight_core::time::show_wall;
use std::collections::{BTreeMap, BTreeSet};

/// Held until the session ends, waited for as long as its `lock_timeout` is: `PL` and a word for rescues.
const ALONE: &str = "SELECT pg_advisory_lock(20556, 1919251315)";

impl PostgresDriver {
    /// Rehearses, and notes what each change is to the new writer.
    pub(in super::super) async fn classify_rescue(
        &self,
        upstream: &Region,
        bundle: &BundleId,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let (folder, manifest) = self.with_rows(bundle, work).await?;
        let ended = self.go_through(upstream, &folder, &manifest, None, work).await?;
        folder.note_judged(&ended.judged).map_err(|e| super::capture::not_kept(folder.path(), &e))?;
        let output = Output { text: tell(&ended.judged), rescue: Some(Box::new(manifest.about)), ..Output::default() };
        Ok(Outcome::Done { output })
    }

    /// Applies what can be, in the name of a person.
    pub(in super::super) async fn apply_rescue(
        &self,
        upstream: &Region,
        bundle: &BundleId,
        by: &str,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let (folder, manifest) = self.with_rows(bundle, work).await?;
        let ended = self.go_through(upstream, &folder, &manifest, Some(by), work).await?;
        let mut applied = folder.applied();
        applied.transactions.extend(ended.made.iter().chain(ended.before.keys()));
        let (transactions, changes) = (ended.made.len(), ended.changes);
        let noted = self.note_made(&folder, &ended, applied, by, upstream);
        noted.map_err(|e| Failure::unknown(format!("applied, but that cannot be noted in the bundle: {e}")))?;
        let said = tell(&ended.judged);
        if ended.made.is_empty() {
            return Ok(skipped(format!("nothing is left that could be applied: {said}")));
        }
        let mut text = format!(
            "applied {changes} changes of {transactions} lost transactions to {upstream}; the bundle's changes are now: {said}"
        );
        if !ended.left.is_empty() {
            let left = ended.left.join(", ");
            text.push_str(&format!("; these sequences are still before numbers that were applied: {left}"));
        }
        tracing::warn!(%bundle, by, "{text}");
        let output = Output { text, rescue: Some(Box::new(manifest.about)), ..Output::default() };
        Ok(Outcome::Done { output })
    }

    fn note_made(
        &self,
        folder: &Folder,
        ended: &Ended,
        mut applied: Applied,
        by: &str,
        upstream: &Region,
    ) -> std::io::Result<()> {
        folder.note_judged(&ended.judged)?;
        let (at, made) = (show_wall(self.clock.wall()), ended.made.len());
        applied.by.push(format!("{at} {by}: {made} transactions, {} changes, to {upstream}", ended.changes));
        folder.note_applied(&applied)
    }

    /// The bundle, every file of it compared with its manifest.
    async fn with_rows(&self, bundle: &BundleId, work: &Work<'_>) -> Result<(Folder, Manifest), Failure> {
        let folder = self.bundle(bundle)?;
        let (inner, stop) = (folder.clone(), self.stopper(work));
        let check = move || {
            let manifest = inner.manifest()?;
            inner.verify(&manifest, &|_| true, &stop).map(|()| manifest)
        };
        let manifest = tokio::task::spawn_blocking(check).await.map_err(check_failed)?;
        let manifest = manifest.map_err(|e| unusable(folder.path(), &e))?;
        match &manifest.about.rows {
            Rows::Kept { .. } => Ok((folder, manifest)),
            Rows::Left { why } => Err(Failure::rejected(format!("PL-0604: bundle {bundle} holds no rows: {why}"))
                .hint("its log is in it: what it says can be looked at with `pg_waldump`")),
        }
    }

    async fn go_through(
        &self,
        upstream: &Region,
        folder: &Folder,
        manifest: &Manifest,
        by: Option<&str>,
        work: &Work<'_>,
    ) -> Result<Ended, Failure> {
        let server = self.peer(upstream)?;
        let mut config = upstream::config(&self.plan, &server.host, server.port, self.password.as_deref());
        // What is applied is acknowledged like any other write, so the server's own rule of commit holds.
        config.options(super::exact("-c lock_timeout=5s"));
        let unreachable = |e: SqlError| Failure::transient(format!("{} in {upstream}: {e}", self.component));
        let admin = self.away(config.clone()).exclusive().await.map_err(unreachable)?;
        let sql = "SELECT pg_is_in_recovery() AS recovering, system_identifier AS system FROM pg_control_system()";
        let rows = admin.rows(sql, work.left()).await.map_err(unreachable)?;
        // Whoever begins takes away the role of who went before, and notes that it does not know of.
        admin.rows(ALONE, work.left()).await.map_err(|e| match e.code() {
            Some("55P03") => Failure::transient("lost rows are compared or applied by somebody else just now"),
            _ => unreachable(e),
        })?;
        let is = |name, wanted: &str| rows.first().and_then(|r| column(r, name)) == Some(wanted);
        if !is("recovering", "f") || !is("system", &manifest.system) {
            let what =
                format!("PL-0241: {} in {upstream} is not the writer that the bundle was kept from", self.component);
            return Err(Failure::rejected(what).hint("see `pilotlight status` for where the writer is"));
        }
        not_ours(&admin.rows(FOREIGN, work.left()).await.map_err(unreachable)?)?;
        if by.is_some() {
            admin.rows(NOTES, work.left()).await.map_err(unreachable)?;
            not_ours(&admin.rows(FOREIGN, work.left()).await.map_err(unreachable)?)?;
        }
        let bundle = manifest.about.bundle.as_str().to_owned();
        let compared = |e: SqlError| e.failure("lost changes cannot be compared with the new writer");
        let notes = Notes::read(&admin, work).await.map_err(compared)?;
        let (fates, wanted) = first_look(folder).map_err(|e| unusable(folder.path(), &e))?;
        let mut tables = Tables::default();
        tables.learn(&admin, work.left(), &wanted).await.map_err(compared)?;
        let role = Restricted::made(&admin, &tables, by.is_some(), work).await?;
        let horizon = manifest.about.horizon.and_then(|h| u32::try_from(h).ok());
        let ended = match role.login(|config| self.away(config), config, work).await {
            Ok(writer) => {
                let (ours, rehearsed, highest) = (BTreeSet::new(), BTreeSet::new(), Highest::new());
                let (before, bundle) = (notes.of(&bundle), bundle.clone());
                let mut pass = Pass { writer, work, folder, tables, bundle, by, horizon, ours, rehearsed, highest };
                pass.all(fates, before).await.map_err(|trouble| match trouble {
                    Trouble::Sql(e) => compared(e),
                    Trouble::Bundle(e) => unusable(folder.path(), &e),
                })
            }
            Err(refused) => Err(refused),
        };
        role.away().await;
        let made = ended.as_ref().map(|ended| &ended.made).ok();
        notes.cleaned(&admin, &bundle, made).await;
        ended
    }
}

/// What the judgements are, counted.
fn tell(judged: &[Classified]) -> String {
    let mut classes: BTreeMap<Class, u64> = BTreeMap::new();
    judged.iter().for_each(|j| *classes.entry(j.class).or_default() += 1);
    let told: Vec<String> = classes.iter().map(|(class, n)| format!("{n} {class}")).collect();
    if told.is_empty() { "no changes".to_owned() } else { told.join(", ") }
}
