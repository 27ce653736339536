//! `pilotlight explain CODE`: the page of an error code. Works offline; the pages are compiled in.

use pilotlight_core::code::{self, Code};
use std::io::{self, Write};

/// A code that is not in the catalogue.
#[derive(Debug, thiserror::Error)]
#[error("there is no code `{asked}`; the nearest is {nearest}: {}", nearest.title())]
pub(crate) struct NoSuchCode {
    asked: String,
    nearest: Code,
}

impl NoSuchCode {
    /// Its page.
    pub(crate) fn code(&self) -> Code {
        code::NO_SUCH_CODE
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        format!("pilotlight explain {}, or pilotlight explain --list", self.nearest)
    }
}

/// The page of a code, as Markdown.
pub(crate) fn page(asked: &str) -> Result<&'static str, NoSuchCode> {
    Code::find(asked).map(Code::page).ok_or_else(|| NoSuchCode {
        asked: asked.chars().filter(|c| !c.is_control()).take(40).collect(),
        nearest: Code::nearest(asked).unwrap_or(code::NO_SUCH_CODE),
    })
}

/// Every code with its title, by block.
pub(crate) fn list(out: &mut dyn Write) -> io::Result<()> {
    let mut block = "";
    for code in Code::all() {
        if block_of(code) != block {
            if !block.is_empty() {
                writeln!(out)?;
            }
            block = block_of(code);
            writeln!(out, "{block}:")?;
        }
        writeln!(out, "  {code}  {}", code.title())?;
    }
    Ok(())
}

fn block_of(code: Code) -> &'static str {
    match code.as_str().get(..5) {
        Some("PL-00") => "use of the command line",
        Some("PL-01") => "the plan",
        Some("PL-02") => "refused by a safety rule",
        Some("PL-03") => "readiness",
        Some("PL-04") => "agents, controller, protocol",
        Some("PL-05") => "journal and store",
        Some("PL-06") => "runs and steps",
        Some("PL-07") => "drivers",
        _ if code >= code::COMMAND_LINE => "words and bad days",
        _ if code >= code::NOT_SEEN => "sight and clocks",
        _ if code >= code::IMPORT_NO_STATE => "import",
        _ => "lab and demo",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_found_by_any_spelling() {
        assert!(page("pl-0104").unwrap().starts_with("# PL-0104: "));
        assert_eq!(page("104").unwrap(), page("PL-0104").unwrap());
    }

    #[test]
    fn an_unknown_code_leads_to_the_nearest() {
        let error = page("PL-O104").unwrap_err();
        assert!(error.to_string().contains("PL-0104"), "{error}");
        assert!(error.hint().contains("--list"));
        assert!(!page("\u{1b}[31mx").unwrap_err().to_string().contains('\u{1b}'));
    }

    #[test]
    fn the_list_has_every_code_once() {
        let mut out = Vec::new();
        list(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for code in Code::all() {
            assert_eq!(text.matches(code.as_str()).count(), 1, "{code}\n{text}");
        }
        assert!(text.starts_with("use of the command line:\n  PL-0001  a defect of Pilotlight\n"), "{text}");
    }
}
