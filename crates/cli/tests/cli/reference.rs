//! docs/cli.md is what the binary itself says of its verbs; `PILOTLIGHT_WRITE_DOCS=1` writes it anew.

use crate::program::{run, said};
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "<!-- Written by `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight reference`. Do not edit. -->

# Command line

What `pilotlight VERB --help` prints. The plan is taken from `--plan FILE`, else from `PILOTLIGHT_PLAN`, else from
`pilotlight.yaml`; the token from where `controller.token` in the plan says.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it ran, and it failed, or did only a part of it |
| 2 | the command line or the plan is wrong |
| 3 | refused by a safety rule, or not confirmed |
| 4 | outcome unknown: look before you try again |
| 70 | a defect of Pilotlight |
| 130 | interrupted |

`PILOTLIGHT_LOG=debug` makes `serve`, `agent`, `observe` and `dns` say more on stderr, `PILOTLIGHT_LOG_FORMAT=json` says it as JSON.
";

/// The verbs below a verb, as its help lists them.
fn verbs(help: &str) -> Vec<&str> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    named.filter_map(|line| line.split_whitespace().next()).collect()
}

/// Adds the help of a verb and of every verb below it.
fn describe(page: &mut String, folder: &Path, verb: &[&str]) {
    let words = [verb, &["--help"]].concat();
    let (code, help, err) = said(&run(folder, &words));
    assert_eq!((code, err.as_str()), (0, ""), "{words:?}");
    let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let name = [&["pilotlight"], verb].concat().join(" ");
    write!(page, "\n## {name}\n\n```text\n{help}```\n").expect("writing to a string cannot fail");
    for below in verbs(&help).into_iter().filter(|below| *below != "help") {
        describe(page, folder, &[verb, &[below]].concat());
    }
}

#[test]
fn the_reference_on_disk_is_what_the_binary_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut page = HEAD.to_owned();
    describe(&mut page, folder.path(), &[]);
    for verb in ["demo", "runbook show", "run approve", "dns"] {
        assert!(page.contains(&format!("\n## pilotlight {verb}\n")), "{verb} is missing in\n{page}");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        std::fs::write(file, &page).unwrap();
    }
    assert!(
        std::fs::read_to_string(file).unwrap_or_default() == page,
        "docs/cli.md is not what the binary says; write it anew with \
         `PILOTLIGHT_WRITE_DOCS=1 cargo test -p pilotlight reference` and look at the difference"
    );
}
