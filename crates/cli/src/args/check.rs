//! What `init` and `check` take: they are about the plan itself, so it is their argument. As everywhere else it may also be
//! given with `--plan`.

use clap::Args;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where to write it
    #[arg(default_value = "pilotlight.yaml")]
    plan: PathBuf,
    #[command(flatten)]
    named: Named,
    /// Replaces an existing file
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The plan
    #[arg(env = "PILOTLIGHT_PLAN", default_value = "pilotlight.yaml")]
    plan: PathBuf,
    #[command(flatten)]
    named: Named,
    /// Also reaches everything the plan names
    #[arg(long)]
    pub(crate) live: bool,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints the JSON schema of plans, for editors, and does nothing else
    #[arg(long)]
    pub(crate) schema: bool,
}

// The plan by its option. Where both are given the last one counts: a conflict would be one with the variable, too.
#[derive(Debug, Args)]
struct Named {
    /// The same as PLAN, as every other verb takes it
    #[arg(long = "plan", short = 'p', value_name = "FILE", overrides_with = "plan")]
    named: Option<PathBuf>,
}

impl Named {
    fn or<'a>(&'a self, argument: &'a Path) -> &'a Path {
        self.named.as_deref().unwrap_or(argument)
    }
}

impl InitArgs {
    /// Where it goes.
    pub(crate) fn plan(&self) -> &Path {
        self.named.or(&self.plan)
    }
}

impl CheckArgs {
    /// What is checked.
    pub(crate) fn plan(&self) -> &Path {
        self.named.or(&self.plan)
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Verb};
    use clap::Parser;

    #[test]
    fn the_plan_may_be_named_as_everywhere_else_and_the_last_word_counts() {
        let plan = |line: &str| match Cli::try_parse_from(line.split(' ')).expect("it is understood").verb {
            Verb::Check(args) => args.plan().to_owned(),
            Verb::Init(args) => args.plan().to_owned(),
            other => panic!("{other:?}"),
        };
        for words in ["a.yaml", "--plan a.yaml", "-p a.yaml", "b.yaml --plan a.yaml", "-p b.yaml a.yaml"] {
            for verb in ["check", "init"] {
                let line = format!("pilotlight {verb} {words}");
                assert_eq!(plan(&line).to_str(), Some("a.yaml"), "{line}");
            }
        }
        assert_eq!(plan("pilotlight init").to_str(), Some("pilotlight.yaml"));
    }
}
