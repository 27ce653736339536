//! The controller's view, asked the way the demo asks.

use pilotlight_core::id::{Region, RunId};
use pilotlight_core::observation::Role;
use pilotlight_core::placement::Verb;
use pilotlight_core::verdict::{Judgement, Verdict};
use pilotlight_engine::RunSummary;
use pilotlight_server::api::view::{RegionStatus, StatusView, UnitStatus};

/// What the controller said once. Each question answers with what was seen when it is not so.
pub(crate) struct Snapshot {
    status: StatusView,
    runs: Vec<RunSummary>,
}

impl Snapshot {
    /// From the two documents.
    pub(crate) fn of(status: StatusView, runs: Vec<RunSummary>) -> Self {
        Self { status, runs }
    }

    /// What the controller judges.
    pub(crate) fn verdict(&self) -> Option<&Verdict> {
        judgement(&self.status).map(|j| &j.verdict)
    }

    /// The verdict with its evidence.
    pub(crate) fn verdict_line(&self) -> String {
        match judgement(&self.status) {
            Some(judgement) => {
                let evidence: Vec<String> = judgement.evidence.iter().map(ToString::to_string).collect();
                format!("verdict: {} ({})", judgement.verdict, evidence.join("; "))
            }
            None => "no verdict yet".to_owned(),
        }
    }

    /// The copy in that region is the writer, by the store and by what its agent sees.
    pub(crate) fn writer_in(&self, region: &str) -> Result<(), String> {
        let store = self.unit().and_then(|u| u.writer.as_ref()).map(Region::as_str);
        let role = self.role(region);
        let is = store == Some(region) && role == Some(&Role::Writer);
        is.then_some(()).ok_or_else(|| format!("the store says {store:?}, the agent of {region} sees {role:?}"))
    }

    /// The copy in that region follows, and changes arrive.
    pub(crate) fn follows(&self, region: &str) -> Result<(), String> {
        let role = self.role(region);
        let is = matches!(role, Some(Role::Standby { streaming: true, .. }));
        is.then_some(()).ok_or_else(|| format!("the agent of {region} sees {role:?}"))
    }

    /// The writer waits for the copies in that region, so they may be promoted.
    pub(crate) fn is_candidate(&self, region: &str) -> Result<(), String> {
        let candidate = self.unit().and_then(|u| u.candidate.as_ref()).map(Region::as_str);
        (candidate == Some(region)).then_some(()).ok_or_else(|| format!("the candidate is {candidate:?}"))
    }

    /// Its agent is not heard.
    pub(crate) fn is_silent(&self, region: &str) -> Result<(), String> {
        let heard = self.region(region).is_some_and(|r| r.heard);
        (!heard).then_some(()).ok_or_else(|| format!("the agent of {region} is heard"))
    }

    /// The region has the writer, its agent is heard, the verdict is healthy.
    pub(crate) fn is_healthy_in(&self, region: &str) -> Result<(), String> {
        self.writer_in(region)?;
        let heard = self.region(region).is_some_and(|r| r.heard);
        (heard && self.verdict() == Some(&Verdict::Healthy)).then_some(()).ok_or_else(|| self.verdict_line())
    }

    /// The published name leads there, and only there.
    pub(crate) fn routed_to(&self, region: &str) -> Result<(), String> {
        let shares = self.status.shared.iter().find_map(|c| c.state.shares.as_ref());
        let there = shares.is_some_and(|s| s.iter().all(|(r, share)| (*share > 0) == (r.as_str() == region)));
        there.then_some(()).ok_or_else(|| format!("published: {shares:?}"))
    }

    /// The writer's region as the store has it.
    pub(crate) fn writer(&self) -> Option<&str> {
        self.unit()?.writer.as_ref().map(Region::as_str)
    }

    /// Nothing is under way.
    pub(crate) fn is_idle(&self) -> Result<(), String> {
        match self.status.open_runs.first() {
            None => Ok(()),
            Some(run) => Err(format!("{} goes on", run.run)),
        }
    }

    /// The newest failover.
    pub(crate) fn failover_run(&self) -> Result<RunId, String> {
        self.newest(Verb::Failover)
    }

    /// The newest rejoin.
    pub(crate) fn rejoin_run(&self) -> Result<RunId, String> {
        self.newest(Verb::Rejoin)
    }

    fn newest(&self, verb: Verb) -> Result<RunId, String> {
        let found = self.runs.iter().find(|r| r.verb == verb);
        found.map(|r| r.run.clone()).ok_or_else(|| self.why_no_failover())
    }

    /// The verdict and what follows from it.
    pub(crate) fn why_no_failover(&self) -> String {
        let decision = self.unit().map(|u| format!("{:?}", u.decision)).unwrap_or_default();
        format!("{}; {decision}", self.verdict_line())
    }

    fn unit(&self) -> Option<&UnitStatus> {
        self.status.units.first()
    }

    fn region(&self, name: &str) -> Option<&RegionStatus> {
        self.status.regions.iter().find(|r| r.region.as_str() == name)
    }

    fn role(&self, name: &str) -> Option<&Role> {
        self.region(name)?.components.iter().find_map(|c| c.state.role.as_ref())
    }
}

fn judgement(status: &StatusView) -> Option<&Judgement> {
    status.units.first()?.judgement.as_ref()
}
