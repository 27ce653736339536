//! Which secrets a plan takes from outside, and what keeps them out of outputs and of processes we start.

use crate::connect;
use crate::error::CliError;
use pilotlight_core::id::Region;
use pilotlight_core::plan::{Kind, Plan, SecretRef};
use pilotlight_local::redact::Redactor;
use pilotlight_server::Tokens;

/// Who cannot start without it.
#[derive(Clone, PartialEq, Eq)]
enum Needed {
    /// Controller and agents.
    Everywhere,
    /// The controller and the agents of these regions.
    In(Vec<Region>),
    /// The controller alone.
    ByController,
    /// Nobody: whoever has it reads more.
    ByNobody,
}

/// A secret that the plan names.
pub(crate) struct Secret<'a> {
    /// Its key in the plan, for people.
    pub(crate) key: String,
    /// Where it is.
    pub(crate) reference: &'a SecretRef,
    needed: Needed,
}

/// Every secret of the plan.
pub(crate) fn of(plan: &Plan) -> Vec<Secret<'_>> {
    let controller = &plan.controller;
    let secret = |key: &str, reference, needed| Secret { key: key.to_owned(), reference, needed };
    let token = secret("controller.token", &controller.token, shown_by(plan, &controller.token));
    let agents = controller.agent_token.as_ref();
    let agents = agents.map(|token| secret("controller.agent_token", token, shown_by(plan, token)));
    let regions = controller.region_tokens.iter().map(|(region, token)| {
        secret(&format!("controller.region_tokens.{region}"), token, Needed::In(vec![region.clone()]))
    });
    let observers = controller.observer_token.as_ref();
    let observers = observers.map(|token| secret("controller.observer_token", token, Needed::ByController));
    let dns = controller.dns_token.as_ref();
    let dns = dns.map(|token| secret("controller.dns_token", token, Needed::ByController));
    let own = regions.chain(observers).chain(dns);
    let components = plan.components.iter().flat_map(|(name, component)| match &component.kind {
        Kind::Postgres(postgres) => {
            let password = postgres.password.iter();
            let password = password.map(|p| secret(&format!("{name}.password"), p, Needed::Everywhere));
            // The controller has no need of it, and may be without.
            let passphrase = postgres.rescue.passphrase.iter();
            let passphrase = passphrase.map(|p| secret(&format!("{name}.rescue.passphrase"), p, Needed::ByNobody));
            password.chain(passphrase).collect()
        }
        Kind::Webhook(webhook) => vec![secret(&format!("{name}.url"), &webhook.url, Needed::ByController)],
        _ => Vec::new(),
    });
    let store = plan.controller.store.secrets().into_iter();
    let store = store.map(|(key, reference)| secret(key, reference, Needed::ByController));
    std::iter::once(token).chain(agents).chain(own).chain(store).chain(components).collect()
}

/// The regions whose agents show it.
fn shown_by(plan: &Plan, token: &SecretRef) -> Needed {
    Needed::In(plan.regions.iter().filter(|region| plan.controller.token_of_agent(region) == token).cloned().collect())
}

/// What opens the controller, and for whom.
pub(crate) fn tokens(plan: &Plan) -> Result<Tokens, CliError> {
    let controller = &plan.controller;
    let regions = controller.region_tokens.iter();
    let region = |(region, token): (&Region, &SecretRef)| Ok((region.clone(), connect::secret(token)?));
    Ok(Tokens {
        operators: connect::secret(&controller.token)?,
        agents: controller.agent_token.as_ref().map(connect::secret).transpose()?,
        regions: regions.map(region).collect::<Result<_, CliError>>()?,
        observers: controller.observer_token.as_ref().map(connect::secret).transpose()?,
    })
}

/// Everything that must not be seen in an output, as far as it must be known in a region, or at the controller.
pub(crate) fn redactor(plan: &Plan, region: Option<&Region>) -> Result<Redactor, CliError> {
    let is_known = |s: &Secret<'_>| match (&s.needed, region) {
        (Needed::Everywhere, _) | (Needed::ByController | Needed::In(_), None) => true,
        (Needed::In(regions), Some(region)) => regions.contains(region),
        (Needed::ByController, Some(_)) | (Needed::ByNobody, _) => false,
    };
    let known = of(plan).into_iter().filter(is_known);
    Ok(Redactor::new(known.map(|s| connect::secret(s.reference)).collect::<Result<Vec<_>, _>>()?))
}

/// Those that are known here, whatever is missing.
pub(crate) fn redactor_of_known(plan: &Plan) -> Redactor {
    Redactor::new(of(plan).into_iter().filter_map(|s| connect::secret(s.reference).ok()))
}

/// Variables of our own environment that nothing we start may see.
pub(crate) fn withheld(plan: &Plan) -> Vec<String> {
    let is_ours = |s: &Secret<'_>| s.key.starts_with("controller.") || s.key.ends_with(".rescue.passphrase");
    let name = |secret: Secret<'_>| match secret.reference {
        SecretRef::Env(name) => Some(name.clone()),
        SecretRef::File(_) => None,
    };
    of(plan).into_iter().filter(is_ours).filter_map(name).collect()
}
