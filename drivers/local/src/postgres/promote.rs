//! Waiting for a position, and making the standby the writer.
//!
//! Promotion is asked for without waiting and watched every two milliseconds (`pg_promote(true)` looks ten times a
//! second). It counts as done when recovery has ended, everything that was received lies before its end, and a real
//! write was committed.

mod left;

use super::PostgresDriver;
use super::control::Control;
use super::look::{Answer, LOOK_TIMEOUT, was_writer};
use super::lsn::{Lsn, Place};
use super::processes;
use super::session::{column, literal};
use super::work::Work;
use left::End;
use pilotlight_core::code;
use pilotlight_core::effect::HandOver;
use pilotlight_core::outcome::{Failure, FailureKind, Outcome, Output};
use pilotlight_core::time::show_duration;
use pilotlight_driver::Context;
use std::time::Duration;

/// Between two looks at the replay or the promotion: users are waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

impl PostgresDriver {
    /// Waits until the standby shows everything up to the position. Changes nothing.
    pub(super) async fn await_position(&self, wanted: &HandOver, work: &Work<'_>) -> Result<Outcome, Failure> {
        let began = work.now();
        let HandOver::At(wanted) = wanted else {
            return Err(Failure::rejected("the position to wait for was never filled in"));
        };
        let odd = || Failure::rejected(format!("not a position of PostgreSQL: {wanted}"));
        let wanted = Place::read(wanted).ok_or_else(odd)?;
        let answer = self.ask_running(work).await?;
        if answer.end.system != wanted.system {
            return Err(Failure::rejected(format!(
                "the position is of system {}, this server is of system {}",
                wanted.system, answer.end.system
            )));
        }
        let mut at = answer.replayed;
        let already = at >= wanted.lsn;
        while at < wanted.lsn {
            let waited = work.pause(LOOK_AGAIN, "everything is replayed", &|| format!("{at} of {}", wanted.lsn)).await;
            waited.map_err(|failure| Failure { kind: FailureKind::Transient, ..failure })?;
            let sql = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END AS at";
            let rows = self.write.rows(sql, LOOK_TIMEOUT, true).await;
            let rows =
                rows.map_err(|e| Failure::transient(format!("the standby cannot be asked how far it is: {e}")))?;
            at = rows.first().and_then(|r| column(r, "at")).and_then(|l| l.parse().ok()).unwrap_or(at);
        }
        if already {
            return Ok(Outcome::Skipped {
                why: format!("everything up to {} is there, replayed up to {at}", wanted.lsn),
            });
        }
        let output = Output {
            position: Some(Place { lsn: at, ..wanted }.position()),
            text: format!("replayed up to {at} after {}", show_duration(work.now().since(began))),
            ..Output::default()
        };
        Ok(Outcome::Done { output })
    }

    /// Makes the standby the writer.
    pub(super) async fn promote(&self, context: &Context, work: &Work<'_>) -> Result<Outcome, Failure> {
        if processes::postmaster(&self.directory()).is_none() {
            self.start_to_promote(work).await?;
        }
        let before = self.ask_running(work).await?;
        if !before.recovering {
            self.settle_as_writer(&before).await?;
            return Ok(Outcome::Skipped { why: "it is the writer already".to_owned() });
        }
        self.wait_for_nobody(work).await?;
        self.ask_for_promotion(work).await?;
        // From here on nothing may say that nothing has changed: a run would take the old writer up again beside this one.
        self.see_promoted(context, &before, work).await.map_err(|f| Failure { kind: FailureKind::OutcomeUnknown, ..f })
    }

    /// A standby that died, alone or with its machine, is started as it was: while a run makes it the writer nobody else does.
    async fn start_to_promote(&self, work: &Work<'_>) -> Result<(), Failure> {
        let directory = self.directory();
        let is_there = self.database_in(&directory)?;
        let control = Control::of(&directory, &self.programs).await?;
        if !is_there || self.marker().is_some() || was_writer(&directory, &control) {
            return Err(Failure::transient(format!("it is no standby that could be started ({})", control.state)));
        }
        // Nothing has changed until the promotion is asked for, however this ends.
        let started = self.start_again(work).await;
        started.map_err(|failure| Failure { kind: FailureKind::Transient, ..failure })
    }

    async fn see_promoted(&self, context: &Context, before: &Answer, work: &Work<'_>) -> Result<Outcome, Failure> {
        let began = work.now();
        let (end, received) = self.end_recovery(before, work).await?;
        let left = self.what_was_left(&End { timeline: before.end.timeline, at: end, received }, work).await;
        let recovered = work.now();
        let after = self.prove_a_write(context, work).await?;
        let written = work.now();
        self.settle_as_writer(&after).await?;
        let (recovered, written) = (show_duration(recovered.since(began)), show_duration(written.since(began)));
        let whole = if left.is_none() { ", everything received is in it" } else { "" };
        let text =
            format!("recovery ended at {end} after {recovered}{whole} (up to {received}); first write after {written}");
        let position = Place { lsn: end, ..after.end }.position();
        let output = Output { position: Some(position), text, ..Output::default() };
        // It has happened, and no look would show what is missing: the run goes on, and says so to its end.
        Ok(match left {
            None => Outcome::Done { output },
            Some(warning) => Outcome::Warned { output, warning },
        })
    }

    /// A writer that was started read-only by somebody else becomes the writer again.
    pub(super) async fn promote_in_place(&self, work: &Work<'_>) -> Result<Outcome, Failure> {
        let before = self.ask_running(work).await?;
        self.ask_for_promotion(work).await?;
        let (end, _) = self.end_recovery(&before, work).await?;
        let after = self.ask_running(work).await?;
        self.settle_as_writer(&after).await?;
        Ok(Outcome::done_with(format!("it had been started read-only; made the writer again at {end}")))
    }

    /// A new writer starts unopposed: its own agent makes it wait for a candidate when there is one.
    ///
    /// A standby of ours waits for nobody already, and then its settings are not read anew: the signal would wake its
    /// recovery, and a promotion that is asked for right after finds it asleep for the rest of
    /// `wal_retrieve_retry_interval`, 100 ms that users wait (seen on PostgreSQL 15).
    async fn wait_for_nobody(&self, work: &Work<'_>) -> Result<(), Failure> {
        if !self.confirmed.waits || self.waits_for_nobody(work).await {
            return Ok(());
        }
        for sql in ["ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()"] {
            let done = self.write.rows(sql, work.left().min(LOOK_TIMEOUT), true).await;
            done.map_err(|e| Failure::transient(format!("it cannot be made to wait for nobody: {e}")))?;
        }
        Ok(())
    }

    /// Neither what holds now nor what the files say names anybody; whatever cannot be asked may.
    async fn waits_for_nobody(&self, work: &Work<'_>) -> bool {
        let sql = "SELECT current_setting('synchronous_standby_names') = '' AND NOT EXISTS (SELECT FROM pg_file_settings \
            WHERE name = 'synchronous_standby_names' AND applied AND setting <> '') AS nobody";
        let rows = self.write.rows(sql, work.left().min(LOOK_TIMEOUT), true).await;
        rows.is_ok_and(|rows| rows.first().and_then(|r| column(r, "nobody")) == Some("t"))
    }

    async fn ask_for_promotion(&self, work: &Work<'_>) -> Result<(), Failure> {
        let asked = self.write.rows("SELECT pg_promote(false)", work.left(), false).await;
        asked.map_err(|e| e.failure("the promotion cannot be asked for")).map(|_| ())
    }

    /// Waits for the end of recovery after the promotion was asked for: where it ended, and what had been received.
    async fn end_recovery(&self, before: &Answer, work: &Work<'_>) -> Result<(Lsn, Lsn), Failure> {
        let sql = "SELECT pg_last_wal_receive_lsn() AS received, \
            CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END AS segment";
        let mut seen;
        loop {
            match self.write.rows(sql, LOOK_TIMEOUT, true).await {
                Ok(rows) => {
                    let row = rows.first();
                    let segment = row.and_then(|r| column(r, "segment"));
                    if let Some(timeline) = segment.and_then(|s| u32::from_str_radix(s.get(..8)?, 16).ok()) {
                        let received = row.and_then(|r| column(r, "received")).and_then(|l| l.parse().ok());
                        let received = before.end.lsn.max(received.unwrap_or_default());
                        return Ok((self.start_of(timeline)?, received));
                    }
                    seen = "still in recovery".to_owned();
                }
                Err(error) => seen = error.to_string(),
            }
            work.pause(LOOK_AGAIN, "the promotion has ended", &|| seen.clone()).await?;
        }
    }

    /// Where the timeline that the promotion began has left the old one: the end of recovery.
    fn start_of(&self, timeline: u32) -> Result<Lsn, Failure> {
        let directory = self.directory();
        let end = directory.history(timeline).and_then(|history| history.0.last().copied());
        end.map(|(_, lsn)| lsn).ok_or_else(|| {
            let path = directory.path().display();
            Failure::unknown(format!("promoted, but {path} does not say where timeline {timeline} began"))
        })
    }

    /// One committed write, kept as a note of who became the writer when.
    async fn prove_a_write(&self, context: &Context, work: &Work<'_>) -> Result<Answer, Failure> {
        let within = work.left().min(Duration::from_secs(5));
        let sql = match self.own_tables(within).await {
            Ok(()) => format!(
                "INSERT INTO pilotlight.promotion (component, region, epoch, at) VALUES ({}, {}, {}, now())",
                literal(self.component.as_str()),
                literal(self.region.as_str()),
                context.epoch,
            ),
            // A schema of somebody else must not hold up a failover; the write is proved all the same.
            Err(failure) if failure.coded().0 == Some(code::SCHEMA_FOREIGN) => {
                tracing::warn!("the promotion is not noted in the database: {}", failure.message);
                "SELECT pg_logical_emit_message(true, 'pilotlight', 'promoted')".to_owned()
            }
            Err(failure) => {
                return Err(Failure::unknown(format!("promoted, but a first write failed: {}", failure.message)));
            }
        };
        let written = self.write.rows(&sql, within, true).await;
        written.map_err(|e| Failure::unknown(format!("promoted, but a first write failed: {e}")))?;
        self.ask_running(work).await
    }

    pub(super) async fn ask_running(&self, work: &Work<'_>) -> Result<Answer, Failure> {
        let answer = Answer::ask(&self.write, work.left().min(LOOK_TIMEOUT)).await;
        answer.map_err(|e| Failure::transient(format!("the server does not answer: {e}")))
    }
}
