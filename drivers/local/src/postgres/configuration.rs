//! What in a data directory is the server's own and no part of the database: its configuration and its TLS files. `pg_rewind`
//! and `pg_basebackup` bring the upstream's; the server's own is put aside before and put back after, from disk, so that a
//! crash in the middle loses nothing.
//!
//! It is what ends in `.conf`, in folders of the administrator too, and what the settings in [`NAMING`] name. Not all that is
//! not known to be PostgreSQL's: an extension may keep data beside, which belong to the database and must come with it.

use super::PostgresDriver;
use super::directory::Directory;
use super::durable;
use super::programs::Call;
use super::rebuild::remove_tree;
use super::work::Work;
use pilotlight_core::outcome::Failure;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Settings that name files which are the server's own.
const NAMING: [&str; 7] =
    ["ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file", "ssl_dh_params_file", "hba_file", "ident_file"];

impl PostgresDriver {
    fn config_aside(&self) -> PathBuf {
        self.state_dir.join(format!("config-{}", self.component))
    }

    /// Copies what is the server's own aside, unless a rewind that did so was cut short: then the directory's is perhaps the
    /// upstream's.
    pub(super) async fn put_config_aside(&self, directory: &Directory, work: &Work<'_>) -> Result<(), Failure> {
        let aside = self.config_aside();
        if aside.exists() && self.cut_rewind(directory).is_some() {
            return Ok(());
        }
        self.keep_options(directory)?;
        let named = self.named_files(directory, work).await?;
        let mut beside = aside.as_os_str().to_owned();
        beside.push(".new");
        let beside = Path::new(&beside);
        let copy = || {
            remove_tree(beside)?;
            fs::create_dir_all(beside)?;
            let folders = [directory.path(), &self.own.data_dir];
            let named = named.iter().filter_map(|path| inside(&folders, path));
            let target = Directory::new(beside, None);
            for path in config_files(directory.path())?.into_iter().chain(named) {
                bring(&path, directory.path(), &target)?;
            }
            remove_tree(&aside)?;
            fs::rename(beside, &aside)?;
            durable::sync_folder(&self.state_dir)
        };
        copy().map_err(|e: io::Error| {
            Failure::transient(format!("the configuration cannot be put aside in {}: {e}", aside.display()))
        })
    }

    /// What the settings name, asked of PostgreSQL: it reads every file that another includes.
    async fn named_files(&self, directory: &Directory, work: &Work<'_>) -> Result<Vec<PathBuf>, Failure> {
        let version = directory.version();
        let call = Call { program: "postgres", version: version.as_deref(), folder: directory.path() };
        let start = self.command_line(directory)?;
        let mut named = Vec::new();
        for name in NAMING {
            let args = start.iter().map(String::as_str).chain(["-C", name]).collect::<Vec<_>>();
            let ended = self.programs.run(call, &args, work.left(), &work.stop).await?;
            if !ended.success {
                return Err(Failure::rejected("the server's own configuration cannot be read").output(ended.output));
            }
            named.extend(ended.output.lines().next().filter(|path| !path.is_empty()).map(PathBuf::from));
        }
        Ok(named)
    }

    /// Puts it back, in place of all that came with the copy; without any put aside there is nothing to do. Answers whether
    /// there was.
    pub(super) fn put_config_back(&self, directory: &Directory) -> Result<bool, Failure> {
        let aside = self.config_aside();
        if !aside.exists() {
            return Ok(false);
        }
        let restore = || {
            let own = files(&aside, &|_| true)?;
            // A folder is read for all that it holds: another server's file in it would count.
            for path in config_files(directory.path())?.difference(&own) {
                durable::remove(&directory.path().join(path))?;
            }
            own.iter().try_for_each(|path| bring(path, &aside, directory)).map(|()| true)
        };
        restore().map_err(|e: io::Error| {
            Failure::unknown(format!("the configuration in {} cannot be put back: {e}", aside.display()))
        })
    }

    /// Removes it when the copy is whole and no rewind is noted any more: half of it must never be taken for all of it.
    pub(super) fn drop_config_aside(&self) {
        let aside = self.config_aside();
        if let Err(error) = remove_tree(&aside) {
            tracing::warn!(path = %aside.display(), %error, "the configuration put aside cannot be removed");
        }
    }
}

/// Files of configuration below a data directory, those of PostgreSQL's own folders left out.
fn config_files(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let others = |path: &Path| {
        let top = path.iter().next().and_then(|name| name.to_str()).unwrap_or_default();
        !top.starts_with("pg_") && top != "base" && top != "global"
    };
    let mut found = files(folder, &others)?;
    found.retain(|path| path.extension().is_some_and(|e| e == "conf"));
    Ok(found)
}

/// Files and links below a folder, as seen from there; entered is what `enter` lets pass, and no link.
fn files(folder: &Path, enter: &dyn Fn(&Path) -> bool) -> io::Result<BTreeSet<PathBuf>> {
    let (mut found, mut open) = (BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(within) = open.pop() {
        for entry in fs::read_dir(folder.join(&within))? {
            let entry = entry?;
            let (path, kind) = (within.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                open.extend(enter(&path).then_some(path));
            } else if kind.is_file() || kind.is_symlink() {
                found.insert(path);
            }
        }
    }
    Ok(found)
}

/// What a path names that leads into a folder, given by all its names, as seen from there: the file, or the first link on the way,
/// which is kept as one. Nothing where it leads elsewhere, or nothing is there.
fn inside(names: &[&Path; 2], path: &Path) -> Option<PathBuf> {
    let [folder, _] = names;
    let within = match path.is_absolute() {
        true => names.iter().find_map(|name| path.strip_prefix(name).ok())?,
        false => path,
    };
    let mut found = PathBuf::new();
    for part in within.components() {
        let Component::Normal(name) = part else { return None };
        found.push(name);
        let kind = fs::symlink_metadata(folder.join(&found)).ok()?.file_type();
        if kind.is_symlink() || kind.is_file() {
            return Some(found);
        }
    }
    None
}

/// Brings a file or a link to the same place below another folder, durably, and to that folder's account.
fn bring(path: &Path, from: &Path, to: &Directory) -> io::Result<()> {
    let mut folder = to.path().to_owned();
    for name in path.parent().into_iter().flat_map(Path::iter) {
        folder.push(name);
        match fs::symlink_metadata(&folder) {
            Ok(about) if about.is_dir() => {}
            Ok(_) => return Err(io::Error::other(format!("{} is no folder", folder.display()))),
            Err(_) => durable::folder(&folder, to.owner())?,
        }
    }
    let (source, target) = (from.join(path), to.path().join(path));
    match fs::read_link(&source) {
        Ok(leads) => durable::link(&leads, &target, to.owner()),
        Err(_) => durable::write(&target, &durable::read(&source)?, to.owner()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn configuration_is_found_in_folders_of_the_administrator_and_not_in_those_of_the_database() {
        let folder = tempfile::tempdir().unwrap();
        for made in ["conf.d/east", "base/1", "pg_stat", "log", "elsewhere"] {
            fs::create_dir_all(folder.path().join(made)).unwrap();
        }
        for file in
            ["pg_hba.conf", "conf.d/east/1.conf", "conf.d/notes", "base/1/x.conf", "pg_stat/y.conf", "server.key"]
        {
            fs::write(folder.path().join(file), "mine").unwrap();
        }
        symlink(folder.path().join("base"), folder.path().join("linked")).unwrap();
        symlink("/etc/x.conf", folder.path().join("postgresql.conf")).unwrap();
        let found = config_files(folder.path()).unwrap();
        let expected = ["conf.d/east/1.conf", "pg_hba.conf", "postgresql.conf"];
        assert_eq!(found, expected.into_iter().map(PathBuf::from).collect());
    }

    #[test]
    fn a_name_is_kept_where_it_leads_into_the_directory_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        fs::create_dir(data.join("tls")).unwrap();
        fs::write(data.join("tls/server.key"), "mine").unwrap();
        symlink("/etc", data.join("etc")).unwrap();
        for (name, kept) in [
            ("tls/server.key", Some("tls/server.key")),
            (data.join("tls/server.key").to_str().unwrap(), Some("tls/server.key")),
            ("/link/tls/server.key", Some("tls/server.key")),
            ("etc/passwd", Some("etc")),
            ("server.crt", None),
            ("tls", None),
            ("tls/../../passwd", None),
            ("/etc/passwd", None),
        ] {
            assert_eq!(inside(&[data, Path::new("/link")], Path::new(name)), kept.map(PathBuf::from), "{name}");
        }
        let other = tempfile::tempdir().unwrap();
        let owner = Some((nix::unistd::getuid(), nix::unistd::getgid()));
        let to = Directory::new(other.path(), owner);
        bring(Path::new("tls/server.key"), data, &to).unwrap();
        bring(Path::new("etc"), data, &to).unwrap();
        assert_eq!(fs::read_to_string(other.path().join("tls/server.key")).unwrap(), "mine");
        assert_eq!(fs::read_link(other.path().join("etc")).unwrap(), Path::new("/etc"));
        symlink("/etc", other.path().join("conf.d")).unwrap();
        fs::create_dir(data.join("conf.d")).unwrap();
        fs::write(data.join("conf.d/x.conf"), "mine").unwrap();
        assert!(bring(Path::new("conf.d/x.conf"), data, &to).is_err(), "nothing is written through a link");
    }
}
