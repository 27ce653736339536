//! The workspace's packages and their direct dependencies, as `cargo metadata` names them.

use anyhow::Context;
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::Path;

/// What a dependency is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Part of what is built.
    Normal,
    /// Only for tests and examples.
    Development,
    /// Only for build scripts.
    Build,
}

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest, relative to the root.
    pub manifest: String,
    /// Names of what it depends on directly.
    pub dependencies: Vec<(String, Kind)>,
}

/// Asks cargo; touches no network.
pub(super) fn read(root: &Path) -> anyhow::Result<Vec<Package>> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .exec()
        .context("cannot ask cargo for the packages of the workspace")?;
    let packages = metadata.packages.into_iter().map(|package| Package {
        name: package.name.to_string(),
        manifest: match package.manifest_path.strip_prefix(&metadata.workspace_root) {
            Ok(inside) => inside.to_string(),
            Err(_) => package.manifest_path.to_string(),
        },
        dependencies: package.dependencies.into_iter().map(|d| (d.name, kind(d.kind))).collect(),
    });
    Ok(packages.collect())
}

fn kind(kind: DependencyKind) -> Kind {
    match kind {
        DependencyKind::Development => Kind::Development,
        DependencyKind::Build => Kind::Build,
        _ => Kind::Normal,
    }
}
