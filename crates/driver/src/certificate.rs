//! Reads when certificates end: [`pilotlight_core::certificate`] says what of it a person has to hear.
//!
//! Border: reads files only. A file that is not there, or is none, is no finding here: whoever uses it says so with an error.

use pilotlight_core::certificate::{Life, of_life};
use pilotlight_core::outcome::Finding;
use pilotlight_core::time::Wall;
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_parser::pem::Pem;

/// What is in a file decides which of its certificates counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A chain: the first is the one that is shown, and ends the earliest.
    Chain,
    /// Authorities: while one is followed by the next both are there, so the last to end counts.
    Authorities,
}

/// Where one lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// A few words for it.
    pub what: &'static str,
    /// Its file, PEM.
    pub file: PathBuf,
    /// What is in it.
    pub kind: Kind,
}

/// They are read so seldom; a person has weeks.
pub const EVERY: Duration = Duration::from_secs(600);

/// What a person has to hear of them. `whose` begins each sentence.
pub fn look(whose: &str, certificates: &[Certificate], now: Wall) -> Vec<Finding> {
    let told = |Certificate { what, file, kind }: &Certificate| {
        let life = life(file, *kind)?;
        of_life(&format!("{whose}: {what} ({})", file.display()), life, now)
    };
    certificates.iter().filter_map(told).collect()
}

fn life(file: &Path, kind: Kind) -> Option<Life> {
    let text = std::fs::read(file).ok()?;
    let mut lives = Pem::iter_from_buffer(&text).filter_map(|pem| {
        let pem = pem.ok()?;
        let holds = pem.parse_x509().ok()?.validity().clone();
        let wall = |seconds: i64| Wall(u64::try_from(seconds).unwrap_or_default().saturating_mul(1_000));
        Some(Life { from: wall(holds.not_before.timestamp()), until: wall(holds.not_after.timestamp()) })
    });
    match kind {
        Kind::Chain => lives.next(),
        Kind::Authorities => lives.max_by_key(|life| life.until),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    const DAY: u64 = 24 * 3_600 * 1_000;
    /// 2030-01-01.
    const NEW_YEAR: Wall = Wall(1_893_456_000_000);

    fn pem(until_year: i32) -> String {
        let mut params = CertificateParams::new(["db.example".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2029, 1, 1), date_time_ymd(until_year, 1, 1));
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn told(text: &str, kind: Kind, days_before: u64) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let one = Certificate { what: "certificate", file: file.path().to_owned(), kind };
        let found = look("controller", &[one], Wall(NEW_YEAR.0 - days_before * DAY));
        found.into_iter().map(|found| found.message).collect()
    }

    #[test]
    fn the_end_is_read_from_the_file() {
        let key = KeyPair::generate().unwrap().serialize_pem();
        let text = format!("a word before\n{key}{}", pem(2030));
        let said = told(&text, Kind::Chain, 3);
        assert!(
            said[0].contains("controller: certificate (") && said[0].ends_with("2030-01-01T00:00:00.000Z, in 3 days"),
            "{said:?}"
        );
        assert!(told(&text, Kind::Chain, 30).is_empty());
    }

    #[test]
    fn of_a_chain_the_first_counts_and_of_authorities_the_last_to_end() {
        let text = format!("{}{}", pem(2030), pem(2040));
        assert_eq!(told(&text, Kind::Chain, 3).len(), 1);
        assert_eq!(told(&text, Kind::Authorities, 3).len(), 0);
        assert_eq!(told(&pem(2030), Kind::Authorities, 3).len(), 1);
    }

    #[test]
    fn what_is_no_certificate_says_nothing() {
        assert!(told("rubbish", Kind::Chain, 0).is_empty());
        assert!(
            look("x", &[Certificate { what: "y", file: "/not/there".into(), kind: Kind::Chain }], NEW_YEAR).is_empty()
        );
    }
}
