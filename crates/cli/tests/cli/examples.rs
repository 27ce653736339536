//! The plans of the examples, without AWS: each has no fault, and its README leads to it. The tests against the AWS test
//! server stand in `tests/aws`.

use crate::program::{run, said};
use std::fs;
use std::path::Path;

#[test]
fn every_example_has_no_fault_and_says_how_to_run_it() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut seen = 0;
    for entry in fs::read_dir(&examples).unwrap().map(Result::unwrap).filter(|e| e.path().is_dir()) {
        let folder = entry.path();
        let (code, out, err) = said(&run(&folder, &["check"]));
        assert_eq!((code, err.as_str()), (0, ""), "{}: {out}", folder.display());
        let (code, out, err) = said(&run(&folder, &["check", "--json"]));
        assert_eq!(code, 0, "{}: {out}{err}", folder.display());
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        let environment = page.split("import terraform ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        assert!(folder.join(environment).join("main.tf").exists(), "{}: no {environment}", folder.display());
        seen += 1;
    }
    assert_eq!(seen, 5, "an example is missing");
}
