//! What stretches of the catalogue are about, as one table: for the list that people read, and for whoever looks for a
//! number for a new code.

use super::Code;

/// The first number of each block and its subject; a block ends where the next begins.
const BLOCKS: [(u16, &str); 20] = [
    (0, "use of the command line"),
    (100, "the plan"),
    (200, "refused by a safety rule"),
    (300, "readiness and preflight"),
    (400, "agents, controller, protocol"),
    (500, "journal and store"),
    (600, "runs and steps"),
    (700, "programs, folders and keys of drivers"),
    (800, "lab and demo"),
    (830, "words of a person that are not believed"),
    (840, "shares of a failback"),
    (850, "imports"),
    (860, "sight and clocks"),
    (870, "words, orders and the machine"),
    (880, "places and addresses"),
    (890, "AWS: buckets, images, endpoint groups"),
    (910, "the function of AWS Lambda, alarms, switches"),
    (930, "drills, backups, shares"),
    (940, "AWS: clusters, keys, rights, snapshots"),
    (960, "exposure, disks, certificates, and what changed or differs"),
];

impl Code {
    /// What its block is about.
    pub fn block(self) -> &'static str {
        let number = self.number();
        let (_, subject) =
            BLOCKS.iter().rev().find(|(first, _)| *first <= number).expect("the first block begins at 0");
        subject
    }

    fn number(self) -> u16 {
        self.0.strip_prefix("PL-").and_then(|digits| digits.parse().ok()).expect("a code is PL- and four digits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::{ALARM_MUTE, DEFECT, DISK_LOW, DRILL_LATE, IMPORT_GAP, WRITER_STILL_SEEN};
    use std::collections::BTreeSet;

    #[test]
    fn blocks_ascend_and_each_holds_a_code() {
        assert!(BLOCKS.windows(2).all(|w| w[0].0 < w[1].0), "{BLOCKS:?}");
        assert_eq!(BLOCKS[0].0, 0, "every code is in a block");
        let held: BTreeSet<&str> = Code::all().map(Code::block).collect();
        for (_, subject) in BLOCKS {
            assert!(held.contains(subject), "no code is about {subject}");
        }
        assert_eq!(held.len(), BLOCKS.len(), "each subject once");
    }

    #[test]
    fn a_code_is_filed_by_its_number() {
        for (code, about) in [
            (DEFECT, "command line"),
            (WRITER_STILL_SEEN, "person"),
            (IMPORT_GAP, "imports"),
            (DRILL_LATE, "Lambda"),
            (ALARM_MUTE, "AWS"),
            (DISK_LOW, "disks"),
        ] {
            assert!(code.block().contains(about), "{code}: {}", code.block());
        }
    }
}
