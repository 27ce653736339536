//! The program `pilotlight`: everything it does is in the library beside it, which `pilotlight-lambda` is made of, too.

use std::process::ExitCode;

fn main() -> ExitCode {
    pilotlight::run_program()
}
