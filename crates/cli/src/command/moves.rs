//! `pilotlight failover | switchover | failback | drill | drain | rejoin`.

use crate::args::{DrainArgs, DrillArgs, FailoverArgs, MoveArgs, MoveVerb, RejoinArgs};
use crate::command::watch;
use crate::connect;
use crate::error::{CliError, Exit};
use crate::operator::Operator;
use pilotlight_core::id::{Region, RunId};
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::placement::Verb;
use pilotlight_core::runbook::Runbook;
use pilotlight_core::time::{parse_duration, show_duration};
use pilotlight_engine::dry_run::{DryStep, Would};
use pilotlight_server::api::view::{MoveReply, MoveRequest};
use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

impl From<MoveVerb> for Verb {
    fn from(verb: MoveVerb) -> Self {
        match verb {
            MoveVerb::Failover => Verb::Failover,
            MoveVerb::Switchover => Verb::Switchover,
            MoveVerb::Failback => Verb::Failback,
            MoveVerb::Rejoin => Verb::Rejoin,
            MoveVerb::Drain => Verb::Drain,
        }
    }
}

/// Makes a returned region a standby again.
pub(crate) async fn rejoin(args: RejoinArgs) -> Result<ExitCode, CliError> {
    let RejoinArgs { plan, how, waive_rescue } = args;
    let word = Word { waive_rescue, ..Word::default() };
    request(Verb::Rejoin, &MoveArgs { plan, to: None, how }, word).await
}

/// Moves the writer without its region; a person may say that it is off.
pub(crate) async fn failover(args: FailoverArgs) -> Result<ExitCode, CliError> {
    let word = Word { writer_is_off: args.writer_is_off.map(Region::new), ..Word::default() };
    request(Verb::Failover, &args.movement, word).await
}

/// What a person answers for by name.
#[derive(Default)]
struct Word {
    waive_rescue: Option<String>,
    writer_is_off: Option<Region>,
    drill: Option<Duration>,
}

/// A planned move that is taken back by itself.
pub(crate) async fn drill(args: DrillArgs) -> Result<ExitCode, CliError> {
    let lasts = parse_duration(&args.lasts).ok_or_else(|| {
        CliError::say(Exit::Usage, format!("{} is not a duration", args.lasts)).hint("for example 1h")
    })?;
    let ended = request(Verb::Switchover, &args.movement, Word { drill: Some(lasts), ..Word::default() }).await?;
    if ended == ExitCode::SUCCESS && !args.movement.how.json && !args.movement.how.dry_run {
        let lasts = show_duration(lasts);
        println!(
            "The drill goes on for {lasts} from the end of this run; then Pilotlight takes it back. `pilotlight failback` ends it now."
        );
    }
    Ok(ended)
}

/// Gives a region's share to the others.
pub(crate) async fn drain(args: DrainArgs) -> Result<ExitCode, CliError> {
    let DrainArgs { plan, from: to, how } = args;
    request(Verb::Drain, &MoveArgs { plan, to, how }, Word::default()).await
}

/// Any other move.
pub(crate) async fn run(verb: MoveVerb, args: &MoveArgs) -> Result<ExitCode, CliError> {
    request(verb.into(), args, Word::default()).await
}

/// Shows what will be touched, asks, starts the run and follows it.
async fn request(verb: Verb, args: &MoveArgs, word: Word) -> Result<ExitCode, CliError> {
    let plan = connect::read_plan(&args.plan.plan)?;
    let known = |name: &str| connect::region(&plan, name);
    let target = args.to.as_deref().map(known).transpose()?;
    word.writer_is_off.as_ref().map(|region| known(region.as_str())).transpose()?;
    let operator = Operator::of(&plan)?;
    let request = MoveRequest {
        unit: Some(connect::unit(&plan, args.how.unit.as_deref())?),
        target,
        dry_run: true,
        waive_rescue: word.waive_rescue,
        writer_is_off: word.writer_is_off,
        drill_ms: word.drill,
        ..MoveRequest::new(verb, connect::whoami())
    };
    // With the answer given in advance nobody reads a dry run, which asks every provider and takes its time.
    if args.how.dry_run || !args.how.yes {
        let MoveReply::DryRun { runbook, steps, findings } = operator.post("/v1/moves", &request).await? else {
            return Err(CliError::say(Exit::Bug, "the controller started a run although only a dry run was asked for"));
        };
        show_dry_run(args.how.json && args.how.dry_run, &runbook, request.drill_ms, &steps, &findings)?;
        if args.how.dry_run {
            return Ok(if is_blocked(&steps, &findings) { Exit::Failed.into() } else { ExitCode::SUCCESS });
        }
        if let Some(region) = &request.writer_is_off {
            println!(
                "You, {}, say that the writer in {region} is off and stays off. If it is not, two regions write.\n",
                request.by
            );
        }
        confirm(plan.application.as_str())?;
    }
    let run = submit(&operator, &MoveRequest { dry_run: false, ..request }).await?;
    if args.how.detach {
        if args.how.json {
            println!("{}", serde_json::json!({ "run": run }));
        } else {
            println!("{run} has begun; follow it with `pilotlight run watch {run}`");
        }
        return Ok(ExitCode::SUCCESS);
    }
    watch::to_the_end(&operator, &run, args.how.json).await
}

/// Starts a move without asking; answers its run.
pub(crate) async fn start(operator: &Operator, verb: &str, to: &str, by: &str) -> Result<RunId, CliError> {
    let verb = if verb == "failback" { Verb::Failback } else { Verb::Switchover };
    let request = MoveRequest { target: Some(Region::new(to)), ..MoveRequest::new(verb, by) };
    submit(operator, &request).await
}

/// Starts a failover without asking; `off` is the region whose writer is said to be off.
pub(crate) async fn start_failover(
    operator: &Operator,
    to: &str,
    by: &str,
    off: Option<&str>,
) -> Result<RunId, CliError> {
    let (target, writer_is_off) = (Some(Region::new(to)), off.map(Region::new));
    let request = MoveRequest { target, writer_is_off, ..MoveRequest::new(Verb::Failover, by) };
    submit(operator, &request).await
}

async fn submit(operator: &Operator, request: &MoveRequest) -> Result<RunId, CliError> {
    match operator.post("/v1/moves", request).await? {
        MoveReply::Started { run } => Ok(run),
        MoveReply::DryRun { .. } => {
            Err(CliError::say(Exit::Bug, "the controller made a dry run although a run was asked for"))
        }
    }
}

/// Something would make the move fail, or keep it from starting.
fn is_blocked(steps: &[DryStep], findings: &[Finding]) -> bool {
    let mut all = findings.iter().chain(steps.iter().flat_map(|s| &s.findings));
    all.any(|f| f.severity == Severity::Blocker)
}

fn show_dry_run(
    json: bool,
    runbook: &Runbook,
    drill: Option<Duration>,
    steps: &[DryStep],
    findings: &[Finding],
) -> Result<(), CliError> {
    if json {
        let text = serde_json::to_string_pretty(steps).map_err(|e| CliError::new(Exit::Bug, e))?;
        println!("{text}");
        // What no single step is to blame for has no place among them.
        for finding in findings {
            eprintln!("{}", told(finding));
        }
        return Ok(());
    }
    let what = if drill.is_some() { "A drill. " } else { "" };
    println!("{what}{}. Nothing was touched. Each step, what it would do now, and why:\n", runbook.headline());
    for (number, step) in steps.iter().enumerate() {
        let would = match &step.would {
            Would::Act => "would be done".to_owned(),
            Would::AlreadySo => "is so already".to_owned(),
            Would::WaitFirst { why } => format!("waits first: {why}"),
            Would::NotSeen { why } => format!("cannot be seen now: {why}"),
        };
        println!("{:>3}. {} [{would}]\n     {}", number + 1, step.title, step.why);
    }
    if let Some(lasts) = drill {
        println!("\n{}", afterwards(runbook, lasts));
    }
    println!();
    show_findings(findings.iter().chain(steps.iter().flat_map(|s| &s.findings)));
    Ok(())
}

/// What becomes of a drill when its run has ended.
fn afterwards(runbook: &Runbook, lasts: Duration) -> String {
    let (lasts, home) = (show_duration(lasts), &runbook.from);
    format!("Then the drill goes on for {lasts}, and Pilotlight takes the writer back to {home} by itself.")
}

/// What stands in the way, each once although it may concern several steps.
fn show_findings<'a>(findings: impl Iterator<Item = &'a Finding>) {
    let mut seen: Vec<&str> = Vec::new();
    for finding in findings {
        if seen.contains(&finding.message.as_str()) {
            continue;
        }
        if seen.is_empty() {
            println!("Found on the way:\n");
        }
        seen.push(&finding.message);
        println!("{}", told(finding));
    }
    if !seen.is_empty() {
        println!();
    }
}

/// A finding in two lines.
pub(crate) fn told(finding: &Finding) -> String {
    let severity = format!("{:?}", finding.severity).to_lowercase();
    format!("  {severity} {}: {}\n    hint: {}", finding.code, finding.message, finding.hint)
}

/// A dangerous verb wants the application's name, so that nobody moves the wrong one.
pub(crate) fn confirm(application: &str) -> Result<(), CliError> {
    let stdin = std::io::stdin();
    let refused = |message: &str| {
        CliError::say(Exit::Refused, message).code("PL-0225").hint("nothing was started; --yes answers in advance")
    };
    if !stdin.is_terminal() {
        return Err(refused("nobody is there to confirm"));
    }
    print!("Type the application's name ({application}) to go on: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    if answer.trim() == application { Ok(()) } else { Err(refused("the name was not confirmed")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilotlight_core::behind::Lack;
    use pilotlight_core::effect::Effect;
    use pilotlight_core::id::Epoch;
    use pilotlight_core::placement::{Intent, Mode, Placement};
    use pilotlight_core::runbook::Basis;
    use pilotlight_engine::Behind;

    #[test]
    fn a_dry_run_of_a_drill_says_how_long_it_goes_on_and_who_takes_it_back() {
        let target = Placement::in_region(&"west".into());
        let intent = Intent { unit: "shop".into(), verb: Verb::Switchover, mode: Mode::Graceful, target };
        let runbook = Runbook { application: "shop".into(), intent, from: "east".into(), steps: vec![], basis: None };
        let told = afterwards(&runbook, Duration::from_secs(3600));
        assert_eq!(
            told,
            "Then the drill goes on for 1 h 00 min, and Pilotlight takes the writer back to east by itself."
        );
    }

    #[test]
    fn a_dry_run_is_blocked_by_a_step_and_by_what_keeps_the_whole_move_from_starting() {
        let basis = |epoch| Basis { epoch: Epoch(epoch), candidacy: 0, mark: 0 };
        let behind = Behind { unit: "shop".into(), stored: basis(1), met: basis(7), lack: Lack::Epoch };
        let behind = Finding::from(behind);
        let note = Finding { severity: Severity::Warning, ..behind.clone() };
        let step = |findings: &[Finding]| {
            let effect = Effect::Promote { component: "database".into(), region: "west".into() };
            let (title, why, findings) = (String::new(), String::new(), findings.to_vec());
            vec![DryStep { id: "promote".into(), title, why, effect, would: Would::Act, findings }]
        };
        assert!(!is_blocked(&step(&[]), &[]));
        assert!(!is_blocked(&step(&[]), &[note]), "a warning");
        assert!(is_blocked(&step(std::slice::from_ref(&behind)), &[]), "a step");
        assert!(is_blocked(&step(&[]), &[behind]), "the whole");
    }
}
