//! What the README of an example tells to type.

use std::fs;
use std::path::Path;

pub(super) struct Page {
    /// The words after `pilotlight`, in the page's order.
    commands: Vec<Vec<String>>,
}

impl Page {
    pub(super) fn of(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("README.md")).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("    pilotlight "));
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        let page = Self { commands: lines.map(words).collect() };
        let verbs: Vec<&str> = page.commands.iter().map(|c| c[0].as_str()).collect();
        let known = ["check", "import", "serve", "failover", "failback", "drain", "drill"];
        assert!(verbs.iter().all(|v| known.contains(v)), "a command that nothing here tries: {verbs:?}");
        // Terraform's state is elsewhere; that a plan can be made of such a folder is tried with one.
        let import = page.commands.iter().find(|c| c[0] == "import").expect("it tells how to import");
        assert!(folder.join(&import[2]).join("outputs.tf").exists(), "{import:?}");
        page
    }

    /// The commands that change nothing.
    pub(super) fn looks(&self) -> Vec<Vec<String>> {
        let changes_nothing = |c: &&Vec<String>| c[0] == "check" || c.iter().any(|word| word == "--dry-run");
        self.commands.iter().filter(changes_nothing).cloned().collect()
    }

    /// The command that begins with a verb, answered in advance, with some words replaced.
    pub(super) fn answered(&self, verb: &str, instead: &[(&str, &str)]) -> Vec<String> {
        let acts = |c: &&Vec<String>| c[0] == verb && !c.iter().any(|word| word == "--dry-run");
        let command = self.commands.iter().find(acts).unwrap_or_else(|| panic!("it does not tell how to {verb}"));
        let other =
            |word: &String| instead.iter().find(|(w, _)| w == word).map_or(word.clone(), |(_, o)| (*o).to_owned());
        command.iter().map(other).chain(["--yes".to_owned()]).collect()
    }
}
