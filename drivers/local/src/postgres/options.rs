//! The command line of a server's last start: it says where the configuration lies that is not in the data directory, and goes
//! before every file of it. The agent starts with the same words, as `pg_ctl restart` does.
//!
//! PostgreSQL keeps it in `postmaster.opts` of the data directory, which `pg_rewind` removes and `pg_basebackup` does not copy:
//! the agent keeps it in its own folder, too.

use super::PostgresDriver;
use super::directory::Directory;
use super::durable;
use super::processes::Proc;
use pilotlight_core::outcome::Failure;
use pilotlight_driver::clock::within;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A look does not wait longer for either disk; it is kept all the same when that of the agent's folder goes on.
const PATIENCE: Duration = Duration::from_millis(200);

/// Left out of the agent's own starts: it says itself where the data are; the others it decides in files, or undo that writers wait.
const DECIDED: [&str; 7] = [
    "data_directory",
    "primary_conninfo",
    "restart_after_crash",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_receiver_timeout",
    "wal_retrieve_retry_interval",
];

/// The file in which the configuration begins.
const MAIN: &str = "postgresql.conf";

/// The words behind the program's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options(Vec<String>);

impl Options {
    /// Reads `postmaster.opts`: the program as it is, then each word in quotes.
    fn read(text: &str) -> Options {
        let words = text.trim_end().split_once(" \"").and_then(|(_, words)| words.strip_suffix('"'));
        Options(words.map(|words| words.split("\" \"").map(str::to_owned).collect()).unwrap_or_default())
    }

    /// What they say of a setting; the last one counts.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .filter_map(|word| setting(word))
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value)
            .next_back()
    }

    /// The folder of the configuration, where `-D` names one that is not that of the data: the configuration says where they are.
    fn folder(&self) -> Option<&Path> {
        let mut pairs = self.pairs().into_iter().rev();
        let last = pairs.find_map(|(word, value)| word.strip_prefix("-D").map(|joined| value.unwrap_or(joined)))?;
        let last = Path::new(last);
        let apart = last.is_absolute() && last.join(MAIN).exists() && !last.join("PG_VERSION").exists();
        apart.then_some(last)
    }

    /// The file of the configuration, where it is told.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        self.value("config_file").map(PathBuf::from).or_else(|| Some(self.folder()?.join(MAIN)))
    }

    /// The words for a start of our own, but for where the data are.
    fn again(&self) -> Vec<String> {
        let mut again = Vec::new();
        for (word, value) in self.pairs() {
            let decided = setting(value.unwrap_or(word)).is_some_and(|(name, _)| DECIDED.contains(&name.as_str()));
            if !decided && !word.starts_with("-D") {
                again.extend([word].into_iter().chain(value).map(str::to_owned));
            }
        }
        again
    }

    /// The words, with those that belong to the one before.
    fn pairs(&self) -> Vec<(&str, Option<&str>)> {
        let mut words = self.0.iter().map(String::as_str);
        let mut pairs = Vec::new();
        while let Some(word) = words.next() {
            pairs.push((word, if word == "-D" || word == "-c" { words.next() } else { None }));
        }
        pairs
    }
}

/// PostgreSQL takes `-c name=value`, in one word or two, and `--name=value`, with either dash and in letters of any size.
fn setting(word: &str) -> Option<(String, &str)> {
    let word = word.strip_prefix("--").or(word.strip_prefix("-c")).unwrap_or(word);
    let (name, value) = word.split_once('=')?;
    Some((name.replace('-', "_").to_ascii_lowercase(), value))
}

/// The server whose options this process has kept, so that a look at one that is well touches no disk.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Option<Proc>>);

impl Kept {
    fn is_of(&self, server: Proc) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|known| known.is(server))
    }

    fn are_of(&self, server: Proc) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }
}

impl Directory {
    fn opts(&self) -> Option<String> {
        fs::read_to_string(self.path().join("postmaster.opts")).ok()
    }

    /// How the server was last started, where the directory tells.
    pub(super) fn options(&self) -> Option<Options> {
        self.opts().map(|text| Options::read(&text))
    }
}

impl PostgresDriver {
    fn options_path(&self) -> PathBuf {
        self.state_dir.join(format!("started-{}", self.component))
    }

    /// How the server was last started, as the directory tells or the agent has kept.
    pub(super) fn options(&self, directory: &Directory) -> Options {
        let kept = || fs::read_to_string(self.options_path()).ok().map(|text| Options::read(&text));
        directory.options().or_else(kept).unwrap_or_default()
    }

    /// The words of a start of our own; refused where no configuration is known.
    pub(super) fn command_line(&self, directory: &Directory) -> Result<Vec<String>, Failure> {
        let (options, path) = (self.options(directory), directory.path());
        if options.config_file().is_none() && !path.join(MAIN).exists() {
            let message = format!("there is no {MAIN} in {}, and nobody has told of another", path.display());
            return Err(Failure::rejected(message).hint(
                "where it lies elsewhere, start the server there once as its distribution does: the agent keeps how that was done",
            ));
        }
        let data = path.display();
        let mut words = match options.folder() {
            Some(folder) => vec!["-D".to_owned(), folder.display().to_string(), format!("-cdata_directory={data}")],
            None => vec!["-D".to_owned(), data.to_string()],
        };
        words.extend(options.again());
        Ok(words)
    }

    /// Keeps how the server was last started, where the directory tells.
    pub(super) fn keep_options(&self, directory: &Directory) -> Result<(), Failure> {
        let path = self.options_path();
        directory.opts().map_or(Ok(()), |text| keep(&text, &path)).map_err(|e| {
            Failure::transient(format!("how the server was started cannot be kept in {}: {e}", path.display()))
        })
    }

    /// The same of a server that is looked at for the first time.
    pub(super) async fn note_options(&self, directory: &Directory, server: Proc) {
        if self.kept.is_of(server) {
            return;
        }
        let (directory, path) = (directory.clone(), self.options_path());
        let read = self.reads.read(move || directory.opts());
        let Some(Some(text)) = within(&*self.clock, PATIENCE, read).await else { return };
        let write = move || {
            if let Err(error) = keep(&text, &path) {
                tracing::warn!(path = %path.display(), %error, "how the server was started cannot be kept");
            }
        };
        within(&*self.clock, PATIENCE, tokio::task::spawn_blocking(write)).await;
        self.kept.are_of(server);
    }
}

fn keep(text: &str, path: &Path) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    durable::write(path, text.as_bytes(), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Options {
        Options::read(&format!("/usr/lib/postgresql/15/bin/postgres \"-D\" \"/d\" {words}\n"))
    }

    #[test]
    fn the_configuration_file_of_the_last_start_is_found() {
        assert_eq!(Options::read("/usr/bin/postgres\n"), Options::default());
        let options = options("\"-c\" \"config_file=/etc/p/postgresql.conf\"");
        assert_eq!(options.value("config_file"), Some("/etc/p/postgresql.conf"));
    }

    #[test]
    fn a_folder_is_that_of_the_configuration_where_it_holds_one_and_no_data() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let told = |words: String| options(&words).folder().map(Path::to_owned);
        let words = [format!("\"-D\" \"{}\"", path.display()), format!("\"-D{}\"", path.display())];
        assert_eq!(words.clone().map(told), [None, None]);
        fs::write(path.join(MAIN), "").unwrap();
        assert_eq!(words.clone().map(told), [Some(path.to_owned()), Some(path.to_owned())]);
        assert_eq!(options(&words[0]).config_file(), Some(path.join(MAIN)));
        fs::write(path.join("PG_VERSION"), "15").unwrap();
        assert_eq!(words.map(told), [None, None]);
    }

    #[test]
    fn a_setting_of_the_command_line_is_found_however_it_was_written() {
        let words = ["\"-c\" \"work_mem=8MB\"", "\"-cwork_mem=8MB\"", "\"--work-mem=8MB\"", "\"--Work_Mem=8MB\""];
        for words in words.map(|words| format!("\"--work_mem=4MB\" {words}")) {
            let options = options(&words);
            assert_eq!(options.value("work_mem"), Some("8MB"), "{words}");
            assert_eq!(options.value("mem"), None, "{words}");
        }
    }

    #[test]
    fn a_start_of_our_own_has_all_words_but_those_that_others_must_not_decide() {
        for (words, again) in [
            (
                "\"-p\" \"5433\" \"-i\" \"-c\" \"log_line_prefix=\"%a \"\"",
                vec!["-p", "5433", "-i", "-c", "log_line_prefix=\"%a \""],
            ),
            ("\"-c\" \"config_file=/etc/p.conf\" \"-D/other\"", vec!["-c", "config_file=/etc/p.conf"]),
            ("\"-csynchronous_commit=off\" \"--primary-conninfo=\" \"-c\" \"Restart_After_Crash=on\"", vec![]),
            ("\"-c\" \"data_directory=/other\" \"-N\" \"20\"", vec!["-N", "20"]),
        ] {
            assert_eq!(options(words).again(), again, "{words}");
        }
    }
}
