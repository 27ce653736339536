//! Reports out of thin air: a failover of seconds, one of 200 ms, one of hours; the page is the same every time,
//! inert whatever the names are, and whole on disk.

use super::*;
use std::path::Path;

mod sample;
mod session;

use sample::{demo, long, short};

fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("PILOTLIGHT_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let first = text.lines().zip(kept.lines()).position(|(a, b)| a != b);
    assert!(text == kept, "{name} differs from line {first:?} on; look at it, then run with PILOTLIGHT_WRITE_DOCS=1");
}

#[test]
fn the_same_report_gives_the_same_page() {
    golden("report.html", &page(&demo()));
    golden("report.json", &serde_json::to_string_pretty(&demo()).unwrap());
}

#[test]
fn long_names_in_the_picture_are_whole_and_take_the_room_they_need() {
    let mut report = demo();
    let tall = |html: &str| html.matches("<text class=\"name\"").count();
    let before = page(&report);
    let title =
        "Run twenty instances of the settlement batch importer in the north western region of the second provider";
    report.moves[0].steps[1].title = title.to_owned();
    let region = "a-region-whose-name-has-more-letters-than-fit-beside-its-lane";
    report.lanes[0].region = region.to_owned();
    let html = page(&report);
    assert!(!html.contains('…'), "something is cut off");
    assert!(tall(&html) > tall(&before) + 1, "the name takes lines of its own");
    assert!(
        html.contains(&format!("textLength=\"200\" lengthAdjust=\"spacingAndGlyphs\">{region}<")),
        "pressed, whole"
    );
    let names = html.split("<text class=\"name\"").skip(1).filter_map(|text| text.split(['>', '<']).nth(1));
    let joined = names.collect::<Vec<_>>().join(" ");
    assert!(joined.contains(title), "{title} is not whole in {joined}");
}

#[test]
fn json_is_read_back_as_it_was_written() {
    for report in [demo(), short(), long()] {
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}

#[test]
fn a_script_in_any_name_is_inert() {
    let evil = "\"'><script>alert(1)</script>";
    let text = serde_json::to_string(&demo()).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    poison(&mut value, evil);
    let report: Report = serde_json::from_value(value).unwrap();
    let html = page(&report);
    assert!(html.contains("&lt;script&gt;alert(1)"), "the name is shown");
    assert!(!html.contains("<script") && !html.contains("\"'><"), "and inert");
}

/// Appends to every text that is not one of a closed set of words.
fn poison(value: &mut serde_json::Value, evil: &str) {
    let words = ["mark", "end", "state"];
    match value {
        serde_json::Value::String(text) => text.push_str(evil),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| poison(item, evil)),
        serde_json::Value::Object(fields) => {
            for (_, field) in fields.iter_mut().filter(|(name, _)| !words.contains(&name.as_str())) {
                poison(field, evil);
            }
        }
        _ => {}
    }
}

#[test]
fn the_page_loads_nothing() {
    let html = page(&demo());
    for word in ["http://", "https://", "src=", "@import", "<link", "<script"] {
        assert!(!html.contains(word), "the page contains {word}");
    }
}

#[test]
fn what_was_not_measured_is_said() {
    let mut report = demo();
    report.rto.measured_ms = None;
    report.moves.iter_mut().for_each(|m| m.impact = None);
    report.client = None;
    let html = page(&report);
    assert!(html.contains("not measured") && !html.contains("Objectives not met"));
    assert_eq!(report.objectives(), Objectives::NotMeasured);
}

/// Beside the counted figure stands how much it may be of what nobody counted, and never in its place.
#[test]
fn a_bound_is_called_one() {
    let mut report = demo();
    report.rpo = Objective { objective_ms: 1_000, measured_ms: Some(0), at_most_ms: Some(2_250) };
    let html = page(&report);
    assert!(html.contains(">0 ms<") && html.contains("of what nobody counted at most 2.25 s"), "{html}");
    assert!(html.contains("perhaps missed"));
    report.rpo.measured_ms = None;
    let html = page(&report);
    assert!(html.contains("≤ 2.25 s") && html.contains("at the most; nobody counted"), "{html}");
}

#[test]
fn objectives_are_met_only_when_all_held() {
    assert_eq!(demo().objectives(), Objectives::Met);
    let break_it: [fn(&mut Report); 3] = [
        |r| r.rto.objective_ms = 1,
        |r| r.moves[1].result = "failed".to_owned(),
        |r| r.moves[0].impact.as_mut().unwrap().dual_acked.count = 1,
    ];
    for (at, change) in break_it.into_iter().enumerate() {
        let mut report = demo();
        change(&mut report);
        // A promise that was not measured hides no broken one.
        report.rpo.measured_ms = None;
        assert_eq!(report.objectives(), Objectives::Missed, "change {at}");
    }
}

#[test]
fn lost_ids_are_counted_and_the_first_are_listed() {
    let ids = Ids::of((0..120).map(|n| format!("p-{n}")));
    assert_eq!((ids.count, ids.first.len()), (120, IDS_LISTED));
    let mut report = demo();
    report.moves[0].impact.as_mut().unwrap().lost = Some(ids);
    let html = page(&report);
    assert!(html.contains("<code>p-49</code>") && !html.contains("p-50<") && html.contains("and 70 more"));
}

#[test]
fn files_appear_whole_and_replace_the_old_ones() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("reports/1");
    let paths = demo().write(&inside).unwrap();
    std::fs::write(&paths.json, "old").unwrap();
    let paths = demo().write(&inside).unwrap();
    let read: Report = serde_json::from_str(&std::fs::read_to_string(&paths.json).unwrap()).unwrap();
    assert_eq!(read, demo());
    assert!(std::fs::read_to_string(&paths.html).unwrap().ends_with("</html>"));
    assert_eq!(std::fs::read_dir(&inside).unwrap().count(), 2, "nothing else is left there");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = demo().write(&file.join("report")).unwrap_err();
    assert!(error.to_string().contains("file/report"), "{error}");
}

/// Writes the sample pages to look at: `PILOTLIGHT_SAMPLES=folder cargo test -p pilotlight-engine samples`.
#[test]
fn samples_are_written_when_asked_for() {
    let folder = match std::env::var_os("PILOTLIGHT_SAMPLES") {
        Some(folder) => std::path::PathBuf::from(folder),
        None => tempfile::tempdir().unwrap().path().to_owned(),
    };
    let [failover, rejoin] = session::by_the_controller();
    let all = [("demo", demo()), ("short", short()), ("long", long()), ("failover", failover), ("rejoin", rejoin)];
    for (name, report) in all {
        let paths = report.write(&folder.join(name)).unwrap();
        assert!(std::fs::metadata(paths.html).unwrap().len() > 10_000);
    }
}
