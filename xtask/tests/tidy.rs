//! The workspace is tidy, and each rule of tidy finds a fault planted for it.

use std::path::Path;
use xtask::tidy::{self, Kind, Package, Tree};

#[test]
fn the_workspace_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        std::fs::write(root.join(tidy::MODULES), tidy::modules(&Tree::read(root).unwrap())).unwrap();
    }
    assert!(root.join(tidy::MODULES).is_file(), "{} is gone: run this with PILOTLIGHT_WRITE_DOCS=1", tidy::MODULES);
    let complaints = tidy::check(root).unwrap();
    let text: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(complaints.is_empty(), "{} to mend:\n{}", text.len(), text.join("\n"));
}

#[test]
fn a_page_of_modules_that_is_stale_is_told_with_its_line() {
    let file = ("crates/core/src/lib.rs", "//! Pure.\n");
    let page = tidy::modules(&Tree::of([file]));
    let stale = |page: &str| {
        let tree = Tree::of([file, (tidy::MODULES, page)]);
        let complaints = tidy::check_all(&tree, &[]);
        complaints.into_iter().filter(|one| one.path == tidy::MODULES && one.what.contains("stale")).collect::<Vec<_>>()
    };
    assert!(stale(&page).is_empty());
    let told = stale(&page.replace("Pure.", "Impure."));
    assert_eq!((told.len(), told[0].line), (1, page.lines().count()), "{told:?}");
    assert_eq!(stale(&page.replace("- Pure.\n", ""))[0].line, page.lines().count());
}

#[test]
fn a_module_is_told_by_its_first_sentence_alone() {
    let tree = Tree::of([
        ("crates/core/src/lib.rs", "//! Pure.\n//!\n//! More.\n"),
        ("crates/core/src/plan/facet.rs", "//! What a [`Kind`] means\n//! to others. And more.\nfn f() {}\n"),
        ("crates/core/src/plan/tests.rs", "//! Tests.\n"),
    ]);
    let page = tidy::modules(&tree);
    assert!(
        page.ends_with("\n## `crates/core`\n\n- Pure.\n- `plan::facet`: What a `Kind` means to others.\n"),
        "{page}"
    );
}

/// What is said of a tree beside the files that every tree must have.
fn said_of(files: &[(&str, &str)]) -> String {
    let always = [("CHANGELOG.md", "## Unreleased\n"), ("docs/dependencies.md", "")];
    let tree = Tree::of(always.into_iter().chain(files.iter().copied()));
    said(&tidy::check_all(&tree, &[]))
}

fn said(complaints: &[tidy::Complaint]) -> String {
    complaints.iter().map(|c| format!("{}:{} {}\n", c.path, c.line, c.what)).collect()
}

fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
    let dependencies = dependencies.iter().map(|(n, k)| ((*n).to_owned(), *k)).collect();
    Package { name: name.to_owned(), manifest: format!("{name}/Cargo.toml"), dependencies }
}

fn said_of_packages(package: Package) -> String {
    let reasons: String = package.dependencies.iter().map(|(name, _)| format!("| `{name}` | why |\n")).collect();
    let tree = Tree::of([("CHANGELOG.md", "## Unreleased\n"), ("docs/dependencies.md", &reasons)]);
    let said = said(&tidy::check_all(&tree, &[package]));
    said.lines().filter(|l| !l.contains("not a direct") && !l.contains("no code names it")).collect()
}

#[test]
fn a_tidy_tree_is_left_alone() {
    let code = "//! Doc.\nfn f() -> u8 { 1 }\n#[cfg(test)]\nmod tests { fn g() { Some(1).unwrap(); } }\n";
    assert_eq!(said_of(&[("crates/core/src/id.rs", code)]), "");
}

#[test]
fn crates_keep_their_borders() {
    let said = said_of_packages(package("pilotlight-engine", &[("pilotlight-local", Kind::Normal)]));
    assert_eq!(said, "pilotlight-engine/Cargo.toml:0 pilotlight-engine must not use pilotlight-local");
    let excused = said_of_packages(package("pilotlight-engine", &[("pilotlight-local", Kind::Development)]));
    assert_eq!(excused, "");
    let said = said_of_packages(package("pilotlight-core", &[("tokio", Kind::Normal)]));
    assert_eq!(said, "pilotlight-core/Cargo.toml:0 core must stay pure, but uses tokio");
    let said = said_of_packages(package("pilotlight-agent", &[("rusqlite", Kind::Build)]));
    assert_eq!(said, "pilotlight-agent/Cargo.toml:0 rusqlite is kept out of pilotlight-agent");
    let said = said_of_packages(package("pilotlight-extra", &[]));
    assert_eq!(said, "pilotlight-extra/Cargo.toml:0 crate pilotlight-extra is not in the table of crates");
}

#[test]
fn every_dependency_is_used() {
    let uses = |path, code| {
        let tree = Tree::of([
            ("CHANGELOG.md", "## Unreleased\n"),
            ("docs/dependencies.md", "| `a-b` | why |\n"),
            (path, code),
        ]);
        said(&tidy::check_all(&tree, &[package("pilotlight-core", &[("a-b", Kind::Normal)])]))
    };
    let unused = "a-b is asked for, but no code names it";
    let code = "//! Doc.\nuse a_b::c;\n";
    assert!(!uses("pilotlight-core/src/lib.rs", code).contains(unused));
    assert!(uses("pilotlight-core/src/lib.rs", "//! Doc: a_b.\nfn f() {}\n").contains(unused));
    assert!(uses("pilotlight-core/src/tests.rs", code).contains(unused));
    assert!(uses("other/src/lib.rs", code).contains(unused));
}

#[test]
fn every_dependency_has_a_reason() {
    let tree = Tree::of([
        ("CHANGELOG.md", "## Unreleased\n"),
        ("docs/dependencies.md", "| `gone` | why |\n"),
        ("pilotlight-driver/src/lib.rs", "//! Doc.\nuse serde::Serialize;\n"),
    ]);
    let said = said(&tidy::check_all(&tree, &[package("pilotlight-driver", &[("serde", Kind::Normal)])]));
    assert_eq!(
        said,
        "docs/dependencies.md:0 serde is a dependency without a reason\n\
         docs/dependencies.md:1 gone is not a direct dependency\n"
    );
}

#[test]
fn sources_open_with_what_they_are_for() {
    assert_eq!(said_of(&[("crates/a/src/a.rs", "fn f() {}\n")]), "crates/a/src/a.rs:1 does not open with `//!`\n");
}

#[test]
fn unwrap_is_for_tests() {
    let code = "//! Doc.\nfn f() { Some(1).unwrap(); }\n#[cfg(not(test))]\nfn g() { dbg(x.unwrap()); }\n";
    let said = said_of(&[("crates/a/src/a.rs", code)]);
    assert_eq!(said, "crates/a/src/a.rs:2 unwrap outside tests\ncrates/a/src/a.rs:4 unwrap outside tests\n");
    let parent = "//! Doc.\n#[cfg(test)]\nmod fixture;\n";
    let child = "//! Doc.\nfn f() { Some(1).unwrap(); }\n";
    assert_eq!(said_of(&[("crates/a/src/a.rs", parent), ("crates/a/src/a/fixture.rs", child)]), "");
    assert_eq!(said_of(&[("crates/a/tests/a.rs", child)]), "");
}

#[test]
fn tests_do_not_sleep() {
    let code = "//! Doc.\n#[tokio::test]\nasync fn t() { tokio::time::sleep(d).await; }\n";
    assert_eq!(said_of(&[("crates/a/src/a.rs", code)]), "crates/a/src/a.rs:3 a bare sleep in a test\n");
    let code = "//! Doc.\nfn f() { assert!({ std::thread::sleep(d); true }); }\n";
    assert_eq!(said_of(&[("crates/a/tests/a.rs", code)]), "crates/a/tests/a.rs:2 a bare sleep in a test\n");
    assert_eq!(said_of(&[("crates/a/src/a.rs", code)]), "");
    let code = "//! Doc.\nimpl Clock for C { async fn sleep(&self) { tokio::time::sleep(d).await; } }\n";
    assert_eq!(said_of(&[("crates/a/tests/a.rs", code)]), "");
}

#[test]
fn names_say_something() {
    let said = said_of(&[
        ("crates/a/src/string_utils.rs", "//! Doc.\n"),
        ("crates/a/src/lib.rs", "//! Doc.\nmod helper {}\n"),
    ]);
    assert_eq!(
        said,
        "crates/a/src/lib.rs:2 the module name says nothing: helper\n\
         crates/a/src/string_utils.rs:0 the file name says nothing: utils\n"
    );
}

#[test]
fn sizes_only_shrink() {
    let long = format!("//! Doc.\n{}", "\n".repeat(560));
    let path = "crates/a/src/a.rs";
    assert_eq!(said_of(&[(path, &long)]), "crates/a/src/a.rs:0 561 lines, at most 500 are allowed\n");
    let with = |exception: &str| said_of(&[(path, &long), ("xtask/tidy-sizes.txt", exception)]);
    assert_eq!(with("crates/a/src/a.rs 570"), "");
    assert_eq!(
        with("crates/a/src/a.rs 600"),
        format!("xtask/tidy-sizes.txt:1 {path} has 561 lines, its exception says 600\n")
    );
    assert_eq!(
        said_of(&[(path, "//! Doc.\n"), ("xtask/tidy-sizes.txt", "# why\ncrates/a/src/a.rs 570")]),
        format!("xtask/tidy-sizes.txt:2 {path} has 1 lines, its exception says 570\n")
    );
}

#[test]
fn long_functions_stay_rare() {
    let code = format!("//! Doc.\nfn long() {{{}}}\n", "\n".repeat(71));
    assert!(said_of(&[("crates/a/src/a.rs", &code)]).contains("a.rs:2 long has 72 lines, more than 70; 1 of 1"));
    let many = format!("{code}{}", "fn f() {}\n".repeat(99));
    assert_eq!(said_of(&[("crates/a/src/a.rs", &many)]), "");
}

#[test]
fn open_ends_name_an_issue_and_nothing_names_a_machine() {
    let mark = ["TO", "DO"].concat();
    let text = format!("a {mark}: later\nb {mark} #12: later\nc {mark}(#3)\nMASTER{mark}\n");
    assert_eq!(said_of(&[("a.txt", &text)]), format!("a.txt:1 {mark} without an issue number\n"));
    let folder = ["/wo", "rk/"].concat();
    let text = format!("cd {folder}main\nhttps://example.org{folder}main\n");
    assert_eq!(said_of(&[("a.sh", &text)]), format!("a.sh:1 {folder} is a path of one machine\n"));
    let lock = "source = \"registry+https://mirror.example/index\"\n";
    assert!(said_of(&[("Cargo.lock", lock)]).contains("is not the public index"));
    assert!(said_of(&[(".cargo/config.toml", "[source.crates-io]\n")]).contains("private registry"));
}

#[test]
fn links_lead_somewhere() {
    let text = "# Two Words\n[a](b.md) [c](c.md#part-one) [c](c.md#part-two) [up](../README.md) [x](https://x.y/z)\n\
                [here](#two-words) [there](#three)\n```\n[no](link.md)\n```\n";
    let said = said_of(&[("docs/a.md", text), ("docs/c.md", "## Part one\n"), ("README.md", "<img src=\"no.svg\">\n")]);
    assert_eq!(
        said,
        "README.md:1 link to no.svg: there is no no.svg\n\
         docs/a.md:2 link to b.md: there is no docs/b.md\n\
         docs/a.md:2 link to c.md#part-two: docs/c.md has no such heading\n\
         docs/a.md:3 link to #three: docs/a.md has no such heading\n"
    );
}

#[test]
fn every_code_has_its_page() {
    let code =
        "//! Doc.\nconst A: &str = \"PL-0001\";\nconst B: &str = \"PL-0002\";\n#[test]\nfn t() { f(\"PL-0003\"); }\n";
    let said = said_of(&[("crates/a/src/a.rs", code), ("docs/errors/PL-0001.md", ""), ("docs/errors/PL-0009.md", "")]);
    assert_eq!(said, "crates/a/src/a.rs:3 PL-0002 has no page\ndocs/errors/PL-0009.md:0 no code names this page\n");
}

#[test]
fn the_changelog_is_open() {
    let tree = Tree::of([("CHANGELOG.md", "## 1.0\n"), ("docs/dependencies.md", "")]);
    assert_eq!(said(&tidy::check_all(&tree, &[])), "CHANGELOG.md:0 has no section \"Unreleased\"\n");
}

#[test]
fn terraform_leaves_alone_what_pilotlight_moves() {
    let service = |lifecycle: &str| {
        let text = format!("resource \"aws_ecs_service\" \"this\" {{\n  desired_count = 1\n{lifecycle}}}\n");
        said_of(&[("terraform/modules/ecs/main.tf", &text)])
    };
    let said = service("");
    assert!(said.contains("main.tf:1 aws_ecs_service does not leave desired_count alone"), "{said}");
    assert!(said.contains("does not leave capacity_provider_strategy alone"), "{said}");
    let list = "  lifecycle {\n    ignore_changes = [\n      # Pilotlight raises it.\n      desired_count,\n      capacity_provider_strategy,\n    ]\n  }\n";
    assert_eq!(service(list), "");
    let said = service("  lifecycle {\n    ignore_changes = [desired_count, capacity_provider_strategy]\n  }\n");
    assert!(said.contains("leaves desired_count alone and does not say why"), "{said}");
    let record = "resource \"aws_route53_record\" \"this\" {\n  weighted_routing_policy {\n    weight = 1\n  }\n}\n";
    let said = said_of(&[("terraform/main.tf", record)]);
    assert!(said.contains("does not leave weighted_routing_policy alone"), "{said}");
}

#[test]
fn rights_are_those_that_the_drivers_call() {
    let document =
        "| kind | calls | phases |\n|---|---|---|\n| `ecs` | `ecs:DescribeServices`, `UpdateService` (x) | - |\n";
    let said = |rights: &str| said_of(&[("docs/aws.md", document), ("terraform/modules/iam/rights.json", rights)]);
    let good = r#"{"ecs": {"ecs:DescribeServices": "named", "ecs:UpdateService": "named"}}"#;
    assert_eq!(said(good), "");
    let text = said(r#"{"ecs": {"ecs:DescribeServices": "named", "ecs:DeleteService": "named"}}"#);
    assert!(text.contains("ecs calls ecs:UpdateService (docs/aws.md), and no policy gives the right"), "{text}");
    assert!(text.contains("ecs is given ecs:DeleteService, which docs/aws.md does not list"), "{text}");
}
