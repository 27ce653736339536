//! A certificate authority and one server certificate for a lab or a first trial.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where the PEM files are.
#[derive(Debug, Clone)]
pub struct Files {
    /// What callers trust.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key, readable by its owner only.
    pub key: PathBuf,
}

/// The certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The library refused.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The disk refused.
    #[error("cannot write certificates to {folder}")]
    Write {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes an authority and a certificate for `names` (host names and addresses) in `folder`. The authority's key is
/// thrown away: nobody can sign with it again.
pub fn make(folder: &Path, names: &[&str]) -> Result<Files, CertificateError> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Pilotlight lab");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let ca = authority.self_signed(&authority_key)?;
    let issuer = Issuer::from_params(&authority, &authority_key);

    let server = CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    let server_key = KeyPair::generate()?;
    let certificate = server.signed_by(&server_key, &issuer)?;

    let files =
        Files { ca: folder.join("ca.pem"), certificate: folder.join("server.pem"), key: folder.join("server.key") };
    let write = || {
        fs::create_dir_all(folder)?;
        fs::write(&files.ca, ca.pem())?;
        fs::write(&files.certificate, certificate.pem())?;
        write_private(&files.key, &server_key.serialize_pem())
    };
    write().map_err(|source| CertificateError::Write { folder: folder.to_owned(), source })?;
    Ok(files)
}

/// Puts a certificate there that held in the year 2001 and no longer.
pub fn put_ended(file: &Path) -> Result<(), CertificateError> {
    let mut params = CertificateParams::new(Vec::new())?;
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2002, 1, 1));
    let pem = params.self_signed(&KeyPair::generate()?)?.pem();
    fs::write(file, pem).map_err(|source| CertificateError::Write { folder: file.to_owned(), source })
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = super::make(folder.path(), &["127.0.0.1", "localhost"]).expect("certificates");
        let mode = std::fs::metadata(&files.key).expect("the key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read_to_string(&files.certificate).expect("the certificate").contains("BEGIN CERTIFICATE"));
    }
}
