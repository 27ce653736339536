//! What can be typed.

mod check;
mod demo;
mod duration;
mod import;
pub(crate) mod misuse;
mod rescue;
mod series;
mod status;

pub(crate) use check::{CheckArgs, InitArgs};
pub(crate) use demo::{DemoArgs, FaultArg};
pub(crate) use import::{ImportTerraformArgs, ImportVerb};
pub(crate) use rescue::{RescueApplyArgs, RescueShowArgs, RescueVerb};
pub(crate) use series::{BenchArgs, BenchCase, FenceArg, NetArg, SafetyArgs};
pub(crate) use status::{StatusArgs, Until};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Keeps a second region ready, decides when the first is lost, moves the service there and measures what it took.
#[derive(Debug, Parser)]
#[command(name = "pilotlight", version, disable_help_subcommand = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Loses a region on this machine, for real, and shows what Pilotlight does about it
    Demo(DemoArgs),
    /// Writes a commented plan to start from
    Init(InitArgs),
    /// Writes a plan from what another tool made
    #[command(subcommand)]
    Import(ImportVerb),
    /// Finds what is wrong with a plan; with --live also with what it names
    Check(CheckArgs),
    /// Runs the controller, or one of several
    Serve(MemberArgs),
    /// Runs the agent of one region
    Agent(AgentArgs),
    /// Runs an observer: looks at the regions from a third place, and only looks
    Observe(ObserveArgs),
    /// Runs the built-in authoritative DNS server
    Dns(DnsArgs),
    /// Shows regions, roles, lag, the verdict and open runs
    Status(StatusArgs),
    /// Keeps everything automatic from starting, or lets it again; needs no network
    #[command(subcommand)]
    Hold(HoldVerb),
    /// Tries a policy on what was recorded
    #[command(subcommand)]
    Policy(PolicyVerb),
    /// Shows what a move would do, step by step
    #[command(subcommand)]
    Runbook(RunbookVerb),
    /// Moves the writer to another region without the old one (unplanned)
    ///
    /// To the region where its agent gave it up and fenced it, it starts the writer again in place: what leads on where no
    /// standby is left.
    Failover(FailoverArgs),
    /// Moves the writer to another region with the help of the old one, losing nothing (planned)
    Switchover(MoveArgs),
    /// Moves the writer back to the region the plan calls home (planned)
    Failback(MoveArgs),
    /// Moves the writer to another region for a while, to learn whether it works, and takes it back by itself (planned)
    Drill(DrillArgs),
    /// Gives the share of a region without the writer to the others; `failback` gives it back
    Drain(DrainArgs),
    /// Makes a returned region a standby again; the writer stays where it is
    Rejoin(RejoinArgs),
    /// Shows what a returned writer had acknowledged and never sent, and applies it again
    #[command(subcommand)]
    Rescue(RescueVerb),
    /// Looks at runs and steers them
    #[command(subcommand)]
    Run(RunVerb),
    /// Says that a person has seen the last automatic failover; ends the cool-down
    Acknowledge(AcknowledgeArgs),
    /// Fetches the report of a run
    Report(ReportArgs),
    /// Sends requests through the name as users do and says what they felt, until Ctrl-C
    Measure(MeasureArgs),
    /// Explains an error code; works offline
    Explain(ExplainArgs),
    /// Prints completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Confirms commits beside a writer; an agent starts it
    #[command(hide = true)]
    Gate(GateArgs),
    /// Measures moves beside the floor on this machine
    #[command(hide = true)]
    Bench(BenchArgs),
    /// Cuts, freezes and kills regions of this machine and measures what two clients saw
    #[command(hide = true)]
    Safety(SafetyArgs),
    /// Runs the payments service of the demo
    #[command(hide = true)]
    Payments(PaymentsArgs),
    /// Lets clients through to a server while its agent holds the lease; started by the agent
    #[command(hide = true)]
    Proxy(ProxyArgs),
}

/// Whose gate it is: for `ps` only, all it goes by comes from its agent.
#[derive(Debug, Clone, Args)]
pub(crate) struct GateArgs {
    /// The component
    pub(crate) component: Option<String>,
    /// The region
    pub(crate) region: Option<String>,
}

/// What a proxy is between.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProxyArgs {
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where the server listens
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) server: SocketAddr,
    /// The socket that brings the agent's orders
    #[arg(long, value_name = "PATH")]
    pub(crate) orders: PathBuf,
}

/// Where the plan is.
#[derive(Debug, Clone, Args)]
pub(crate) struct PlanArg {
    /// The plan
    #[arg(long = "plan", short = 'p', env = "PILOTLIGHT_PLAN", default_value = "pilotlight.yaml", value_name = "FILE")]
    pub(crate) plan: PathBuf,
}

/// One of the plan's controllers.
#[derive(Debug, Args)]
pub(crate) struct MemberArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Which of the plan's `controller.members` this is
    #[arg(long, env = "PILOTLIGHT_MEMBER", value_name = "NAME")]
    pub(crate) member: Option<String>,
}

/// A look at something.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// The region it runs in
    #[arg(long)]
    pub(crate) region: String,
    /// Folder for what it must remember
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ObserveArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Its name in `policy.observers`; may be left out when the plan has one
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// What to do about the hold.
#[derive(Debug, Subcommand)]
pub(crate) enum HoldVerb {
    /// From now on nothing starts by itself: writes the file of a controller's machine, and asks the one that leads to hold all
    On(HoldArgs),
    /// Takes both away
    Off(MemberArgs),
}

#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(crate) member: MemberArgs,
    /// Why, for whoever wonders
    #[arg(long, default_value = "")]
    pub(crate) why: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyVerb {
    /// Makes the decisions of a recording again, also with a changed plan; needs no controller
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// A file of `observations` in the controller's state folder, or that folder
    #[arg(value_name = "RECORDING")]
    pub(crate) recording: PathBuf,
    /// The changed plan; without it only the plan that decided then
    #[arg(long = "plan", short = 'p', value_name = "FILE")]
    pub(crate) plan: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunbookVerb {
    /// Derives the runbook of a move from what is observed now
    Show(RunbookShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunbookShowArgs {
    /// Which move
    #[arg(value_enum)]
    pub(crate) verb: MoveVerb,
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Where to; without it the best candidate, and the plan's `home` of a failback. A rejoin and a drain take none
    #[arg(long, value_name = "REGION")]
    pub(crate) to: Option<String>,
    /// Whose share a drain gives to the others; may be left out when only one other region has one
    #[arg(long, value_name = "REGION")]
    pub(crate) from: Option<String>,
    /// Which unit; may be left out when the plan has only one
    #[arg(long, value_name = "NAME")]
    pub(crate) unit: Option<String>,
    /// How to show it
    #[arg(long, value_enum, default_value_t = RunbookFormat::Text)]
    pub(crate) format: RunbookFormat,
}

/// The moves a person can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MoveVerb {
    /// Unplanned
    Failover,
    /// Planned
    Switchover,
    /// Planned, back home
    Failback,
    /// A returned region becomes a standby
    Rejoin,
    /// A region's share goes to the others
    Drain,
}

/// How a runbook is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RunbookFormat {
    /// For a terminal
    Text,
    /// For a wiki or a printer
    Markdown,
    /// For programs
    Json,
    /// The graph, in the Mermaid language
    Graph,
    /// The graph, in the language of Graphviz
    Dot,
}

#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Where to; without it the best candidate, and the plan's `home` of a failback
    #[arg(long, value_name = "REGION")]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

// What every move is asked for with, besides where to. No text of the help: it would become the command's.
#[derive(Debug, Args)]
pub(crate) struct HowArgs {
    /// Which unit; may be left out when the plan has one
    #[arg(long, value_name = "UNIT")]
    pub(crate) unit: Option<String>,
    /// Touches nothing; says what each step would do and why; ends with 1 when something would make it fail
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Does not ask for the application's name
    #[arg(long)]
    pub(crate) yes: bool,
    /// Starts it and does not wait for its end
    #[arg(long)]
    pub(crate) detach: bool,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FailoverArgs {
    #[command(flatten)]
    pub(crate) movement: MoveArgs,
    /// You say that the old writer there is off for certain; for one that nobody was to replace
    ///
    /// A writer without a candidate needs no lease, so its silence proves nothing. Your name goes into the journal and the
    /// report. Refused while anything of the writer is seen.
    #[arg(long, value_name = "REGION")]
    pub(crate) writer_is_off: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    #[command(flatten)]
    pub(crate) movement: MoveArgs,
    /// How long it goes on, from the end of the move; whichever controller leads then takes it back
    ///
    /// Not while the unit is unwell, or while a person holds what is automatic. Any other move of the unit ends the drill.
    #[arg(long = "for", default_value = "1h", value_name = "DURATION")]
    pub(crate) lasts: String,
}

#[derive(Debug, Args)]
pub(crate) struct DrainArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Which region; may be left out when only one other takes traffic at rest
    #[arg(long, value_name = "REGION")]
    pub(crate) from: Option<String>,
    #[command(flatten)]
    pub(crate) how: HowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RejoinArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    #[command(flatten)]
    pub(crate) how: HowArgs,
    /// Lets what cannot be kept of a returned writer be lost; your name goes into the journal and the bundle
    #[arg(long, value_name = "YOUR-NAME")]
    pub(crate) waive_rescue: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunVerb {
    /// Lists runs, newest first
    List(ViewArgs),
    /// Shows one run
    Show(RunArgs),
    /// Follows a run to its end
    Watch(RunArgs),
    /// Starts no further step until it is resumed
    Pause(RunControlArgs),
    /// Goes on
    Resume(RunControlArgs),
    /// Leaves out a step
    Skip(RunStepArgs),
    /// Gives the run up: before the point of no return it is undone
    Abort(RunControlArgs),
    /// Lets a step start that waits for a person
    Approve(RunStepArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The run; the newest when left out
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) view: ViewArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RunControlArgs {
    /// The run
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Why, for the report
    #[arg(long, default_value = "")]
    pub(crate) why: String,
}

#[derive(Debug, Args)]
pub(crate) struct RunStepArgs {
    /// The run
    pub(crate) run: String,
    /// The step
    pub(crate) step: String,
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Why, for the report
    #[arg(long, default_value = "")]
    pub(crate) why: String,
}

#[derive(Debug, Args)]
pub(crate) struct AcknowledgeArgs {
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// The unit; may be left out when the plan has one
    #[arg(long)]
    pub(crate) unit: Option<String>,
    /// You have looked, and the controller's store is the one to go on with although it is behind (PL-0874)
    #[arg(long)]
    pub(crate) raise_epoch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// The run; the newest when left out
    pub(crate) run: Option<String>,
    #[command(flatten)]
    pub(crate) plan: PlanArg,
    /// Folder for report.html and report.json
    #[arg(long, short = 'o', default_value = ".", value_name = "FOLDER")]
    pub(crate) output: PathBuf,
    /// The log of `pilotlight measure` that ran meanwhile: what users felt goes into the report
    #[arg(long, value_name = "FILE")]
    pub(crate) requests: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    #[command(flatten)]
    pub(crate) view: ViewArgs,
    /// Ends by itself after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::of_measuring)]
    pub(crate) duration: Option<Duration>,
    /// Every request, one JSON object per line; made anew
    #[arg(long, default_value = "pilotlight-requests.jsonl", value_name = "FILE")]
    pub(crate) log: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The code, for example PL-0403
    pub(crate) code: Option<String>,
    /// Lists every code
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// Address for queries
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// Address of the control interface
    #[arg(long)]
    pub(crate) control: SocketAddr,
    /// Zone it is the authority of
    #[arg(long)]
    pub(crate) zone: String,
    /// Folder for what it must remember
    #[arg(long, value_name = "FOLDER")]
    pub(crate) state: PathBuf,
    /// Environment variable that holds the token
    #[arg(long, default_value = "PILOTLIGHT_TOKEN")]
    pub(crate) token_env: String,
    /// Certificate of the control interface, PEM
    #[arg(long, requires = "key")]
    pub(crate) certificate: Option<PathBuf>,
    /// Key of the control interface, PEM
    #[arg(long, requires = "certificate")]
    pub(crate) key: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct PaymentsArgs {
    /// Address to listen on
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// The region it says it is in
    #[arg(long, env = "PILOTLIGHT_REGION")]
    pub(crate) region: String,
    /// Its database
    #[arg(long, env = "PAYMENTS_DSN")]
    pub(crate) dsn: String,
    /// File whose first line is the database's password
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
}
