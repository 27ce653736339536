//! How far an ECS service is, read off its PRIMARY deployment. Pure.
//!
//! Counts of the service alone deceive: while a deployment replaces another they are those of both, so that "six run" may be six
//! on the capacity provider that is to be left, of a deployment that ECS has given up on.

use aws_sdk_ecs::types::{CapacityProviderStrategyItem, Deployment, DeploymentRolloutState, Service};

/// What is asked of a service.
pub(super) struct Rollout<'a> {
    pub tasks: u32,
    pub may_be_more: bool,
    pub provider: Option<&'a str>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Reached,
    Coming,
    /// ECS starts no more tasks by itself; with its reason.
    Failed(Option<String>),
}

/// The deployment that ECS is bringing or has brought.
pub(super) fn primary(service: &Service) -> Option<&Deployment> {
    service.deployments().iter().find(|d| d.status() == Some("PRIMARY"))
}

/// What is to be said of one that is not completed.
pub(super) fn unfinished(deployment: &Deployment) -> Option<String> {
    let state = deployment.rollout_state().filter(|s| **s != DeploymentRolloutState::Completed)?;
    let why = deployment.rollout_state_reason().unwrap_or("no reason is given");
    Some(format!("{}: {why}", state.as_str()))
}

/// Whether what it is told, and what its PRIMARY deployment does, is this capacity provider alone.
pub(super) fn runs_on(service: &Service, provider: Option<&str>) -> bool {
    let Some(provider) = provider else { return true };
    let is_it = |strategy: &[CapacityProviderStrategyItem]| match strategy {
        [one] => one.capacity_provider() == provider,
        _ => false,
    };
    let deployed = primary(service).and_then(|d| d.capacity_provider_strategy.as_deref());
    is_it(service.capacity_provider_strategy()) && deployed.is_none_or(is_it)
}

/// ECS has given up on it.
pub(super) fn has_failed(deployment: &Deployment) -> bool {
    deployment.rollout_state() == Some(&DeploymentRolloutState::Failed)
}

impl Rollout<'_> {
    /// `began` is the deployment that the step waits for: ECS's circuit breaker puts an older one in its place.
    pub(super) fn progress(&self, service: &Service, began: Option<&str>) -> Progress {
        let primary = primary(service);
        let ours = service.deployments().iter().find(|d| began.is_some() && d.id() == began);
        if let Some(failed) = primary.into_iter().chain(ours).find(|d| has_failed(d)) {
            return Progress::Failed(failed.rollout_state_reason().map(str::to_owned));
        }
        if began.is_some() && !runs_on(service, self.provider) {
            return Progress::Failed(Some("another deployment took the place of the one that was begun".to_owned()));
        }
        // Deployment controllers other than ECS's own show no deployments, and not always a state.
        let run = primary.map_or(service.running_count(), Deployment::running_count);
        let run = u32::try_from(run).unwrap_or_default();
        let is_over =
            primary.and_then(Deployment::rollout_state).is_none_or(|s| *s == DeploymentRolloutState::Completed);
        let too_many = !self.may_be_more && u32::try_from(service.running_count()).unwrap_or_default() > self.tasks;
        match is_over && run >= self.tasks && !too_many {
            true => Progress::Reached,
            false => Progress::Coming,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(provider: &str) -> CapacityProviderStrategyItem {
        CapacityProviderStrategyItem::builder().capacity_provider(provider).build().expect("a provider was given")
    }

    fn deployment(id: &str, status: &str, state: DeploymentRolloutState, run: i32, provider: &str) -> Deployment {
        let one = Deployment::builder().id(id).status(status).running_count(run).rollout_state(state);
        one.rollout_state_reason(format!("{id} says")).capacity_provider_strategy(item(provider)).build()
    }

    fn service(run: i32, provider: &str, deployments: Vec<Deployment>) -> Service {
        let one = Service::builder().running_count(run).capacity_provider_strategy(item(provider));
        one.set_deployments(Some(deployments)).build()
    }

    const SIX: Rollout<'static> = Rollout { tasks: 6, may_be_more: true, provider: Some("FARGATE") };

    #[test]
    fn the_primary_deployment_and_not_the_counts_of_the_service_says_that_it_is_there() {
        use DeploymentRolloutState::{Completed, Failed, InProgress};
        let failed = |id: &str| Progress::Failed(Some(format!("{id} says")));
        let new = |state, run| deployment("new", "PRIMARY", state, run, "FARGATE");
        let old = |state, run| deployment("old", "ACTIVE", state, run, "FARGATE_SPOT");
        for (deployments, is) in [
            (vec![new(Completed, 6)], Progress::Reached),
            (vec![new(Completed, 5)], Progress::Coming),
            (vec![new(InProgress, 6)], Progress::Coming),
            (vec![new(InProgress, 0), old(Completed, 6)], Progress::Coming),
            (vec![new(Failed, 0), old(Completed, 6)], failed("new")),
            // One that failed before ours was begun is no fault of ours.
            (vec![new(Completed, 6), old(Failed, 0)], Progress::Reached),
        ] {
            assert_eq!(SIX.progress(&service(6, "FARGATE", deployments.clone()), Some("new")), is, "{deployments:?}");
        }
    }

    #[test]
    fn what_the_circuit_breaker_put_back_is_not_what_was_asked_for() {
        use DeploymentRolloutState::{Completed, Failed};
        let back = deployment("back", "PRIMARY", Completed, 6, "FARGATE_SPOT");
        let ours = deployment("new", "ACTIVE", Failed, 0, "FARGATE");
        let seen = service(6, "FARGATE", vec![back.clone(), ours]);
        assert_eq!(SIX.progress(&seen, Some("new")), Progress::Failed(Some("new says".to_owned())));
        assert!(!runs_on(&seen, Some("FARGATE")), "the service is told so, its deployment runs elsewhere");
        let seen = service(6, "FARGATE_SPOT", vec![back]);
        assert!(matches!(SIX.progress(&seen, Some("new")), Progress::Failed(_)));
    }

    #[test]
    fn a_service_that_shows_no_deployments_is_judged_by_its_counts() {
        let none = Rollout { tasks: 1, may_be_more: false, provider: None };
        for (run, is) in [(0, Progress::Coming), (1, Progress::Reached), (2, Progress::Coming)] {
            assert_eq!(none.progress(&service(run, "any", vec![]), None), is, "{run}");
        }
    }
}
