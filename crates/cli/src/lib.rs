//! What the `pilotlight` binary is made of: arguments in, wiring, rendering, exit codes out. A library, so that
//! `pilotlight-lambda` runs the very same controller ([`hosted`]).
//!
//! This crate is the only one that names drivers (in `wiring`); everything it prints for programs has types of its
//! own. Decisions live in `pilotlight-core`, work in `pilotlight-engine`, `-server` and `-agent`.

mod args;
mod bench;
mod command;
mod connect;
mod demo;
mod error;
mod follow;
pub mod hosted;
mod narrator;
mod operator;
mod wiring;

use args::{Cli, Verb};
use clap::Parser;
use clap::error::ErrorKind as Misuse;
use error::{CliError, Exit};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// The whole program `pilotlight`.
pub fn run_program() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are not errors; clap knows where each belongs.
            if e.use_stderr() && e.kind() != Misuse::DisplayHelpOnMissingArgumentOrSubcommand {
                let typed: Vec<String> =
                    std::env::args_os().skip(1).map(|w| w.to_string_lossy().into_owned()).collect();
                args::misuse::told(&e, &typed).print();
                return Exit::Usage.into();
            }
            let printed = e.print().and_then(|()| std::io::stdout().flush());
            return match (printed, e.use_stderr()) {
                (_, true) => Exit::Usage.into(),
                (Ok(()), _) => ExitCode::SUCCESS,
                (Err(error), _) => ended(&CliError::unprintable(error)),
            };
        }
    };
    std::panic::set_hook(Box::new(report_bug));
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("note: a TLS provider was installed before; going on with that one");
    }
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(cli)));
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => ended(&error),
        Err(cause) => match stdout_failed(cause.as_ref()) {
            Some(why) => ended(&CliError::unprintable(why)),
            None => Exit::Bug.into(),
        },
    }
}

fn ended(error: &CliError) -> ExitCode {
    if error.is_reader_gone() {
        return READER_GONE;
    }
    error.print();
    error.exit.into()
}

/// `pilotlight run list | head -1`: the reader has what it wanted.
const READER_GONE: ExitCode = ExitCode::SUCCESS;

/// Why stdout took no more. `println!` panics then, which is the wish of whoever reads or a full disk, and no defect.
fn stdout_failed(cause: &(dyn std::any::Any + Send)) -> Option<std::io::Error> {
    let why = cause.downcast_ref::<String>()?.strip_prefix("failed printing to stdout: ")?;
    let kind = if why.contains("Broken pipe") { ErrorKind::BrokenPipe } else { ErrorKind::Other };
    Some(std::io::Error::new(kind, why.to_owned()))
}

fn report_bug(info: &std::panic::PanicHookInfo<'_>) {
    if stdout_failed(info.payload()).is_some() {
        return;
    }
    eprintln!("error[PL-0001]: this is a defect of Pilotlight: {info}");
    eprintln!("  hint: nothing was lost that the journal holds; please report it with the lines above");
}

fn run(cli: Cli) -> Result<ExitCode, CliError> {
    let runtime = |name| runtime(name).map_err(CliError::from);
    match cli.verb {
        Verb::Demo(args) => runtime("demo")?.block_on(command::demo::run(args)),
        Verb::Init(args) => command::offline::init(&args),
        Verb::Import(args::ImportVerb::Terraform(args)) => command::import::terraform(&args),
        Verb::Check(args) if args.live => runtime("check")?.block_on(command::check_live::run(&args)),
        Verb::Check(args) => command::offline::check(&args),
        Verb::Serve(args) => runtime("serve")?.block_on(command::serve::run(&args)),
        Verb::Agent(args) => runtime_of("agent", AGENT_THREADS)?.block_on(command::agent::run(&args)),
        Verb::Observe(args) => runtime("observe")?.block_on(command::observe::run(&args)),
        Verb::Policy(args::PolicyVerb::Replay(args)) => command::policy::replay(&args),
        Verb::Hold(verb) => runtime("hold")?.block_on(command::hold::run(&verb)),
        Verb::Status(args) => runtime("status")?.block_on(command::status::run(&args)),
        Verb::Runbook(args::RunbookVerb::Show(args)) => runtime("runbook")?.block_on(command::runbook::show(&args)),
        Verb::Failover(args) => runtime("move")?.block_on(command::moves::failover(args)),
        Verb::Switchover(args) => runtime("move")?.block_on(command::moves::run(args::MoveVerb::Switchover, &args)),
        Verb::Failback(args) => runtime("move")?.block_on(command::moves::run(args::MoveVerb::Failback, &args)),
        Verb::Drain(args) => runtime("move")?.block_on(command::moves::drain(args)),
        Verb::Rejoin(args) => runtime("move")?.block_on(command::moves::rejoin(args)),
        Verb::Drill(args) => runtime("move")?.block_on(command::moves::drill(args)),
        Verb::Run(verb) => runtime("run")?.block_on(command::run::run(&verb)),
        Verb::Acknowledge(args) => runtime("acknowledge")?.block_on(command::acknowledge::run(&args)),
        Verb::Rescue(verb) => runtime("rescue")?.block_on(command::rescue::run(&verb)),
        Verb::Report(args) => runtime("report")?.block_on(command::report::run(&args)),
        Verb::Measure(args) => runtime("measure")?.block_on(command::measure::run(&args)),
        Verb::Explain(args) => command::offline::explain(&args),
        Verb::Completions { shell } => command::completions::print(shell),
        Verb::Dns(args) => runtime("dns")?.block_on(command::dns::run(&args)),
        Verb::Gate(_) => command::gate::run(),
        Verb::Bench(args) => runtime("bench")?.block_on(command::bench::run(args)),
        Verb::Safety(args) => runtime("safety")?.block_on(command::safety::run(args)),
        Verb::Proxy(args) => command::proxy::run(&args),
        Verb::Payments(args) => runtime("payments")?.block_on(command::payments::run(args)),
    }
}

/// Steps, preflights and looks at a server that is down read its folder on the threads of the agent's runtime; a disk that begins to
/// hang in the middle of one holds up its thread, and the others must go on speaking to the controller.
const AGENT_THREADS: usize = 12;

fn runtime(name: &str) -> std::io::Result<tokio::runtime::Runtime> {
    runtime_of(name, 2)
}

fn runtime_of(name: &str, threads: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}
