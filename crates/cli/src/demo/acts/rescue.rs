//! What east had committed and never sent was kept before it was rewound: shown, and applied again.

use crate::demo::DemoError;
use crate::demo::scene::Scene;
use crate::error::CliError;
use crate::operator::Operator;
use pilotlight_core::rescue::{Datum, Kind, Shown};
use pilotlight_server::api::view::{RescueReply, RescueRequest, RescueView};

/// Changes asked for at a time.
const PAGE: u64 = 2_000;

/// A bundle after it was applied.
#[derive(Debug, Default)]
pub(crate) struct Rescued {
    /// Its name.
    pub(crate) bundle: String,
    /// Ids of the payments in it.
    pub(crate) payments: Vec<String>,
}

/// Reads the bundle, if the loss has made one, and applies it to the new writer.
pub(crate) async fn rescue(scene: &mut Scene<'_>) -> Result<Option<Rescued>, DemoError> {
    let refused = |e: CliError| DemoError::Refused(format!("{:#}", e.cause));
    let view: RescueView = scene.operator.get("/v1/rescue").await.map_err(refused)?;
    let Some(found) = view.bundles.first() else {
        scene.narrator.event("nothing was found that east had acknowledged and west did not have");
        return Ok(None);
    };
    let bundle = found.bundle.about.bundle.to_string();
    let payments = inserted(&scene.operator, &bundle, "payments").await.map_err(refused)?;
    let rescued = Rescued { bundle: bundle.clone(), payments };
    scene.narrator.event(&format!(
        "rescue bundle {bundle}: {} transactions that only east held, {} of them payments, acknowledged or not",
        found.bundle.about.commits,
        rescued.payments.len()
    ));
    let request = RescueRequest { by: "the demo".to_owned() };
    let reply: RescueReply =
        scene.operator.post_long(&format!("/v1/rescue/{bundle}/apply"), &request).await.map_err(refused)?;
    scene.narrator.event(&reply.text);
    Ok(Some(rescued))
}

/// The column `id` of every row of that table that a bundle says was inserted.
pub(crate) async fn inserted(operator: &Operator, bundle: &str, table: &str) -> Result<Vec<String>, CliError> {
    let (mut ids, mut from) = (Vec::new(), 0);
    loop {
        let shown: Shown = operator.get(&format!("/v1/rescue/{bundle}?from={from}&most={PAGE}")).await?;
        let inserts = shown.changes.iter().filter(|j| j.change.table == table && j.change.kind == Kind::Insert);
        ids.extend(inserts.filter_map(|j| match j.change.new.as_ref()?.get("id")? {
            Datum::Text(id) => Some(id.clone()),
            Datum::Null | Datum::Unchanged { .. } => None,
        }));
        from += PAGE;
        if (shown.changes.len() as u64) < PAGE {
            return Ok(ids);
        }
    }
}
