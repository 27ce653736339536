//! Bounded in size and age, whole lines, a head in every file.

use super::*;
use pilotlight_core::plan::SAMPLE;
use pilotlight_core::recording::{replay, words};
use pilotlight_core::time::Wall;
use pilotlight_core::verdict::{History, Sight, decide, verdict};

fn scene(plan: &Plan, ms: u64) -> Scene {
    let sight: Sight = serde_json::from_value(serde_json::json!({
        "now": ms, "agents": {}, "ports": [], "lease": {"lease": "lapsed"}, "changed": null
    }))
    .unwrap();
    let unit: pilotlight_core::id::Unit = "payments".into();
    let writer = Some("east".into());
    let judgement = verdict(plan, &unit, writer.as_ref(), &sight);
    let decision = words(&decide(plan, &unit, &judgement, &History::default(), Wall(ms)));
    Scene { at: Wall(ms), unit, writer, sight, history: History::default(), verdict: judgement.verdict, decision }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[tokio::test]
async fn what_changes_is_kept_at_once_and_what_does_not_now_and_then() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Arc::new(Plan::read(SAMPLE, "sample.yaml").unwrap());
    let to = RecordingTo { folder: folder.path().join("observations"), plan_text: SAMPLE.to_owned() };
    let (mut recorder, writing) = Recorder::new(&plan, Some(to)).unwrap();
    for ms in [0, 50, 499, 500, 600] {
        recorder.note(&plan, scene(&plan, ms));
    }
    let mut moved = scene(&plan, 650);
    moved.verdict = Verdict::Healthy;
    recorder.note(&plan, moved);
    drop(recorder);
    let shutdown = CancellationToken::new();
    let ends = shutdown.clone();
    let written = tokio::spawn(async move { writing.run(ends).await });
    let lines = crate::tests::wait::until("four lines are there", async || {
        let folder = folder.path().join("observations");
        let file = folder.exists().then(|| files(&folder)).and_then(|mut f| f.pop()).ok_or("no file")?;
        let text = std::fs::read_to_string(file).unwrap();
        if text.lines().count() == 4 { Ok(text) } else { Err(text) }
    });
    let text = lines.await;
    shutdown.cancel();
    written.await.unwrap();
    let lines: Vec<Line> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let Line::Head(head) = &lines[0] else { panic!("{text}") };
    assert!(Plan::read(&head.plan, "recorded").is_ok());
    let scenes: Vec<&Scene> =
        lines.iter().filter_map(|l| if let Line::Scene(s) = l { Some(&**s) } else { None }).collect();
    assert_eq!(scenes.iter().map(|s| s.at.0).collect::<Vec<_>>(), [0, 500, 650]);
    let again = replay(&plan, scenes[..2].iter().copied());
    assert_eq!(again[0].decision, scenes[0].decision);
}

#[test]
fn the_oldest_goes_first_and_the_whole_stays_within_its_size() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
    let limits = Recording { size: 40_000, keep: Duration::from_secs(3_600), every: Duration::from_secs(1) };
    let head = Head { format: FORMAT, application: plan.application.clone(), plan: SAMPLE.to_owned() };
    let (_queue, lines) = mpsc::channel(1);
    let mut writing = Writing { folder: folder.path().into(), limits, head, lines, open, file: None, failed: false };
    std::fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
    for ms in 0..400 {
        writing.write(scene(&plan, ms * 1_000)).unwrap();
    }
    let all = files(folder.path());
    let sizes: u64 = all.iter().map(|p| p.metadata().unwrap().len()).sum();
    // The head alone is larger than an eighth of so small a size.
    assert!(sizes <= 40_000 + 2 * 8_000, "{sizes} in {all:?}");
    assert!(all.iter().any(|p| p.ends_with("notes.txt")));
    let newest = std::fs::read_to_string(all.last().unwrap()).unwrap();
    assert!(newest.lines().all(|l| serde_json::from_str::<Line>(l).is_ok()));
    assert!(newest.contains("399000"), "the newest line is there");
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "").unwrap();
    let limits = Recording { size: 40_000, keep: Duration::from_secs(3_600), every: Duration::from_secs(1) };
    let head = Head { format: FORMAT, application: plan.application.clone(), plan: String::new() };
    let (_queue, lines) = mpsc::channel(1);
    let mut writing = Writing { folder: taken.clone(), limits, head, lines, open, file: None, failed: false };
    assert!(writing.write(scene(&plan, 1)).is_err());
    std::fs::remove_file(taken).unwrap();
    assert!(writing.write(scene(&plan, 2)).is_ok(), "tried again with the next line");
}

#[test]
fn a_full_disk_leaves_no_file_without_a_line_and_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::read(SAMPLE, "sample.yaml").unwrap();
    let limits = Recording { size: 1 << 20, keep: Duration::from_secs(3_600), every: Duration::from_secs(1) };
    let head = Head { format: FORMAT, application: plan.application.clone(), plan: String::new() };
    let (_queue, lines) = mpsc::channel(1);
    let full: fn(&Path) -> io::Result<File> = |path| {
        open(path)?;
        OpenOptions::new().append(true).open("/dev/full")
    };
    let mut writing =
        Writing { folder: folder.path().into(), limits, head, lines, open: full, file: None, failed: false };
    for ms in [1, 1_000, 2_000] {
        let result = writing.write(scene(&plan, ms));
        assert!(result.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::StorageFull), "{result:?}");
        assert_eq!(files(folder.path()), Vec::<PathBuf>::new(), "nothing half-written is left");
        writing.say(&result);
        assert!(writing.failed, "it was said");
    }
    writing.open = open;
    let result = writing.write(scene(&plan, 3_000));
    assert!(result.is_ok());
    writing.say(&result);
    assert!(!writing.failed && files(folder.path()).len() == 1, "there is room again");
}
