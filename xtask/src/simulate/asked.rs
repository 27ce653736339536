//! What can be typed after `cargo xtask simulate`.

use anyhow::{Context, bail};
use pilotlight_simulation::{Bug, Law, Options, Promise};

/// What was asked for.
pub(super) struct Asked {
    pub(super) seeds: u64,
    pub(super) first: u64,
    pub(super) jobs: u64,
    /// So many seeds that break a law end it.
    pub(super) failures: usize,
    pub(super) log: bool,
    pub(super) only: Option<Vec<usize>>,
    pub(super) bug: Option<Bug>,
    /// Each planted bug in its turn.
    pub(super) every_bug: bool,
    pub(super) promise: Option<Promise>,
}

impl Asked {
    /// The first seed that is not asked for.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.seeds)
    }

    pub(super) fn options(&self, log: bool) -> Options {
        Options { bug: self.bug, log, promise: self.promise, ..Options::default() }
    }

    /// What leads to the same worlds.
    pub(super) fn words(&self) -> String {
        let bug = self.bug.map_or(String::new(), |b| format!(" --bug {}", b.name()));
        let promise = self.promise.map_or(String::new(), |p| format!(" --guarantee {}", p.name()));
        format!("{bug}{promise}")
    }
}

pub(super) fn read(arguments: &[String]) -> anyhow::Result<Asked> {
    let jobs = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let mut asked = Asked {
        seeds: 10_000,
        first: 0,
        jobs,
        failures: 1,
        log: false,
        only: None,
        bug: None,
        every_bug: false,
        promise: None,
    };
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if word == "--laws" {
            println!("{}", laws());
            continue;
        }
        if word == "--log" {
            asked.log = true;
            continue;
        }
        let value = rest.next().with_context(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u64>().with_context(|| format!("{word} needs a number, not {value}"));
        match word.as_str() {
            "--seeds" => asked.seeds = number()?,
            "--first" => asked.first = number()?,
            "--jobs" => asked.jobs = number()?.max(1),
            "--failures" => asked.failures = usize::try_from(number()?).unwrap_or(usize::MAX).max(1),
            "--only" => {
                let numbers = value.split(',').map(str::parse).collect::<Result<_, _>>();
                asked.only = Some(numbers.context("--only needs the numbers of faults, such as 0,2")?);
            }
            "--guarantee" => {
                let found = Promise::ALL.into_iter().find(|p| p.name() == value);
                let known = Promise::ALL.map(Promise::name).join(", ");
                asked.promise =
                    Some(found.with_context(|| format!("no guarantee is called {value}; there are {known}"))?);
            }
            "--bug" if value == "all" => asked.every_bug = true,
            "--bug" => {
                let known = Bug::ALL.iter().map(|b| format!("  {:24}{}", b.name(), b.what())).collect::<Vec<_>>();
                let unknown = || format!("no planted bug is called {value}; there are\n{}", known.join("\n"));
                asked.bug = Some(Bug::named(value).with_context(unknown)?);
            }
            _ => bail!("simulate knows no {word}; the laws it checks:\n{}", laws()),
        }
    }
    if asked.only.is_some() && !asked.log {
        bail!("--only names the faults of one world: add --log");
    }
    Ok(asked)
}

fn laws() -> String {
    Law::ALL.iter().map(|l| format!("  {:24}{}", l.name(), l.says())).collect::<Vec<_>>().join("\n")
}
