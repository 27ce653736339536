//! Real programs: what they are told, what is kept of them, and that nothing of them is left.

use super::*;
use crate::process::identity::Identity;
use crate::stage::wait::{until, until_some};
use pilotlight_core::id::{EffectKey, Epoch};
use pilotlight_driver::battery::{self, Bench, CommandBench};
use pilotlight_driver::guard::Guarded;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

fn driver() -> ExecDriver {
    ExecDriver {
        application: "payments".into(),
        region: Some("east".into()),
        redactor: Redactor::new(["very-secret-token".to_owned()]),
        withheld: vec!["HOME".to_owned()],
    }
}

fn shell(text: &str) -> Effect {
    let argv = ["sh", "-eu", "-c", text].map(str::to_owned).into();
    let env = BTreeMap::from([("PILOTLIGHT_TO".to_owned(), "west".to_owned())]);
    Effect::Command { region: None, command: CommandLine { argv, env, idempotent: false } }
}

fn context(deadline: Duration) -> Context {
    Context {
        unit: "payments".into(),
        epoch: Epoch(7),
        key: EffectKey::new(&"failover-1".into(), &"hook".into(), 1),
        deadline,
        cancel: CancellationToken::new(),
    }
}

const LONG: Duration = Duration::from_secs(30);

async fn has_ended(pid: u32) {
    until(None, async || Identity::of(pid)).await;
}

async fn pid_in(file: &Path) -> u32 {
    until_some(async || {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.strip_suffix('\n').and_then(|t| t.parse().ok()).ok_or(text)
    })
    .await
}

#[tokio::test]
async fn a_command_is_told_where_it_is_and_nothing_withheld() {
    let text = r#"echo "$PILOTLIGHT_APPLICATION $PILOTLIGHT_REGION $PILOTLIGHT_TO $PILOTLIGHT_EPOCH $PILOTLIGHT_RUN [${HOME-}]""#;
    let outcome = driver().apply(&shell(text), &context(LONG)).await.unwrap();
    assert_eq!(outcome, Outcome::done_with("payments east west 7 failover-1 []\n"));
}

#[tokio::test]
async fn secrets_are_taken_out_of_output_also_of_failures() {
    let printed = "echo very-secret-token; echo very-secret-token >&2; exit 3";
    let failure = driver().apply(&shell(printed), &context(LONG)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert_eq!(failure.message, "sh ended with exit code 3");
    assert_eq!(failure.output, "[secret]\n[secret]\n");
}

#[tokio::test]
async fn only_the_end_of_long_output_is_kept() {
    let text = "i=0; while [ $i -lt 40000 ]; do echo \"line $i of very-secret-token\"; i=$((i+1)); done; echo the end";
    let outcome = driver().apply(&shell(text), &context(LONG)).await.unwrap();
    let text = outcome.output().unwrap().text.clone();
    assert!(text.len() < 70_000, "{} bytes", text.len());
    assert!(text.starts_with("[earlier output left out]\nline "), "{}", &text[..80]);
    assert!(text.ends_with("the end\n"));
    assert!(!text.contains("very-secret") && !text.contains("secret-token"));
}

#[tokio::test]
async fn nothing_of_a_command_that_was_given_up_is_left() {
    let folder = TempDir::new().unwrap();
    let inner = folder.path().join("inner");
    let text = format!("trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > {}; sleep 60' & sleep 60", inner.display());
    // By then it runs, on a busy machine too.
    let deadline = Duration::from_secs(5);
    let (driver, effect, context) = (driver(), shell(&text), context(deadline));
    let (failure, pid) = tokio::join!(driver.apply(&effect, &context), pid_in(&inner));
    assert_eq!(failure.unwrap_err().kind, FailureKind::OutcomeUnknown);
    has_ended(pid).await;
}

#[tokio::test]
async fn nothing_is_left_when_nobody_waits_any_more() {
    let folder = TempDir::new().unwrap();
    for cancel in [true, false] {
        let inner = folder.path().join(format!("inner-{cancel}"));
        let effect = shell(&format!("sh -c 'echo $$ > {}; sleep 60' & wait", inner.display()));
        let (driver, context) = (driver(), context(LONG));
        let mut work = Box::pin(driver.apply(&effect, &context));
        let pid = tokio::select! {
            answer = &mut work => panic!("it ended by itself: {answer:?}"),
            pid = pid_in(&inner) => pid,
        };
        if cancel {
            context.cancel.cancel();
            assert_eq!(work.await.unwrap_err().kind, FailureKind::OutcomeUnknown);
        } else {
            drop(work);
        }
        has_ended(pid).await;
    }
}

#[tokio::test]
async fn a_missing_program_is_found_before_and_refused_when_run() {
    let argv = vec!["pilotlight-no-such-program".to_owned()];
    let effect =
        Effect::Command { region: None, command: CommandLine { argv, env: BTreeMap::new(), idempotent: false } };
    let findings = driver().preflight(&effect).await.unwrap();
    let [one] = findings.as_slice() else { panic!("{findings:?}") };
    let told = "there is no program \"pilotlight-no-such-program\" that can be run in east";
    assert_eq!((one.severity, one.message.as_str()), (Severity::Blocker, told));
    let found = ExecDriver { region: None, ..driver() }.preflight(&effect).await.unwrap();
    assert!(found[0].message.ends_with("that can be run beside the controller"), "{found:?}");
    let failure = driver().apply(&effect, &context(LONG)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.starts_with("cannot start pilotlight-no-such-program"), "{failure}");
    assert_eq!(driver().preflight(&shell("true")).await, Ok(vec![]));
}

struct Real {
    driver: Guarded<ExecDriver>,
    folder: TempDir,
}

impl Bench for Real {
    fn driver(&self) -> &dyn Driver {
        &self.driver
    }
}

#[async_trait]
impl CommandBench for Real {
    fn counts(&self) -> CommandLine {
        let text = format!("echo ran >> {}", self.folder.path().join("runs").display());
        CommandLine {
            argv: ["sh", "-eu", "-c", &text].map(str::to_owned).into(),
            env: BTreeMap::new(),
            idempotent: false,
        }
    }

    async fn runs(&self) -> u32 {
        let text = std::fs::read_to_string(self.folder.path().join("runs")).unwrap_or_default();
        u32::try_from(text.lines().count()).unwrap()
    }
}

#[tokio::test]
async fn real_commands_keep_every_law() {
    let folder = TempDir::new().unwrap();
    let driver = Guarded::open(driver(), &folder.path().join("guard")).unwrap();
    battery::command(&Real { driver, folder }).await.assert_kept();
}
