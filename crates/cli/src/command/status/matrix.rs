//! Who sees whom, as a table: one row per observer, one column per place.

use pilotlight_core::time::show_duration;
use pilotlight_core::verdict::{Cell, Contact, Reach, Row, Witness};
use std::fmt::Write;

/// The table; nothing when there is nobody.
pub(super) fn text(reach: &Reach) -> String {
    let Some(first) = reach.rows.first() else { return String::new() };
    let mut lines: Vec<Vec<String>> = vec![
        [String::new(), "heard".to_owned()].into_iter().chain(first.cells.iter().map(|c| place(&c.place))).collect(),
    ];
    lines.extend(reach.rows.iter().map(row));
    let width = |column: usize| lines.iter().filter_map(|l| l.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..lines[0].len()).map(|c| width(c).unwrap_or_default()).collect();
    let quorum = reach.quorum;
    let word = if quorum.is_majority() { "a majority" } else { "NO MAJORITY: nothing starts by itself" };
    let mut out = format!("\nwho sees whom  {} of {} observers heard, {word}\n", quorum.heard, quorum.all);
    for line in lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {}", cells.join("  ").trim_end());
    }
    out
}

fn row(row: &Row) -> Vec<String> {
    let heard = match row.heard_ms {
        _ if row.observer == Witness::Controller => "itself".to_owned(),
        Some(age) if row.heard => format!("{} ago", show_duration(age)),
        Some(age) => format!("SILENT {}", show_duration(age)),
        None => "never".to_owned(),
    };
    [row.observer.to_string(), heard].into_iter().chain(row.cells.iter().map(cell)).collect()
}

fn place(place: &Witness) -> String {
    match place {
        Witness::Agent(region) => region.to_string(),
        other => other.to_string(),
    }
}

fn cell(cell: &Cell) -> String {
    let word = match cell.contact {
        Contact::Itself => return "-".to_owned(),
        Contact::NotLooked => "?",
        Contact::Sees => "sees",
        Contact::Refused => "refused",
        Contact::Silent => "NO ANSWER",
    };
    cell.age_ms.map_or_else(|| word.to_owned(), |age| format!("{word} {}", show_duration(age)))
}
