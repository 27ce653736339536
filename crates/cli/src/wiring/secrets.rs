//! Which secrets a plan takes from outside, and what keeps them out of outputs and of processes we start.

use crate::connect;
use crate::error::CliError;
use pilotlight_core::plan::{Kind, Plan, SecretRef};
use pilotlight_local::redact::Redactor;

/// A secret that the plan names.
pub(crate) struct Secret<'a> {
    /// Its key in the plan, for people.
    pub(crate) key: String,
    /// Where it is.
    pub(crate) reference: &'a SecretRef,
    /// Agents need it too, not the controller alone.
    pub(crate) in_regions: bool,
}

/// Every secret of the plan.
pub(crate) fn of(plan: &Plan) -> Vec<Secret<'_>> {
    let token = Secret { key: "controller.token".to_owned(), reference: &plan.controller.token, in_regions: true };
    let secret = |key, reference, in_regions| Secret { key, reference, in_regions };
    let components = plan.components.iter().flat_map(|(name, component)| match &component.kind {
        Kind::Postgres(postgres) => {
            let password = postgres.password.iter().map(|p| secret(format!("{name}.password"), p, true));
            // The controller has no need of it, and may be without.
            let passphrase = postgres.rescue.passphrase.iter();
            let passphrase = passphrase.map(|p| secret(format!("{name}.rescue.passphrase"), p, false));
            password.chain(passphrase).collect()
        }
        Kind::Webhook(webhook) => vec![secret(format!("{name}.url"), &webhook.url, false)],
        _ => Vec::new(),
    });
    std::iter::once(token).chain(components).collect()
}

/// Everything that must not be seen in an output, as far as it is known in every place.
pub(crate) fn redactor(plan: &Plan) -> Result<Redactor, CliError> {
    let everywhere = of(plan).into_iter().filter(|s| s.in_regions);
    Ok(Redactor::new(everywhere.map(|s| connect::secret(s.reference)).collect::<Result<Vec<_>, _>>()?))
}

/// Variables of our own environment that nothing we start may see.
pub(crate) fn withheld(plan: &Plan) -> Vec<String> {
    let is_ours = |secret: &Secret<'_>| secret.key == "controller.token" || secret.key.ends_with(".rescue.passphrase");
    let name = |secret: Secret<'_>| match secret.reference {
        SecretRef::Env(name) => Some(name.clone()),
        SecretRef::File(_) => None,
    };
    of(plan).into_iter().filter(is_ours).filter_map(name).collect()
}
