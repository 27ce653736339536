//! The runbook for people: as text, as a Markdown document to print, as a graph. JSON is the type itself.

use super::{OnFailure, Runbook, Step};
use crate::id::StepId;
use crate::placement::Mode;
use crate::time::show_duration;
use std::fmt::Write;

impl Runbook {
    /// One line: what moves where.
    pub fn headline(&self) -> String {
        let (verb, unit, to) = (self.intent.verb, &self.intent.unit, &self.intent.target.writer);
        let how = match self.intent.mode {
            Mode::Graceful => "with the source, nothing lost",
            Mode::Ungraceful => "without the source, loss measured",
        };
        if self.stays() {
            return format!("{}: {verb} of {unit}, the writer stays in {to}", self.application);
        }
        format!("{}: {verb} of {unit} from {} to {to}, {how}", self.application, self.from)
    }

    /// For a terminal: the steps in waves, each with what it waits for.
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.headline());
        for (number, level) in self.levels().unwrap_or_default().into_iter().enumerate() {
            let at_once = if level.len() > 1 { ", at once" } else { "" };
            line(&mut out, &format!("\n{}. wave{at_once}", number + 1));
            for step in level {
                line(&mut out, &format!("   {}  {}", step.id, step.title));
                line(&mut out, &format!("      {}", step.why));
                // A line per two terms keeps within the width of a terminal.
                for pair in terms(step).chunks(2) {
                    line(&mut out, &format!("      {}", pair.join("; ")));
                }
            }
        }
        out
    }

    /// For paper: a checklist in the order in which it could be done by hand, and the graph.
    pub fn to_markdown(&self) -> String {
        let mut out = format!("# {}\n", self.headline());
        line(
            &mut out,
            "\nDerived by Pilotlight from the plan and from what was observed. Steps of one wave run at once.",
        );
        for (number, level) in self.levels().unwrap_or_default().into_iter().enumerate() {
            line(&mut out, &format!("\n## Wave {}\n", number + 1));
            for step in level {
                line(&mut out, &format!("- [ ] **{}** (`{}`)  ", escape(&step.title), step.id));
                line(&mut out, &format!("  {}  ", escape(&step.why)));
                line(&mut out, &format!("  {}", escape(&terms(step).join("; "))));
            }
        }
        line(&mut out, "\n## Graph\n\n```mermaid");
        out.push_str(&self.to_mermaid());
        line(&mut out, "```");
        out
    }

    /// As a Mermaid flow chart; steps after which there is only a way forward have a double edge.
    pub fn to_mermaid(&self) -> String {
        let mut out = "flowchart LR\n".to_owned();
        for (number, step) in self.steps.iter().enumerate() {
            let title = step.title.replace('"', "#quot;");
            let (open, close) = if step.effect.is_point_of_no_return() { ("[[", "]]") } else { ("[", "]") };
            line(&mut out, &format!("    s{number}{open}\"{title}\"{close}"));
        }
        for (number, step) in self.steps.iter().enumerate() {
            for need in &step.needs {
                line(&mut out, &format!("    s{} --> s{number}", self.number(need)));
            }
        }
        out
    }

    /// As a Graphviz graph.
    pub fn to_dot(&self) -> String {
        let mut out = "digraph runbook {\n    rankdir=LR;\n    node [shape=box];\n".to_owned();
        for step in &self.steps {
            let edges = if step.effect.is_point_of_no_return() { 2 } else { 1 };
            let (id, title) = (quote(step.id.as_str()), quote(&step.title));
            line(&mut out, &format!("    {id} [label={title}, peripheries={edges}];"));
        }
        for step in &self.steps {
            for need in &step.needs {
                line(&mut out, &format!("    {} -> {};", quote(need.as_str()), quote(step.id.as_str())));
            }
        }
        out.push_str("}\n");
        out
    }

    fn number(&self, id: &StepId) -> usize {
        self.steps.iter().position(|s| &s.id == id).unwrap_or_default()
    }
}

/// What surrounds a step, in words.
fn terms(step: &Step) -> Vec<String> {
    let mut terms = Vec::new();
    if step.approval {
        terms.push("a person must approve it".to_owned());
    }
    if !step.needs.is_empty() {
        let needs: Vec<&str> = step.needs.iter().map(StepId::as_str).collect();
        terms.push(format!("after {}", needs.join(", ")));
    }
    terms.push(format!("within {}", show_duration(step.deadline_ms)));
    if step.retries > 0 {
        let times = if step.retries == 1 { "once".to_owned() } else { format!("up to {} times", step.retries) };
        terms.push(format!("tried again {times}"));
    }
    let failed = match step.on_failure {
        OnFailure::Pause => "if it fails: wait for a person",
        OnFailure::GoOn => "if it fails: warn and go on",
        OnFailure::Undo => "if it fails: undo what was done",
    };
    terms.push(failed.to_owned());
    if step.effect.is_point_of_no_return() {
        terms.push("no way back after it".to_owned());
    }
    terms
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a string cannot fail");
}

/// Names come from the plan: what Markdown would read as its own is shown as it is.
fn escape(text: &str) -> String {
    let special = |c: char| matches!(c, '*' | '_' | '`' | '<' | '>' | '[' | ']' | '\\');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
