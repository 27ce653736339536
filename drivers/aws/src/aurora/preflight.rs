//! What would stand in the way of a move, found before it.

use super::AuroraDriver;
use super::look::{LOOK, Seen};
use super::reattach::Way;
use crate::finding::{LOSES, MOVED_BY_HAND, far_behind, finding, not_asked, there_already};
use crate::words::reattach::Next;
use pilotlight_core::code;
use pilotlight_core::effect::Effect;
use pilotlight_core::id::Region;
use pilotlight_core::observation::Role;
use pilotlight_core::outcome::{Failure, Finding, Severity};

impl AuroraDriver {
    pub(super) async fn findings(&self, effect: &Effect) -> Result<Vec<Finding>, Failure> {
        let (from, to, allow_loss) = match effect {
            Effect::Switch { from, to, allow_loss, .. } => (from, to, allow_loss),
            Effect::Rejoin { region, upstream, .. } => return Ok(self.before_rejoin(region, upstream).await),
            _ => return Ok(Vec::new()),
        };
        let mut findings = Vec::new();
        let seen = match self.look(to).await {
            Ok(seen) => seen,
            Err(failure) => return Ok(vec![not_asked(failure)]),
        };
        self.in_target(&seen, (from, to), *allow_loss, &mut findings);
        findings.extend(self.far_behind(&seen, to).await);
        findings.extend(self.snapshot_costs(from, *allow_loss));
        // Without the source it may be down, and is not asked.
        if !allow_loss && let Ok(source) = self.look(from).await {
            self.against_source(&seen, &source, to, &mut findings);
        }
        Ok(findings)
    }

    /// What joining again would stumble over, and what it keeps. The silence is a step before it.
    async fn before_rejoin(&self, region: &Region, upstream: &Region) -> Vec<Finding> {
        let component = &self.component;
        let way = Way { region, upstream, epoch: 0, time: LOOK };
        let mut back = match Box::pin(self.back(&way)).await {
            Ok(back) => back,
            Err(failure) => return vec![not_asked(failure)],
        };
        back.scene.as_if_fenced();
        match back.scene.next() {
            Next::Refuse(why, hint) => {
                let message = format!("{component} in {region} cannot join again: {why}");
                vec![finding(code::AWS_HALF_DONE, Severity::Blocker, message, hint)]
            }
            Next::Wait | Next::Done => Vec::new(),
            _ => {
                let message = format!(
                    "the old cluster of {component} in {region} will be kept beside a new one, with its instances and a snapshot"
                );
                let hint = "they cost what they cost before; delete them when nobody needs what only they hold";
                vec![finding(code::AWS_KEPT, Severity::Note, message, hint)]
            }
        }
    }

    /// Where CloudWatch says nothing, nothing is known, as `status` shows; and no failover starts by itself, so why is said.
    async fn far_behind(&self, seen: &Seen, to: &Region) -> Option<Finding> {
        if !matches!(seen.state(self).role, Some(Role::Standby { .. })) {
            return None;
        }
        let lag = match self.lag(to, seen).await {
            Ok(lag) => lag?,
            Err(failure) => return Some(Finding { severity: Severity::Warning, ..not_asked(failure) }),
        };
        far_behind(self.access.rpo(), &format!("{} in {to}", self.component), lag.value, LOSES)
    }

    fn in_target(&self, seen: &Seen, (from, to): (&Region, &Region), allow_loss: bool, findings: &mut Vec<Finding>) {
        let (component, name) = (&self.component, &self.plan.global_cluster);
        if seen.global.is_none() {
            let message = format!("{to} knows no global cluster {name}");
            let hint = "compare `global_cluster` in the plan with the account";
            return findings.push(finding(code::AWS_MISSING, Severity::Blocker, message, hint));
        }
        match seen.state(self).role {
            Some(Role::Standby { upstream: Some(of), streaming }) => {
                if of != *from {
                    let message = format!("the writer of {name} is in {of}, not in {from}");
                    findings.push(finding(code::AWS_MOVED_BY_HAND, Severity::Blocker, message, MOVED_BY_HAND));
                }
                if !streaming {
                    let message = format!("{component} in {to} is not in step with its source");
                    let hint = "wait until AWS has synchronised it; without it a planned move is refused";
                    findings.push(finding(code::AWS_NOT_IN_STEP, Severity::Blocker, message, hint));
                }
            }
            Some(Role::Writer) if !seen.is_member() && allow_loss => {
                let message =
                    format!("{component} in {to} takes writes already, alone outside of global cluster {name}");
                findings.push(there_already(message, allow_loss));
            }
            Some(Role::Writer | Role::Fenced { .. }) if !seen.is_member() => {
                let message = format!("{component} in {to} stands alone outside of global cluster {name}");
                let hint = "`pilotlight rejoin` makes it a member again; docs/aws.md says what it keeps";
                findings.push(finding(code::AWS_MISSING, Severity::Blocker, message, hint));
            }
            Some(Role::Writer) => {
                findings.push(there_already(format!("{component} in {to} is the writer already"), allow_loss));
            }
            role => {
                let message = format!("{component} in {to} {}", role.unwrap_or(Role::Unknown).says());
                findings.push(finding(code::AWS_MISSING, Severity::Blocker, message, "restore the copy first"));
            }
        }
        if seen.copy.status.is_some() && !seen.has_instances {
            let message = format!("{component} in {to} has no instance: nobody can connect until one is made");
            let hint = "add an instance, or count the minutes that making one takes into the RTO";
            findings.push(finding(code::AWS_HEADLESS, Severity::Warning, message, hint));
        }
        if seen.copy.status.is_some() && !seen.deletion_protection {
            let message = format!("{component} in {to} is not protected from deletion");
            findings.push(finding(code::AWS_UNPROTECTED, Severity::Note, message, "turn deletion protection on"));
        }
    }

    fn against_source(&self, seen: &Seen, source: &Seen, to: &Region, findings: &mut Vec<Finding>) {
        if let (Some(here), Some(there)) = (&seen.engine, &source.engine)
            && here != there
        {
            let message = format!("{} in {to} runs engine {here}, the writer {there}", self.component);
            let hint = "AWS moves the writer only between the same versions; upgrade the other";
            findings.push(finding(code::AWS_VERSIONS_DIFFER, Severity::Blocker, message, hint));
        }
    }
}
