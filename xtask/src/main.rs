//! The dispatcher of `cargo xtask`: picks a task, prints what it says, sets the exit code.

mod bench;
mod simulate;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Worlds are made of small values that come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "usage: cargo xtask TASK

  tidy                                    check the rules of the house that the compiler does not know
  bench engine [--repeat N] [--json FILE] the engine's makespan and recovery on a durable journal
  bench failover [--repeat N] [--json FILE]
                                          real moves of real PostgreSQL beside the floor
  bench aws [--repeat N] [--json FILE] [--case CASE] [--speed S]
                                          moves of what AWS runs, against the AWS test server: what is ours beside the
                                          provider's phases, calls a second, the size of the binary
  bench safety [--repeat N] [--json FILE] [--case CASE] [--lanes N] [--net KIND] [--guarantee WORD]
               [--fence KIND] [--store KIND] [--peer PEER]
                                          real cuts, freezes and deaths, and what the clients saw
  simulate [--seeds N] [--first S] [--jobs J] [--failures F] [--bug NAME] [--guarantee WORD]
                                          ourselves in seeded worlds of virtual time, on every core unless J says
                                          otherwise, until F seeds have broken a law (docs/simulation.md)
  simulate --first S --log [--only I,J]   one seed's whole story
  simulate --seeds 0 --laws               what must hold in every world";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("tidy") => tidy(&root()),
        Some("bench") => bench::run(&arguments[1..]),
        Some("simulate") => simulate::run(&arguments[1..]),
        _ => {
            eprintln!("{USAGE}");
            Ok(ExitCode::from(2))
        }
    }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies inside the workspace").to_path_buf()
}

fn tidy(root: &Path) -> anyhow::Result<ExitCode> {
    let complaints = xtask::tidy::check(root)?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy: nothing to complain about");
        return Ok(ExitCode::SUCCESS);
    }
    println!("tidy: {} to mend", complaints.len());
    Ok(ExitCode::FAILURE)
}
