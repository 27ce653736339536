//! `pilotlight rescue list | show | apply`: what returned writers acknowledged and never sent, kept in their regions.

mod text;

use crate::args::{RescueApplyArgs, RescueShowArgs, RescueVerb, ViewArgs};
use crate::command::moves::confirm;
use crate::command::run::in_path;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::rescue::{Class, Listed, Shown};
use pilotlight_local::postgres::rescue::bundle::{BundleError, Folder};
use pilotlight_server::api::view::{RescueReply, RescueRequest, RescueView};
use std::path::Path;
use std::process::ExitCode;

/// One of the verbs.
pub(crate) async fn run(verb: &RescueVerb) -> Result<ExitCode, CliError> {
    match verb {
        RescueVerb::List(args) => list(args).await,
        RescueVerb::Show(args) => show(args).await,
        RescueVerb::Apply(args) => apply(args).await,
    }
}

async fn list(args: &ViewArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    let view: RescueView = Operator::of(&plan)?.get("/v1/rescue").await?;
    tell(args.json, &view, text::list)
}

async fn show(args: &RescueShowArgs) -> Result<ExitCode, CliError> {
    let most = args.changes;
    let shown = match (&args.bundle, &args.name) {
        (Some(folder), _) => offline(folder, args.passphrase_file.as_deref(), args.from, most)?,
        (None, Some(name)) => {
            let plan = connect::read_plan(&args.view.plan.plan)?;
            let path = format!("/v1/rescue/{}?from={}&most={most}", in_path(name, "rescue bundle")?, args.from);
            Operator::of(&plan)?.get(&path).await?
        }
        (None, None) => {
            return Err(CliError::say(Exit::Usage, "no bundle was named")
                .code(code::NO_SUCH_BUNDLE.as_str())
                .hint("name one of `pilotlight rescue list`, or a folder with --bundle"));
        }
    };
    tell(args.view.json, &shown, text::show)
}

/// A bundle that lies in a folder of this machine; needs neither controller nor agent.
fn offline(folder: &Path, passphrase: Option<&Path>, from: u64, most: u32) -> Result<Shown, CliError> {
    let secret = passphrase.map(|file| connect::secret(&pilotlight_core::plan::SecretRef::File(file.to_owned())));
    let secret = secret.transpose()?;
    let opened = Folder::open(folder, secret.as_deref());
    opened.and_then(|f| f.shown(from, usize::try_from(most).unwrap_or(usize::MAX))).map_err(|e| {
        let (code, exit, hint) = match &e {
            BundleError::Damaged(_) => (code::RESCUE_DAMAGED, Exit::Refused, "put back the file that was changed"),
            BundleError::NoKey => (code::RESCUE_KEY, Exit::Usage, "name the plan's passphrase with --passphrase-file"),
            BundleError::Io { .. } => (code::NO_SUCH_BUNDLE, Exit::Usage, "name the folder that holds manifest.json"),
        };
        let error = anyhow::Error::new(e).context(format!("the bundle in {} cannot be used", folder.display()));
        CliError::new(exit, error).code(code.as_str()).hint(hint)
    })
}

/// Compares, shows what would be touched, asks, and applies.
async fn apply(args: &RescueApplyArgs) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    let operator = Operator::of(&plan)?;
    let request = RescueRequest { by: connect::whoami() };
    if args.dry_run || !args.yes {
        let path = format!("/v1/rescue/{}/classify", in_path(&args.name, "rescue bundle")?);
        let compared: RescueReply = operator.post_long(&path, &request).await?;
        if args.dry_run {
            return tell(args.json, &compared, text::compared);
        }
        eprint!("{}", text::compared(&compared));
        confirm(plan.application.as_str())?;
    }
    let path = format!("/v1/rescue/{}/apply", in_path(&args.name, "rescue bundle")?);
    let applied: RescueReply = operator.post_long(&path, &request).await?;
    let told = tell(args.json, &applied, text::applied)?;
    left(&applied.bundle).map_or(Ok(told), Err)
}

/// What an apply has left: it went to its end, and yet a script must not take the loss for mended.
fn left(bundle: &Listed) -> Option<CliError> {
    let count: u64 = bundle.left().map(|(_, n)| n).sum();
    if count == 0 {
        return None;
    }
    let class = |(class, n): (Class, u64)| match class {
        Class::Absent => format!("{n} held back by another change of their transaction"),
        class => format!("{n} {class}"),
    };
    let each: Vec<String> = bundle.left().map(class).collect();
    let (name, all) = (&bundle.about.bundle, bundle.classes.values().sum::<u64>());
    let message = format!("{count} of {all} changes of {name} were not applied: {}", each.join(", "));
    let hint = format!(
        "`pilotlight rescue show {name}` says why of each, `changes.sql` of the bundle has them as statements; \
         mend what is in their way, then `pilotlight rescue apply {name}` again"
    );
    Some(CliError::say(Exit::Failed, message).code(code::RESCUE_LEFT.as_str()).hint(hint))
}

fn tell<T: serde::Serialize>(json: bool, value: &T, text: impl Fn(&T) -> String) -> Result<ExitCode, CliError> {
    if json {
        println!("{}", serde_json::to_string_pretty(value).map_err(|e| CliError::new(Exit::Bug, e))?);
    } else {
        print!("{}", text(value));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn listed(classes: &serde_json::Value) -> Listed {
        let at = json!({ "lineage": "7/1", "value": "0/3000000", "unit": "lsn" });
        serde_json::from_value(json!({
            "bundle": "database-east-1-A-B", "component": "database", "region": "east", "upstream": "west",
            "unit": "main", "epoch": 2, "captured": 0, "fork": at, "end": at, "commits": 3, "touched": [],
            "rows": { "rows": "kept", "changes": 6, "transactions": 3 }, "sealed": false, "folder": "/there",
            "classes": classes, "applied": 1
        }))
        .unwrap()
    }

    #[test]
    fn an_apply_that_leaves_something_ends_as_one_that_failed_and_says_what() {
        for whole in [json!({}), json!({ "identical": 5, "superseded": 1 }), json!({ "identical": 6, "absent": 0 })] {
            assert!(left(&listed(&whole)).is_none(), "{whole}");
        }
        let part = json!({ "identical": 1, "absent": 2, "conflicting": 1, "foreign-key-missing": 1, "not-covered": 1 });
        let error = left(&listed(&part)).unwrap();
        assert_eq!((error.exit, error.catalogued().as_str()), (Exit::Failed, "PL-0607"));
        let told = error.cause.to_string();
        let each =
            "2 held back by another change of their transaction, 1 conflicting, 1 foreign key missing, 1 not covered";
        assert_eq!(told, format!("5 of 6 changes of database-east-1-A-B were not applied: {each}"));
        assert!(error.hint.unwrap().contains("pilotlight rescue show database-east-1-A-B"));
        let nothing = left(&listed(&json!({ "conflicting": 2 }))).unwrap();
        assert!(nothing.cause.to_string().starts_with("2 of 2 changes"), "{}", nothing.cause);
    }
}
