//! What a test needs and a machine may lack: there it is skipped with a printed reason, unless it was said to be required.
//!
//! The one place of this rule. `PILOTLIGHT_REQUIRE` is a list of names, or `all`, with `-name` for what cannot be had:
//! a test that would be skipped for want of one of them fails instead. The Makefile names what its own scripts install.

use std::collections::BTreeSet;
use std::fmt::Display;

/// Where it is said.
const VARIABLE: &str = "PILOTLIGHT_REQUIRE";

/// What can be required. Without PostgreSQL nothing is skipped, so naming it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// `etcd`: a cluster of it can be started.
    Etcd,
    /// `moto`: the Python environment of the servers that speak S3 and AWS.
    Moto,
    /// `postgres`
    Postgres,
    /// `namespaces`: of the network, or of processes and mounts.
    Namespaces,
    /// `nft`: the kernel takes rules of nftables.
    Nft,
    /// `mounts`: a small file system can be mounted.
    Mounts,
    /// `terraform`: with its provider.
    Terraform,
}

const NEEDS: [(&str, Need); 7] = [
    ("etcd", Need::Etcd),
    ("moto", Need::Moto),
    ("postgres", Need::Postgres),
    ("namespaces", Need::Namespaces),
    ("nft", Need::Nft),
    ("mounts", Need::Mounts),
    ("terraform", Need::Terraform),
];

/// Says why a test is skipped; where what it lacks is required, that is a failure.
///
/// # Panics
/// When it is required, or when `PILOTLIGHT_REQUIRE` cannot be understood.
pub fn skip(lacks: Need, why: impl Display) {
    let said = std::env::var(VARIABLE).unwrap_or_default();
    let required = read(&said).unwrap_or_else(|why| panic!("{VARIABLE}={said}: {why}"));
    assert!(!required.contains(&lacks), "{VARIABLE}={said}, and here it cannot be had: {why}");
    eprintln!("skipped: {why}");
}

fn read(said: &str) -> Result<BTreeSet<Need>, String> {
    let mut required = BTreeSet::new();
    for word in said.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (name, wanted) = word.strip_prefix('-').map_or((word, true), |name| (name, false));
        let named = NEEDS.iter().filter(|(known, _)| *known == name || name == "all").map(|(_, need)| *need);
        let named: Vec<Need> = named.collect();
        if named.is_empty() {
            let known: Vec<&str> = NEEDS.iter().map(|(known, _)| *known).collect();
            return Err(format!("there is no `{name}`; there are all, {}", known.join(", ")));
        }
        for need in named {
            if wanted {
                required.insert(need)
            } else {
                required.remove(&need)
            };
        }
    }
    Ok(required)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_or_all_but_some() {
        assert_eq!(read("").unwrap(), BTreeSet::new());
        assert_eq!(read("etcd, moto,").unwrap(), BTreeSet::from([Need::Etcd, Need::Moto]));
        let most = read("all,-terraform,-namespaces").unwrap();
        assert!(most.len() == NEEDS.len() - 2 && !most.contains(&Need::Terraform));
        let unknown = read("etcd,motto").unwrap_err();
        assert!(unknown.contains("`motto`") && unknown.contains("moto"), "{unknown}");
    }
}
