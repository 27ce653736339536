//! Making a copy follow the writer: as it is, by rewinding it, or by building it anew.
//!
//! The choice is a pure function, in [`super::way`].
//!
//! No replication slots: a slot keeps WAL for a copy that is gone until the writer's disk is full, and does not move with
//! a promotion. `wal_keep_size` bounds both; the preflight looks at it, and a copy left behind is built anew.

use super::PostgresDriver;
use super::control::Control;
use super::directory::Directory;
use super::look::Answer;
use super::lsn::Lsn;
use super::marker::Marker;
use super::processes;
use super::programs::Call;
use super::session::literal;
use super::underway::{CUT_SHORT, Underway};
use super::upstream::{conninfo, is_wrapped};
use super::way::{Stand, Way};
use super::work::Work;
use pilotlight_core::id::{Epoch, Region};
use pilotlight_core::outcome::{Failure, Outcome, Output};
use pilotlight_core::time::show_duration;
use pilotlight_driver::Context;
use std::time::Duration;

/// What a started copy may take to connect before the step's own condition takes over the waiting.
const STREAM_GRACE: Duration = Duration::from_secs(10);

/// Between two looks at a copy that is to stream; nobody is waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl PostgresDriver {
    /// Makes the copy a standby of `upstream` and returns once it was started and has had a moment to connect.
    pub(super) async fn rejoin(
        &self,
        upstream: &Region,
        context: &Context,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let began = work.now();
        let directory = self.directory();
        let running = match processes::postmaster(&directory) {
            Some(_) => Some(self.ask_running(work).await?),
            None => None,
        };
        if let Some(answer) = &running {
            if !answer.recovering {
                return Err(Failure::rejected("it accepts writes; fence it before it is made a standby")
                    .hint("run a failover or a switchover rather than a rejoin"));
            }
            let named = !self.confirmed.waits || answer.follows_as().is_some();
            let as_planned = named && is_wrapped(&self.plan, &answer.conninfo);
            let streams = as_planned && answer.streaming() && self.upstream_of(answer).as_ref() == Some(upstream);
            if streams && !self.is_strange_to(upstream).await {
                Marker::clear(&self.state_dir, &self.component)?;
                self.drop_replaced();
                return Ok(Outcome::Skipped { why: format!("it streams from {upstream} already") });
            }
        }
        if running.is_none()
            && let Some(note) = self.cut_rewind(&directory)
        {
            return self.rebuild_cut(upstream, &note, context.epoch, work).await;
        }
        // Own end first, then the upstream's, which can only grow meanwhile.
        let own = match &running {
            Some(answer) => Some(stand_of(&directory, answer)),
            None => self.stand(&directory, work).await?,
        };
        let theirs = match self.look_upstream(upstream).await {
            Ok(theirs) => theirs,
            Err(silent) if running.is_none() && own.is_some() && self.is_standbys_data(&directory).await? => {
                return self.start_alone(upstream, context.epoch, work, &silent).await;
            }
            Err(silent) => return Err(silent),
        };
        let chosen = self.way_of(own.as_ref(), upstream, &theirs).await?;
        tracing::info!(component = %self.component, region = %self.region, %upstream, %chosen, "rejoin");
        let mut told = match &chosen {
            Way::Refuse { why } => {
                return Err(Failure::rejected(format!("cannot follow {upstream}: {why}")).hint(
                    "look at both servers; to give this copy up, move its data directory away, then `pilotlight rejoin`",
                ));
            }
            Way::Follow => "it lies on the upstream's history and follows as it is".to_owned(),
            Way::Rewind { timeline, from } => self.rewind(upstream, &theirs, (*timeline, *from), None, work).await?,
            Way::Replace { timeline, from, why } => {
                self.rewind(upstream, &theirs, (*timeline, *from), Some(why), work).await?
            }
            Way::Build { why } => self.build(upstream, &theirs, why, work).await?,
        };
        let started = match (&running, &chosen) {
            (Some(_), Way::Follow) => self.turn_to(upstream, context.epoch, work).await,
            _ => self.start_as_standby(upstream, context.epoch, work).await,
        };
        started.map_err(|failure| {
            let output = format!("{told}\n{}", failure.output);
            failure.output(output)
        })?;
        Marker::clear(&self.state_dir, &self.component)?;
        self.await_streaming(upstream, work, began, &mut told).await
    }

    /// Builds a copy anew in which a rewind was cut short.
    async fn rebuild_cut(
        &self,
        upstream: &Region,
        note: &Underway,
        epoch: Epoch,
        work: &Work<'_>,
    ) -> Result<Outcome, Failure> {
        let (began, directory) = (work.now(), self.directory());
        self.end_leftovers(&directory, work).await?;
        let kept = self.still_kept(&directory, note, work).await?;
        let theirs = self.look_upstream(upstream).await?;
        let built = self.build(upstream, &theirs, CUT_SHORT, work).await?;
        self.start_as_standby(upstream, epoch, work).await?;
        Marker::clear(&self.state_dir, &self.component)?;
        self.await_streaming(upstream, work, began, &mut format!("{kept}\n{built}")).await
    }

    /// What lies there was left by a standby: started as one, it changes nothing that could be missed later.
    async fn is_standbys_data(&self, directory: &Directory) -> Result<bool, Failure> {
        let control = Control::of(directory, &self.programs).await?;
        Ok(self.marker().is_none() && !super::look::was_writer(directory, &control))
    }

    /// Nobody is there to follow or to compare with, and a standby that lies still could not take over from who is lost.
    async fn start_alone(
        &self,
        upstream: &Region,
        epoch: Epoch,
        work: &Work<'_>,
        silent: &Failure,
    ) -> Result<Outcome, Failure> {
        self.start_as_standby(upstream, epoch, work).await?;
        let warning =
            format!("it was started as the standby it was; {upstream} could not be asked: {}", silent.message);
        Ok(Outcome::Warned { output: Output::default(), warning })
    }

    /// Where the copy stands, whether it runs or not; a writer is refused.
    pub(super) async fn stand_now(&self, directory: &Directory, work: &Work<'_>) -> Result<Option<Stand>, Failure> {
        if processes::postmaster(directory).is_none() {
            return self.stand(directory, work).await;
        }
        let answer = self.ask_running(work).await?;
        if answer.recovering {
            return Ok(Some(stand_of(directory, &answer)));
        }
        Err(Failure::rejected("it accepts writes; fence it before what only it holds is kept"))
    }

    /// Where a copy that is not running stands; `None` where its directory is absent or empty, and always was.
    pub(super) async fn stand(&self, directory: &Directory, work: &Work<'_>) -> Result<Option<Stand>, Failure> {
        self.end_leftovers(directory, work).await?;
        if !self.database_in(directory)? {
            return Ok(None);
        }
        let control = Control::of(directory, &self.programs).await?;
        let mut timeline = control.checkpoint.timeline;
        let mut from = control.redo;
        if let Some(start) = directory.fresh_copy_start() {
            // Not started since it was made: it has consumed nothing beyond what its source had.
            return Ok(Some(stand_at(directory, &control, timeline, Some(start))));
        }
        let segments = directory.segments(control.segment_bytes).unwrap_or_default();
        let newest = segments.iter().map(|(t, _, _)| *t).max().unwrap_or(timeline);
        if newest > timeline
            && let Some((_, start)) = directory.history(newest).and_then(|h| h.0.last().copied())
        {
            (timeline, from) = (newest, start);
        }
        if control.is_shut_down_writer() && timeline == control.checkpoint.timeline {
            return Ok(Some(stand_at(directory, &control, timeline, Some(control.hand_over().lsn))));
        }
        let end = self.end_of_wal(directory, (timeline, from), control.segment_bytes, work).await?;
        Ok(Some(stand_at(directory, &control, timeline, end)))
    }

    /// Reads the log of a stopped server to its end.
    async fn end_of_wal(
        &self,
        directory: &Directory,
        (timeline_number, from): (u32, Lsn),
        segment_bytes: u64,
        work: &Work<'_>,
    ) -> Result<Option<Lsn>, Failure> {
        let version = directory.version();
        let call = Call { program: "pg_waldump", version: version.as_deref(), folder: directory.path() };
        let start = from;
        let (timeline, from) = (timeline_number.to_string(), from.to_string());
        let args = ["-q", "-p", "pg_wal", "-t", &timeline, "-s", &from];
        let ended = self.programs.run(call, &args, work.left(), &work.stop).await?;
        let Some(end) = end_in(&ended.output, segment_bytes).filter(|end| *end > start) else { return Ok(None) };
        // A log that goes on behind what cannot be read does not end there: where it ends is not known.
        for again in directory.written_after(timeline_number, end, segment_bytes) {
            let again = again.to_string();
            let args = ["-q", "-n", "1", "-p", "pg_wal", "-t", &timeline, "-s", &again];
            if self.programs.run(call, &args, work.left(), &work.stop).await?.success {
                tracing::warn!(component = %self.component, %end, again, "the log cannot be read in between");
                return Ok(None);
            }
        }
        Ok(Some(end))
    }

    /// A running standby is turned to another upstream without a restart.
    async fn turn_to(&self, upstream: &Region, epoch: Epoch, work: &Work<'_>) -> Result<(), Failure> {
        for (name, value) in self.standby_settings(upstream, epoch)? {
            let sql = format!("ALTER SYSTEM SET {name} = {}", literal(&value));
            let set = self.write.rows(&sql, work.left(), true).await;
            set.map_err(|e| e.failure(&format!("{name} of the standby cannot be set")))?;
        }
        let read = self.write.rows("SELECT pg_reload_conf()", work.left(), true).await;
        read.map_err(|e| e.failure("the standby does not read its settings")).map(|_| ())
    }

    /// Starts a stopped copy as a standby.
    async fn start_as_standby(&self, upstream: &Region, epoch: Epoch, work: &Work<'_>) -> Result<(), Failure> {
        let directory = self.directory();
        let unsure = |e| Failure::transient(format!("cannot change {}: {e}", directory.path().display()));
        directory.set(&self.standby_settings(upstream, epoch)?).map_err(unsure)?;
        self.start_again(work).await
    }

    /// What a standby has in its configuration.
    fn standby_settings(&self, upstream: &Region, epoch: Epoch) -> Result<Vec<(&'static str, String)>, Failure> {
        let server = self.peer(upstream)?;
        let info = conninfo(&self.plan, server, &self.receiver_name(epoch), self.password.as_deref());
        let mut settings = vec![
            ("primary_conninfo", info),
            // By default a standby that lost its upstream sits out five seconds before it looks again.
            ("wal_retrieve_retry_interval", "100ms".to_owned()),
            // A standby whose upstream fell silent must say so well before the lease of the upstream's region is over:
            // as long as it counts as streaming nobody is promoted.
            ("wal_receiver_timeout", "2s".to_owned()),
            ("restart_after_crash", "off".to_owned()),
        ];
        if self.confirmed.waits {
            // Copied from the writer, it would make this copy wait for itself once it is promoted.
            settings.push(("synchronous_standby_names", String::new()));
        }
        Ok(settings)
    }

    async fn await_streaming(
        &self,
        upstream: &Region,
        work: &Work<'_>,
        began: pilotlight_core::time::Mono,
        told: &mut String,
    ) -> Result<Outcome, Failure> {
        let until = work.now() + STREAM_GRACE.min(work.left() / 2);
        let mut streams = false;
        while !streams && work.now() < until {
            streams = self
                .ask_running(work)
                .await
                .is_ok_and(|answer| answer.streaming() && self.upstream_of(&answer).as_ref() == Some(upstream));
            if !streams && work.pause(LOOK_AGAIN, "it streams", &|| "not yet".to_owned()).await.is_err() {
                break;
            }
        }
        told.push_str(&format!("\nstarted after {}", show_duration(work.now().since(began))));
        let output = Output { text: std::mem::take(told), ..Output::default() };
        if streams {
            self.drop_replaced();
            return Ok(Outcome::Done { output });
        }
        let warning = format!("it was started and does not stream from {upstream} yet; see its server log");
        Ok(Outcome::Warned { output, warning })
    }
}

/// Where a stopped copy stands that ends here.
pub(super) fn stand_at(directory: &Directory, control: &Control, timeline: u32, end: Option<Lsn>) -> Stand {
    let history = directory.history(timeline).unwrap_or_default();
    let wrote = super::look::was_writer(directory, control);
    Stand { system: control.system.clone(), timeline, end, history, wrote }
}

fn stand_of(directory: &Directory, answer: &Answer) -> Stand {
    Stand {
        wrote: false,
        history: directory.history(answer.end.timeline).unwrap_or_default(),
        system: answer.end.system.clone(),
        timeline: answer.end.timeline,
        end: Some(answer.end.lsn),
    }
}

/// The end of the log from the message with which `pg_waldump` gives up: the last place it names, or the beginning of
/// the segment that is not there.
pub(super) fn end_in(output: &str, segment_bytes: u64) -> Option<Lsn> {
    let message = output.lines().rev().find(|l| l.contains("error:"))?;
    let words = || message.split([' ', ':', ',', '"', '\'']);
    if message.contains("error in WAL record at") {
        // Other places in it are what stands in the log by mistake: "record with incorrect prev-link 7F/0 at 0/3000180".
        let places = words().zip(words().skip(1)).filter(|(before, _)| ["at", "LSN"].contains(before));
        return places.filter_map(|(_, w)| w.parse::<Lsn>().ok()).max();
    }
    let missing = words().find_map(|w| super::directory::segment(w, segment_bytes));
    missing.filter(|_| message.contains("could not find file")).map(|(_, number)| Lsn(number * segment_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_read_from_the_complaint_about_it() {
        let text =
            "pg_waldump: error: error in WAL record at 0/3000148: invalid record length at 0/3000180: wanted 24, got 0";
        assert_eq!(end_in(text, 16 << 20), Some("0/3000180".parse().unwrap()));
        for (why, end) in [
            ("record with incorrect prev-link 7F/28 at 0/3000180", "0/3000180"),
            ("unexpected pageaddr 7F/0 in log segment 000000010000000000000003, offset 8192", "0/3000148"),
            (
                "unexpected pageaddr 7F/0 in WAL segment 000000010000000000000003, LSN 0/3002000, offset 8192",
                "0/3002000",
            ),
        ] {
            let text = format!("pg_waldump: error: error in WAL record at 0/3000148: {why}");
            assert_eq!(end_in(&text, 16 << 20), Some(end.parse().unwrap()), "what is wrong is no place: {why}");
        }
        let text = "pg_waldump: error: could not find file \"000000010000000000000003\": No such file or directory";
        assert_eq!(end_in(text, 16 << 20), Some("0/3000000".parse().unwrap()));
        assert_eq!(end_in("pg_waldump: error: could not open directory \"pg_wal\"", 16 << 20), None);
    }
}
