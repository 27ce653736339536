//! Which secrets a plan takes from outside, and what keeps them out of outputs and of processes we start.

use crate::connect;
use crate::error::CliError;
use pilotlight_core::plan::{Kind, Plan, PostgresPlan, SecretRef};
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
    let components = plan.components.iter().filter_map(|(name, component)| match &component.kind {
        Kind::Postgres(PostgresPlan { password: Some(password), .. }) => {
            Some(Secret { key: format!("{name}.password"), reference: password, in_regions: true })
        }
        Kind::Webhook(webhook) => {
            Some(Secret { key: format!("{name}.url"), reference: &webhook.url, in_regions: false })
        }
        _ => None,
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
    match &plan.controller.token {
        SecretRef::Env(name) => vec![name.clone()],
        SecretRef::File(_) => Vec::new(),
    }
}
