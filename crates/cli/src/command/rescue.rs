//! `pilotlight rescue list | show | apply`: what returned writers acknowledged and never sent, kept in their regions.

mod text;

use crate::args::{RescueApplyArgs, RescueShowArgs, RescueVerb, ViewArgs};
use crate::command::moves::confirm;
use crate::command::run::in_path;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::code;
use pilotlight_core::rescue::Shown;
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
    tell(args.json, &applied, text::applied)
}

fn tell<T: serde::Serialize>(json: bool, value: &T, text: impl Fn(&T) -> String) -> Result<ExitCode, CliError> {
    if json {
        println!("{}", serde_json::to_string_pretty(value).map_err(|e| CliError::new(Exit::Bug, e))?);
    } else {
        print!("{}", text(value));
    }
    Ok(ExitCode::SUCCESS)
}
