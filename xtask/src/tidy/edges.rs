//! Which crate may use which: the border of every crate, checked; and that it uses what it asks for.
//!
//! Development dependencies are excused from the borders: a test may reach further than the code it tests.

use super::rust::Source;
use super::{Complaint, Kind, Package};

/// Our crates, and which of ours each may use. The same table stands in ARCHITECTURE.md.
const EDGES: &[(&str, &[&str])] = &[
    ("pilotlight-core", &[]),
    ("pilotlight-driver", &["pilotlight-core"]),
    ("pilotlight-gate", &["pilotlight-core", "pilotlight-driver"]),
    ("pilotlight-local", &["pilotlight-core", "pilotlight-driver", "pilotlight-gate"]),
    ("pilotlight-aws", &["pilotlight-core", "pilotlight-driver"]),
    ("pilotlight-door", &[]),
    ("pilotlight-dns", &["pilotlight-core", "pilotlight-door"]),
    ("pilotlight-engine", &["pilotlight-core", "pilotlight-driver"]),
    ("pilotlight-stores", &["pilotlight-core", "pilotlight-engine"]),
    ("pilotlight-agent", &["pilotlight-core", "pilotlight-driver"]),
    // The driver contract: to the engine a remote agent is one more driver.
    ("pilotlight-server", &["pilotlight-core", "pilotlight-door", "pilotlight-driver", "pilotlight-engine"]),
    ("pilotlight-lab", &["pilotlight-core", "pilotlight-driver"]),
    (
        "pilotlight",
        &[
            "pilotlight-core",
            "pilotlight-driver",
            "pilotlight-local",
            "pilotlight-aws",
            "pilotlight-gate",
            "pilotlight-dns",
            "pilotlight-engine",
            "pilotlight-stores",
            "pilotlight-agent",
            "pilotlight-server",
            "pilotlight-lab",
        ],
    ),
    // The controller of the binary in a process of Lambda's.
    (
        "pilotlight-lambda",
        &["pilotlight", "pilotlight-core", "pilotlight-driver", "pilotlight-engine", "pilotlight-server"],
    ),
    // Never part of the product: it puts the real parts into a world of chance.
    (
        "pilotlight-simulation",
        &["pilotlight-core", "pilotlight-driver", "pilotlight-engine", "pilotlight-agent", "pilotlight-server"],
    ),
    // Benchmarks run the engine on the fake driver.
    ("xtask", &["pilotlight-core", "pilotlight-driver", "pilotlight-engine", "pilotlight-simulation"]),
];

/// Everything that the pure crate may use from outside. A clock, a socket or a runtime would make decisions untestable.
const CORE_MAY_USE: &[&str] = &["crc32fast", "saphyr-parser", "serde", "serde_json", "strsim", "thiserror"];

/// Heavy dependencies and the crates that isolate them.
const HOMES: &[(&str, &[&str])] = &[
    ("clap", &["pilotlight"]),
    ("clap_complete", &["pilotlight"]),
    ("indicatif", &["pilotlight"]),
    ("tracing-subscriber", &["pilotlight"]),
    ("hickory-resolver", &["pilotlight-engine"]),
    ("hickory-server", &["pilotlight-dns"]),
    ("maud", &["pilotlight-engine"]),
    ("object_store", &["pilotlight-stores"]),
    ("rusqlite", &["pilotlight-engine"]),
    ("axum", &["pilotlight-dns", "pilotlight-door", "pilotlight-server", "pilotlight-lab"]),
    ("axum-server", &["pilotlight-door"]),
    ("hyper-util", &["pilotlight-door", "pilotlight-aws"]),
    ("rcgen", &["pilotlight-lab"]),
    ("sysinfo", &["pilotlight-local", "pilotlight-lab"]),
    ("tokio-postgres", &["pilotlight-local", "pilotlight-lab"]),
    ("aws-config", &["pilotlight-aws"]),
    ("postgres-protocol", &["pilotlight-gate", "pilotlight-local"]),
    ("lambda_runtime", &["pilotlight-lambda"]),
    ("anyhow", &["pilotlight", "xtask"]),
];

pub(super) fn check(packages: &[Package], sources: &[Source]) -> Vec<Complaint> {
    let borders = packages.iter().flat_map(check_package);
    borders.chain(packages.iter().flat_map(|package| unused(package, sources))).collect()
}

/// What a package asks for and no file of it names.
fn unused<'a>(package: &'a Package, sources: &'a [Source]) -> impl Iterator<Item = Complaint> + 'a {
    let folder = package.manifest.trim_end_matches("Cargo.toml");
    let own: Vec<&Source> = sources.iter().filter(|s| s.path.starts_with(folder)).collect();
    let is_used = move |(name, kind): &&(String, Kind)| {
        let word = name.replace('-', "_");
        own.iter().any(|s| s.names(&word) && (*kind == Kind::Development || !s.is_test_line(0)))
    };
    package.dependencies.iter().filter(move |dependency| !is_used(dependency)).map(|(name, _)| {
        Complaint::new(
            &package.manifest,
            0,
            format!("{name} is asked for, but no code names it"),
            "remove the line, or move it to [dev-dependencies] when only tests use it",
        )
    })
}

fn check_package(package: &Package) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |what: String, mend: &str| complaints.push(Complaint::new(&package.manifest, 0, what, mend));
    let Some((_, may_use)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
        complain(
            format!("crate {} is not in the table of crates", package.name),
            "make it a module, or add it to the tables in xtask/src/tidy/edges.rs and ARCHITECTURE.md with its reason",
        );
        return complaints;
    };
    for (used, kind) in &package.dependencies {
        if *kind == Kind::Development {
            continue;
        }
        let ours = EDGES.iter().any(|(name, _)| name == used);
        if ours && !may_use.contains(&used.as_str()) {
            complain(
                format!("{} must not use {used}", package.name),
                "move the code to the side of the border where it belongs; the table is in ARCHITECTURE.md",
            );
        }
        if package.name == "pilotlight-core" && !ours && !CORE_MAY_USE.contains(&used.as_str()) {
            complain(
                format!("core must stay pure, but uses {used}"),
                "do the work in a crate that may touch the world and hand core a value",
            );
        }
        if let Some((_, homes)) = HOMES.iter().find(|(name, _)| name == used)
            && !homes.contains(&package.name.as_str())
        {
            complain(
                format!("{used} is kept out of {}", package.name),
                "ask the crate that isolates it (see HOMES in xtask/src/tidy/edges.rs)",
            );
        }
    }
    complaints
}
