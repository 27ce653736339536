//! `pilotlight safety`: the safety benchmark; `cargo xtask bench safety` builds the release binary and calls it.

use crate::args::{FenceArg, NetArg, SafetyArgs};
use crate::bench::safety::{self, Case, Expect, Order, Peer, Table, show};
use crate::command::interrupt_or_hangup;
use crate::error::{CliError, Exit};
use anyhow::Context;
use clap::ValueEnum;
use pilotlight_core::time::parse_duration;
use pilotlight_lab::net::Want;
use std::process::ExitCode;

/// How often where nothing is said.
const REPEAT: u32 = 10;

/// Measures, prints a table. Exit 1 when a figure misses its target.
pub(crate) async fn run(args: SafetyArgs) -> Result<ExitCode, CliError> {
    let lease = parse_duration(&args.lease).ok_or_else(|| {
        CliError::say(Exit::Usage, format!("{} is not a duration", args.lease)).hint("for example 3s")
    })?;
    if args.fence == FenceArg::Kernel && args.net == NetArg::Relays {
        return Err(CliError::say(Exit::Usage, "the fence of the kernel needs namespaces").hint("leave --net out"));
    }
    if !args.peers.is_empty() && args.net == NetArg::Relays {
        return Err(CliError::say(Exit::Usage, "peers need namespaces").hint("leave --net out"));
    }
    let order = Order {
        cases: cases(&args),
        peers: peers(&args.peers),
        lanes: args.lanes,
        net: match args.net {
            // It tells clients from copies by their hosts, and its rules are to vanish with the network.
            NetArg::Best if args.fence == FenceArg::Kernel || !args.peers.is_empty() => Want::Spaces,
            NetArg::Best => Want::Best,
            NetArg::Namespaces => Want::Spaces,
            NetArg::Relays => Want::Relays,
        },
        lease,
        guarantee: args.guarantee.word(),
        fence: args.fence.into(),
        store: args.store.into(),
        seed: args.seed,
    };
    for (case, n) in &order.cases {
        if let Some(all) = case.all().filter(|all| n < all) {
            eprintln!("{}: {n} of its {all} places; `--case {0}` without --repeat plays each once", case.name());
        }
    }
    let measured = tokio::select! {
        measured = safety::measure(&order) => measured?,
        () = interrupt_or_hangup() => return Ok(Exit::Interrupted.into()),
    };
    let table = Table::of(&order, measured);
    print!("{}", show(&table));
    if let Some(file) = &args.out {
        let text = serde_json::to_string_pretty(&table).context("cannot write the measurements as JSON")?;
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(if table.all_met() { ExitCode::SUCCESS } else { Exit::Failed.into() })
}

/// Those that can run here; of the others is said what would bring them.
fn peers(wanted: &[Peer]) -> Vec<(Peer, String)> {
    let here = |peer: &Peer| match peer.version() {
        Ok(version) => Some((*peer, version)),
        Err(why) => {
            eprintln!("skipped: {} ({why})", peer.name());
            None
        }
    };
    wanted.iter().filter_map(here).collect()
}

/// What was asked for; without a case all of them, the rarer ones less often.
fn cases(args: &SafetyArgs) -> Vec<(Case, u32)> {
    if !args.cases.is_empty() {
        return args.cases.iter().map(|case| (*case, args.repeat.or(case.all()).unwrap_or(REPEAT))).collect();
    }
    let repeat = args.repeat.unwrap_or(REPEAT);
    let times = |case: Case| match case {
        Case::Cut | Case::Freeze => repeat,
        // Ten rounds say what there is to say, and take minutes.
        Case::Leader | Case::Latency => repeat.min(10),
        Case::Pause => repeat.div_ceil(2),
        Case::Return | Case::Controller | Case::LeaderStep | Case::Random => repeat.div_ceil(4),
        _ => repeat.div_ceil(10),
    };
    // With a fence clients need the lease: where it ends and the writer stays, they are cut off as they should be.
    let fenced = args.fence != FenceArg::None;
    let wanted = Case::value_variants().iter().filter(|case| !fenced || case.expects() == Expect::Moves);
    wanted.map(|case| (*case, times(*case))).collect()
}
