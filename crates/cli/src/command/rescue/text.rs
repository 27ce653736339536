//! Bundles as people read them.

use pilotlight_core::rescue::{Bundle, Change, Class, Datum, Judged, Kind, Listed, Row, Rows, Shown};
use pilotlight_core::time::show_wall;
use pilotlight_server::api::view::{RescueReply, RescueView};
use std::fmt::Write;

/// Text that came out of a database or another machine, fit for a terminal: what would move its cursor, or turn its letters
/// around, is escaped; letters of any language stay. Line breaks too: nothing foreign begins a line of ours.
fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = |c: char| matches!(c, '\u{2028}' | '\u{2029}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() || turns(c) || breaks(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// Every bundle with what it holds.
pub(super) fn list(view: &RescueView) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    if view.bundles.is_empty() && view.damaged.is_empty() {
        let _ = match view.silent.is_empty() {
            true => writeln!(out, "no rescue bundle: nothing was found that only a returned writer held"),
            false => writeln!(out, "no rescue bundle where an agent could be asked"),
        };
    }
    for found in &view.bundles {
        about(&mut out, &found.bundle);
    }
    for damaged in &view.damaged {
        let _ = writeln!(out, "{}  DAMAGED: {}\n  in {}", damaged.bundle, plain(&damaged.why), plain(&damaged.folder));
    }
    for silent in &view.silent {
        let _ = writeln!(out, "not asked: {} in {}: {}", silent.component, silent.region, plain(&silent.why));
    }
    out
}

/// One bundle from inside.
pub(super) fn show(shown: &Shown) -> String {
    let mut out = String::new();
    about(&mut out, &shown.listed);
    let _ = writeln!(out, "\nlost transactions:");
    for commit in &shown.lost {
        let at = commit.at.map_or_else(|| "at an unknown time".to_owned(), show_wall);
        let _ =
            writeln!(out, "  {} {} {at}  {}", commit.transaction, commit.position, plain(&commit.tables.join(", ")));
    }
    let more = shown.listed.about.commits.saturating_sub(shown.lost.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
    if !shown.changes.is_empty() {
        let _ = writeln!(out, "\nlost changes:");
        shown.changes.iter().for_each(|judged| change(&mut out, judged));
    }
    if let Some(next) = shown.next {
        let _ = writeln!(out, "  the rows are long, so no more are told at a time; the next: --from {next}");
    }
    out
}

/// What an apply would do.
pub(super) fn compared(reply: &RescueReply) -> String {
    let mut out = String::new();
    about(&mut out, &reply.bundle);
    let absent = reply.bundle.classes.get(&Class::Absent).copied().unwrap_or_default();
    let _ = writeln!(
        out,
        "\nApplying would write to {} what is absent there: at most {absent} changes, whole transactions only.",
        reply.writer
    );
    let _ = writeln!(out, "What conflicts, or refers to rows that are not there, stays listed and untouched.");
    out
}

/// What an apply did.
pub(super) fn applied(reply: &RescueReply) -> String {
    let mut out = format!("{}\n", plain(&reply.text));
    if let Some(run) = &reply.run {
        let _ = writeln!(out, "who, when and what stands in the journal: pilotlight run show {run}");
    }
    out.push('\n');
    about(&mut out, &reply.bundle);
    out
}

fn about(out: &mut String, listed: &Listed) {
    let Bundle { bundle, component, region, upstream, .. } = &listed.about;
    let _ = writeln!(out, "{bundle}");
    let _ = writeln!(out, "  {component} of {region}, parted from {upstream} at {}", listed.about.fork.value);
    let span = match (listed.about.first, listed.about.last) {
        (Some(first), Some(last)) => format!(", from {} to {}", show_wall(first), show_wall(last)),
        _ => String::new(),
    };
    let _ = writeln!(out, "  {} lost transactions{span}", listed.about.commits);
    for table in &listed.about.touched {
        let (i, u, d) = (table.inserted, table.updated, table.deleted);
        let _ = writeln!(out, "    {}: {i} inserted, {u} updated, {d} deleted", plain(&table.table));
    }
    match &listed.about.rows {
        Rows::Kept { changes, transactions } => {
            let _ = writeln!(out, "  rows: {changes} changes of {transactions} transactions");
        }
        Rows::Left { why } => {
            let _ = writeln!(out, "  rows: none, {}", plain(why));
        }
    }
    if let Some(missing) = &listed.about.missing {
        let until = missing.until.as_ref().map_or("its end", |p| p.value.as_str());
        let _ = writeln!(out, "  INCOMPLETE from {} to {until}", missing.from.value);
    }
    if let Some(waiver) = &listed.waiver {
        let _ = writeln!(out, "  waived by {} at {}: {}", plain(&waiver.by), show_wall(waiver.at), plain(&waiver.why));
    }
    if !listed.classes.is_empty() {
        let classes: Vec<String> = listed.classes.iter().map(|(class, n)| format!("{n} {class}")).collect();
        let _ = writeln!(out, "  against {upstream}: {}", classes.join(", "));
    }
    if listed.applied > 0 {
        let _ = writeln!(out, "  applied: {} transactions", listed.applied);
    }
    for note in &listed.about.notes {
        let _ = writeln!(out, "  not covered: {}", plain(note));
    }
    let sealed = if listed.about.sealed { "encrypted" } else { "not encrypted" };
    let _ = writeln!(out, "  {sealed}, in {}", plain(&listed.folder));
}

fn change(out: &mut String, judged: &Judged) {
    let Change { transaction, kind, key, old, new, .. } = &judged.change;
    let word = match kind {
        Kind::Insert => "insert",
        Kind::Update => "update",
        Kind::Delete => "delete",
        Kind::Truncate => "truncate",
    };
    let row = new.as_ref().or(key.as_ref()).or(old.as_ref()).map(row).unwrap_or_default();
    let class = match (&judged.judgement, judged.applied) {
        (_, true) => " [applied]".to_owned(),
        (Some(j), false) if j.why.is_empty() => format!(" [{}]", j.class),
        (Some(j), false) => format!(" [{}: {}]", j.class, plain(&j.why)),
        (None, false) => String::new(),
    };
    let _ = writeln!(out, "  {transaction} {word} {} {row}{class}", plain(&judged.change.name()));
    if !judged.cut.is_empty() {
        let each: Vec<String> = judged.cut.iter().map(|(name, bytes)| format!("{} of {bytes}", plain(name))).collect();
        let _ = writeln!(out, "    cut here, whole in the bundle: {} bytes", each.join(", "));
    }
}

fn row(row: &Row) -> String {
    let value = |datum: &Datum| match datum {
        Datum::Null => "NULL".to_owned(),
        Datum::Text(text) if text.chars().count() > 40 => {
            format!("{}...", plain(&text.chars().take(40).collect::<String>()))
        }
        Datum::Text(text) => plain(text),
        Datum::Unchanged { .. } => "(as it was)".to_owned(),
    };
    row.iter().map(|(name, datum)| format!("{}={}", plain(name), value(datum))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_moves_no_cursor_and_begins_no_line() {
        let name = "x\u{1b}[2J\n0 lost transactions\u{9b}31m\u{202e}".to_owned();
        let cell = Row::from([(name.clone(), Datum::Text(name)), ("größe".into(), Datum::Text("日本 ✓".into()))]);
        let told = row(&cell);
        assert!(told.contains("größe=日本 ✓"), "{told}");
        let escaped = r"x\u{1b}[2J\n0 lost transactions\u{9b}31m\u{202e}";
        assert!(told.contains(&format!("{escaped}={escaped}")), "{told}");
    }
}
