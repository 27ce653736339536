//! `cargo xtask bench aws`: moves of what AWS runs, against the AWS test server, measured by the release binary with every
//! driver (`pilotlight bench aws`); and what that binary weighs.

use anyhow::{Context, ensure};
use std::process::{Command, ExitCode};

/// What it measures unless `--case` says so.
const CASES: [&str; 3] = ["aws", "aws-many", "size"];

/// Makes the server's environment, builds the binary, lets it measure.
pub(crate) fn run(words: &[String]) -> anyhow::Result<ExitCode> {
    let moto = Command::new("scripts/ensure-moto.sh").current_dir(crate::root()).status();
    ensure!(moto.context("starting scripts/ensure-moto.sh")?.success(), "there is no AWS test server");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut measure = Command::new(cargo);
    measure.args(["run", "--quiet", "--release", "--package", "pilotlight", "--features", "aws", "--", "bench"]);
    measure.args(asked(words)?);
    let status = measure.status().context("starting cargo for a release build")?;
    Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1)))
}

/// The same in the words of the binary.
fn asked(mut words: &[String]) -> anyhow::Result<Vec<String>> {
    let (mut cases, mut options) = (Vec::new(), Vec::new());
    while let [name, rest @ ..] = words {
        let (value, rest) = rest.split_first().with_context(|| format!("{name} lacks its value"))?;
        match name.as_str() {
            "--case" => cases.extend(value.split(',').map(str::to_owned)),
            "--repeat" => options.extend(["--runs".to_owned(), value.clone()]),
            "--json" => options.extend(["--out".to_owned(), value.clone()]),
            "--speed" => options.extend([name.clone(), value.clone()]),
            other => anyhow::bail!("unknown option {other}"),
        }
        words = rest;
    }
    if cases.is_empty() {
        cases = CASES.map(str::to_owned).to_vec();
    }
    Ok([cases, options].concat())
}

#[cfg(test)]
mod tests {
    use super::asked;

    fn said(words: &[&str]) -> Result<String, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        asked(&words).map(|said| said.join(" ")).map_err(|e| e.to_string())
    }

    #[test]
    fn options_are_said_in_the_words_of_the_binary() {
        assert_eq!(said(&[]), Ok("aws aws-many size".to_owned()));
        let some = ["--case", "aws", "--repeat", "3", "--json", "f"];
        assert_eq!(said(&some), Ok("aws --runs 3 --out f".to_owned()));
        assert_eq!(said(&["--repeat"]), Err("--repeat lacks its value".to_owned()));
        assert!(said(&["--what", "1"]).is_err());
    }
}
