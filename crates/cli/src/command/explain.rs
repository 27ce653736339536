//! `pilotlight explain CODE`: the page of an error code. Works offline; the pages are compiled in.

use pilotlight_core::code::{self, Code};
use std::io::{self, Write};

/// A code that is not in the catalogue.
#[derive(Debug, thiserror::Error)]
#[error("there is no code `{asked}`{}", nearest.map(|c| format!("; the nearest is {c}: {}", c.title())).unwrap_or_default())]
pub(crate) struct NoSuchCode {
    asked: String,
    nearest: Option<Code>,
}

impl NoSuchCode {
    /// Its page.
    pub(crate) fn code(&self) -> Code {
        code::NO_SUCH_CODE
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        let list = "pilotlight explain --list";
        self.nearest.map_or(list.to_owned(), |near| format!("pilotlight explain {near}, or {list}"))
    }
}

/// The page of a code, as Markdown.
pub(crate) fn page(asked: &str) -> Result<&'static str, NoSuchCode> {
    Code::find(asked).map(Code::page).ok_or_else(|| NoSuchCode {
        asked: asked.chars().filter(|c| !c.is_control()).take(40).collect(),
        nearest: Code::nearest(asked),
    })
}

/// Every code with its title, by block.
pub(crate) fn list(out: &mut dyn Write) -> io::Result<()> {
    let mut block = "";
    for code in Code::all() {
        if code.block() != block {
            if !block.is_empty() {
                writeln!(out)?;
            }
            block = code.block();
            writeln!(out, "{block}:")?;
        }
        writeln!(out, "  {code}  {}", code.title())?;
    }
    Ok(())
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
    fn an_unknown_code_leads_to_one_that_is_near_and_else_to_the_list() {
        let error = page("PL-O104").unwrap_err();
        assert!(error.to_string().contains("PL-0104"), "{error}");
        assert!(error.hint().contains("explain PL-0104") && error.hint().contains("--list"));
        let far = page("PL-9999").unwrap_err();
        assert_eq!(far.to_string(), "there is no code `PL-9999`");
        assert_eq!(far.hint(), "pilotlight explain --list");
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
