//! How the environment that an example's page names has the health of its users' name checked, read from its Terraform: the
//! test server's checkers do the same.

use std::fs;
use std::path::Path;

#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    /// Seconds between two looks of a checker.
    pub(super) interval: u64,
    /// So many of the same in a row count.
    pub(super) failures: u64,
}

impl Checked {
    pub(super) fn of(environment: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(environment.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let (main, module) = (text("main.tf"), text("../../modules/route53-failover/variables.tf"));
        let default = |name: &str| {
            let (_, variable) = module.split_once(&format!("variable \"{name}\" {{")).expect("the module has it");
            number(variable, "default").expect("it has a default")
        };
        let set = |name: &str| number(&main, name).unwrap_or_else(|| default(name));
        Self { interval: set("check_interval"), failures: set("check_failures") }
    }

    /// How long it is until the checkers say something else, in seconds.
    pub(super) fn takes(self) -> u64 {
        self.interval * self.failures
    }
}

/// The first `NAME = NUMBER`.
fn number(text: &str, name: &str) -> Option<u64> {
    let set = |line: &str| line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().parse().ok();
    text.lines().find_map(set)
}
