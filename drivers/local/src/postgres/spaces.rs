//! Tablespaces: a copy that is made anew has them at the paths of its source, which have to be free here.
//!
//! `pg_basebackup` looks at that itself, but only after the copy has begun, and says nothing of what to do. What lies there is
//! never removed here: a path is no proof of whose it is.

use super::PostgresDriver;
use super::session::column;
use super::upstream::PEER_TIMEOUT;
use pilotlight_core::code;
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Failure, Finding, Severity};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Those outside of the data directory; the others are copied with it.
const ASK: &str = "SELECT spcname AS name, pg_tablespace_location(oid) AS place FROM pg_tablespace \
    WHERE pg_tablespace_location(oid) LIKE '/%' ORDER BY spcname";

const HINT: &str = "once what it held is kept, stop the copy, empty that folder by hand, then `pilotlight rejoin`";

/// A folder that can take a tablespace: none yet, or an empty one.
fn is_free(place: &Path) -> bool {
    match fs::read_dir(place) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn taken(spaces: Vec<(String, PathBuf)>) -> Option<String> {
    let (name, place) = spaces.into_iter().find(|(_, place)| !is_free(place))?;
    Some(format!("the tablespace {name} would be put in {}, which is not empty here", place.display()))
}

impl PostgresDriver {
    /// Why a copy of that writer cannot be made anew for want of a free place.
    async fn space_taken(&self, upstream: &Region) -> Result<Option<String>, Failure> {
        let session = self.session_of(self.peer(upstream)?);
        let rows = session.rows(ASK, PEER_TIMEOUT, true).await;
        let rows = rows.map_err(|e| Failure::transient(format!("the tablespaces of {upstream} are not known: {e}")))?;
        let space = |row| Some((column(row, "name")?.to_owned(), PathBuf::from(column(row, "place")?)));
        Ok(taken(rows.iter().filter_map(space).collect()))
    }

    /// Before anything is copied or stopped.
    pub(super) async fn has_places(&self, upstream: &Region, why: &str) -> Result<(), Failure> {
        let Some(no) = self.space_taken(upstream).await? else { return Ok(()) };
        Err(self.not_built(code::REBUILD_TABLESPACE, why, &no).hint(HINT))
    }

    /// The same beforehand; `foretold` is what a rejoin of a stopped copy would do.
    pub(super) async fn of_places(&self, upstream: &Region, foretold: &[Finding]) -> Option<Finding> {
        let is = |code: code::Code| foretold.iter().any(|f| f.code == code.as_str());
        let severity = match (is(code::BUILT_ANEW), is(code::WILL_REWIND)) {
            (true, _) => Severity::Blocker,
            (false, true) => Severity::Warning,
            (false, false) => return None,
        };
        let here = format!("{} in {}", self.component, self.region);
        let (code, hint) = (code::REBUILD_TABLESPACE.to_string(), HINT.to_owned());
        match self.space_taken(upstream).await {
            Ok(no) => {
                no.map(|no| Finding { code, severity, message: format!("{here} cannot be built anew: {no}"), hint })
            }
            Err(failure) => Some(Finding::unseen(&here, &failure)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_where_nothing_lies_and_what_is_no_folder_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("empty")).unwrap();
        fs::create_dir_all(at("used/PG_15_202209061")).unwrap();
        fs::write(at("file"), "").unwrap();
        let told = |names: &[&str]| taken(names.iter().map(|n| ((*n).to_owned(), at(n))).collect());
        assert_eq!(told(&["empty", "absent"]), None);
        for name in ["used", "file"] {
            let why = told(&["empty", name]).unwrap();
            assert!(
                why.contains(&format!("tablespace {name} ")) && why.contains(&at(name).display().to_string()),
                "{why}"
            );
        }
    }
}
