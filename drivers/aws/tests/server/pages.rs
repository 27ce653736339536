//! What pages tell to type by AWS's own client: every command is one that the client knows, and those of the examples do
//! what is said beside them.

use crate::ground::{EAST, Ground, WEST};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every page of the project.
fn pages() -> Vec<PathBuf> {
    fn under(folder: &Path, pages: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.extension().and_then(|e| e.to_str()) {
                _ if entry.is_dir() => under(&entry, pages),
                Some("md") => pages.push(entry),
                _ => {}
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = Vec::new();
    ["docs", "examples"].iter().for_each(|folder| under(&root.join(folder), &mut pages));
    pages
}

/// The words after `aws` of every command with an option: on a line of its own, or in a sentence between backticks.
fn commands(page: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(page).unwrap();
    let between = text.split('`').skip(1).step_by(2);
    let alone = text.lines().filter(|line| line.starts_with("    "));
    let typed = between.chain(alone).filter_map(|command| command.trim().strip_prefix("aws "));
    typed
        .filter(|words| words.contains(" --"))
        .map(|words| words.split_whitespace().map(str::to_owned).collect())
        .collect()
}

/// A word of a command as the server knows it, where the page leaves it to the reader.
fn named(word: &str, check: &str, repository: &str, digest: &str) -> String {
    match word {
        "ID" => check.to_owned(),
        "NAME" => repository.to_owned(),
        other => other.replace("DIGEST", digest),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_a_page_is_one_of_awscli() {
    let Some(ground) = Ground::find().await else { return };
    let all: BTreeSet<Vec<String>> = pages().iter().flat_map(|page| commands(page)).collect();
    assert!(all.len() > 10, "{all:?}");
    for words in &all {
        // N and M are numbers.
        let number = |word| if ["N", "M"].contains(&word) { "1" } else { word };
        let words: Vec<&str> = words.iter().map(|word| number(word.as_str())).collect();
        // It reads all that is given before it would ask AWS, and asks nobody.
        let said = ground.awscli_says(WEST, &[words.as_slice(), &["--generate-cli-skeleton", "output"]].concat());
        let err = String::from_utf8_lossy(&said.stderr).into_owned();
        let is_read = said.status.success() || err.contains("Parameter validation failed");
        assert!(is_read && !err.contains("usage:"), "aws {}: {err}", words.join(" "));
    }
}

/// Those of the examples, each on a health check that is good and on an image that is there.
#[tokio::test(flavor = "multi_thread")]
async fn commands_of_the_examples_do_what_is_said_beside_them() {
    let Some(ground) = Ground::find().await else { return };
    let repository = ground.fresh("shop");
    let image = json!({"region": WEST, "repository": repository, "tag": "1.2", "content": "first"});
    let label = ground.fresh("health");
    let made = ground.seed(json!({"images": [image], "checks": [label]})).await;
    let check = made["checks"][&label].as_str().unwrap();
    let listed = ground.awscli(WEST, &["ecr", "list-images", "--repository-name", &repository]);
    let digest = listed["imageIds"][0]["imageDigest"].as_str().unwrap();
    let of_examples: Vec<PathBuf> = pages().into_iter().filter(|page| page.ends_with("README.md")).collect();
    let mut tried = BTreeSet::new();
    for words in of_examples.iter().flat_map(|page| commands(page)) {
        let named: Vec<String> = words.iter().map(|word| named(word, check, &repository, digest)).collect();
        let said = ground.awscli(EAST, &named.iter().map(String::as_str).collect::<Vec<_>>());
        tried.insert(words[1].clone());
        match words[1].as_str() {
            "update-health-check" => is_set(&said, &words),
            "describe-images" => assert_eq!(said["imageDetails"][0]["imageDigest"], digest, "{said}"),
            other => panic!("nothing here knows what {other} does"),
        }
    }
    assert_eq!(tried.len(), 2, "{tried:?}");
}

/// Each switch of the command is on or off as it says.
fn is_set(said: &Value, words: &[String]) {
    let config = &said["HealthCheck"]["HealthCheckConfig"];
    for (word, field) in [("disabled", "Disabled"), ("inverted", "Inverted")] {
        for (given, wanted) in [(format!("--{word}"), true), (format!("--no-{word}"), false)] {
            if words.contains(&given) {
                assert_eq!(config[field], wanted, "{words:?}: {said}");
            }
        }
    }
}
