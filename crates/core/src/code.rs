//! The catalogue of every error an operator can meet: a code, a page, a class of exit.
//!
//! Border: texts and numbers only. A page is Markdown in docs/errors, compiled in, so that `pilotlight explain CODE`
//! works where nothing else does. To add a code: write `docs/errors/PL-NNNN.md`, add one line below.
//!
//! Invariants, held by the tests: codes are unique and ascending, every page starts with `# CODE: title` and has the
//! sections "What happened" and "What to do"; refusals also say "Why Pilotlight stops here".
//!
//! What the numbers are about stands in one table, in `code::block`.

mod block;

use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What the caller should do, as the exit code of the process says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// 1: it ran and failed.
    Failed,
    /// 2: the command or the plan is wrong; nothing was tried.
    Usage,
    /// 3: refused by a safety rule, or not confirmed.
    Refused,
    /// 4: the outcome is unknown; look before you try again.
    Unknown,
    /// 70: a defect of Pilotlight.
    Bug,
}

impl Exit {
    /// The number the process ends with.
    pub fn number(self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::Unknown => 4,
            Exit::Bug => 70,
        }
    }
}

/// A code of the catalogue, for example `PL-0104`. Only codes with a page can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Code(&'static str);

struct Entry {
    code: Code,
    exit: Exit,
    page: &'static str,
}

macro_rules! catalogue {
    ($($name:ident = $code:literal, $exit:ident;)*) => {
        $(
            #[doc = concat!("`", $code, "`; see docs/errors/", $code, ".md.")]
            pub const $name: Code = Code($code);
        )*
        static CATALOGUE: &[Entry] = &[$(Entry {
            code: Code($code),
            exit: Exit::$exit,
            page: include_str!(concat!("../../../docs/errors/", $code, ".md")),
        }),*];
    };
}

catalogue! {
    DEFECT = "PL-0001", Bug;
    FILE_EXISTS = "PL-0002", Refused;
    NO_SUCH_CODE = "PL-0003", Usage;
    FILE_NOT_WRITTEN = "PL-0004", Failed;
    REQUESTS_UNFIT = "PL-0005", Usage;
    WAITED_IN_VAIN = "PL-0006", Failed;

    PLAN_UNREADABLE = "PL-0100", Usage;
    PLAN_NOT_YAML = "PL-0101", Usage;
    PLAN_TOO_LARGE = "PL-0102", Usage;
    PLAN_NOT_ONE_MAP = "PL-0103", Usage;
    PLAN_UNKNOWN_KEY = "PL-0104", Usage;
    PLAN_KEY_TWICE = "PL-0105", Usage;
    PLAN_KEY_MISSING = "PL-0106", Usage;
    PLAN_WRONG_TYPE = "PL-0107", Usage;
    PLAN_VALUE = "PL-0108", Usage;
    PLAN_NAME = "PL-0109", Usage;
    PLAN_UNKNOWN_REGION = "PL-0110", Usage;
    PLAN_REGION_MISSING = "PL-0111", Usage;
    PLAN_LITERAL_SECRET = "PL-0112", Usage;
    PLAN_SHARED_PLACE = "PL-0113", Usage;
    PLAN_RENEWAL = "PL-0114", Usage;
    PLAN_RPO_BELOW_LEASE = "PL-0115", Usage;
    PLAN_TLS = "PL-0116", Usage;
    PLAN_CONTRADICTION = "PL-0118", Usage;
    PLAN_WEAK_FENCE = "PL-0119", Usage;
    PLAN_OBJECTIVE = "PL-0120", Usage;
    SECRET_MISSING = "PL-0121", Usage;
    PLAN_NO_GOVERNOR = "PL-0125", Usage;
    PLAN_RPO_TOO_SHORT = "PL-0126", Usage;
    PLAN_NO_SHARED_STORE = "PL-0128", Usage;
    PLAN_LONG_LEAD = "PL-0129", Usage;
    PLAN_RESCUE = "PL-0130", Usage;
    PLAN_OBSERVER = "PL-0132", Usage;
    RECORDING_UNREADABLE = "PL-0133", Usage;
    PLAN_AWS_REGION = "PL-0137", Usage;
    PLAN_AWS_ARN = "PL-0138", Usage;
    AWS_NOT_BUILT_IN = "PL-0139", Usage;

    ALREADY_THERE = "PL-0201", Refused;
    TARGET_UNKNOWN = "PL-0202", Refused;
    NO_PLACE = "PL-0203", Refused;
    SOURCE_SILENT = "PL-0204", Refused;
    SOURCE_NOT_WRITER = "PL-0205", Refused;
    TARGET_SILENT = "PL-0206", Refused;
    TARGET_NOT_STANDBY = "PL-0207", Refused;
    NOT_STREAMING = "PL-0208", Refused;
    FENCE_TOO_WEAK = "PL-0209", Refused;
    NOTHING_TO_MOVE = "PL-0210", Refused;
    NO_DRIVER = "PL-0211", Refused;
    ANOTHER_WRITER = "PL-0212", Refused;
    NOTHING_TO_REJOIN = "PL-0213", Refused;
    NO_TRAFFIC = "PL-0214", Refused;
    INCAPABLE = "PL-0215", Refused;
    HOOK_SILENT = "PL-0216", Refused;
    REJOIN_ELSEWHERE = "PL-0217", Refused;
    ALREADY_MOVING = "PL-0221", Refused;
    NOTHING_KNOWN = "PL-0222", Refused;
    TOO_FAR_BEHIND = "PL-0223", Refused;
    COOLING_DOWN = "PL-0224", Refused;
    NOT_CONFIRMED = "PL-0225", Refused;
    SERVICE_UNHEALTHY = "PL-0226", Refused;
    NOBODY_TAKES_OVER = "PL-0227", Refused;
    NOT_ADMITTED = "PL-0231", Refused;
    MAY_LOSE = "PL-0232", Refused;

    RESCUE_INCOMPLETE = "PL-0238", Refused;
    RESCUE_DAMAGED = "PL-0239", Refused;
    RESCUE_ROWS = "PL-0240", Refused;
    RESCUE_TARGET = "PL-0241", Refused;
    HELD = "PL-0242", Refused;
    MINORITY = "PL-0243", Refused;
    ATTEMPT_FAILED = "PL-0244", Refused;

    POSTGRES_SILENT = "PL-0301", Failed;
    NO_REWIND = "PL-0302", Failed;
    NO_PAGE_WRITES = "PL-0303", Failed;
    LITTLE_WAL = "PL-0304", Failed;
    NO_SUPERUSER = "PL-0305", Failed;
    SELF_RESTART = "PL-0306", Failed;
    NO_FSYNC = "PL-0307", Failed;
    SYNCHRONOUS_NAMES = "PL-0308", Failed;
    SENDER_TIMEOUT = "PL-0309", Failed;
    FEW_SENDERS = "PL-0310", Failed;
    NO_ROOM = "PL-0311", Failed;
    VERSIONS_DIFFER = "PL-0312", Failed;
    RETRY_PAUSE = "PL-0313", Failed;
    RECEIVER_TIMEOUT = "PL-0314", Failed;
    NO_KEEPALIVES = "PL-0315", Failed;
    DELAYED = "PL-0316", Failed;
    RECOVERY_TARGET = "PL-0317", Failed;
    ONE_TIMELINE = "PL-0318", Failed;
    UPSTREAM_STANDBY = "PL-0319", Failed;
    WAL_LEVEL = "PL-0320", Failed;
    NO_ADDRESS = "PL-0321", Failed;
    DNS_CONTROL = "PL-0322", Failed;
    DNS_SILENT = "PL-0323", Failed;
    TTL_TOO_LONG = "PL-0324", Failed;
    CLOCKS_DIFFER = "PL-0325", Failed;
    PROGRAM_MISSING = "PL-0331", Failed;
    WEBHOOK_URL = "PL-0332", Failed;
    GATE_NOT_STARTED = "PL-0335", Failed;
    NO_KERNEL_FENCE = "PL-0336", Failed;
    GATE_APART = "PL-0337", Failed;
    PROXY_DESCRIPTORS = "PL-0338", Failed;
    NO_PROXY = "PL-0339", Failed;
    SESSIONS_DO_NOT_WAIT = "PL-0340", Failed;
    COUNTED_BY_MISTAKE = "PL-0341", Failed;
    MINORS_DIFFER = "PL-0342", Failed;
    OLD_MINOR = "PL-0343", Failed;
    ALWAYS_THE_CANDIDATE = "PL-0344", Failed;
    RESCUE_NO_ROOM = "PL-0345", Failed;
    RESCUE_NOT_LOGICAL = "PL-0346", Failed;
    RESCUE_SLOT_UNBOUNDED = "PL-0347", Failed;
    RESCUE_READABLE = "PL-0348", Failed;
    BUILT_ANEW = "PL-0350", Failed;
    REJOIN_REFUSED = "PL-0351", Failed;
    WILL_REWIND = "PL-0352", Failed;
    REBUILD_BY_HAND = "PL-0353", Failed;
    REBUILD_TOO_LONG = "PL-0354", Failed;
    REBUILD_TABLESPACE = "PL-0355", Failed;
    AWS_NOT_ASKED = "PL-0361", Failed;
    AWS_DENIED = "PL-0362", Failed;
    AWS_WRONG_ACCOUNT = "PL-0363", Failed;
    AWS_MISSING = "PL-0364", Failed;
    AWS_MOVED_BY_HAND = "PL-0365", Failed;
    AWS_NOT_IN_STEP = "PL-0366", Failed;
    AWS_FAR_BEHIND = "PL-0367", Failed;
    AWS_HEADLESS = "PL-0368", Failed;
    AWS_UNPROTECTED = "PL-0369", Failed;
    AWS_VERSIONS_DIFFER = "PL-0370", Failed;
    AWS_RECORD = "PL-0371", Failed;
    AWS_HEALTH_CHECK = "PL-0372", Failed;
    AWS_CONTROL_PLANE = "PL-0373", Failed;
    AWS_QUOTA = "PL-0374", Failed;
    AWS_SIZE = "PL-0375", Failed;
    AWS_NO_CLOSED_GROUPS = "PL-0376", Failed;
    AWS_HALF_DONE = "PL-0377", Failed;

    OTHER_VERSION = "PL-0401", Failed;
    WRONG_TOKEN = "PL-0402", Failed;
    CONTROLLER_UNREACHABLE = "PL-0403", Failed;
    PORT_IN_USE = "PL-0404", Failed;
    ANOTHER_AGENT = "PL-0405", Failed;
    NOT_THE_LEADER = "PL-0408", Failed;
    NO_LEADER = "PL-0409", Failed;

    JOURNAL_FULL = "PL-0501", Failed;
    JOURNAL_DAMAGED = "PL-0502", Failed;
    STATE_IN_USE = "PL-0503", Refused;
    STORE_SILENT = "PL-0504", Failed;
    STORE_UNCONDITIONAL = "PL-0505", Refused;
    STORE_DENIES = "PL-0506", Failed;

    NO_SUCH_RUN = "PL-0601", Usage;
    NOT_NOW = "PL-0602", Refused;
    NO_SUCH_BUNDLE = "PL-0603", Usage;
    BUNDLE_WITHOUT_ROWS = "PL-0604", Usage;
    RUN_UNREACHED = "PL-0605", Failed;
    BUNDLE_UNANSWERED = "PL-0606", Failed;
    RESCUE_LEFT = "PL-0607", Failed;

    POSTGRES_PROGRAMS = "PL-0701", Failed;
    DATA_DIRECTORY = "PL-0702", Failed;
    RESCUE_KEY = "PL-0703", Failed;

    DEMO_START = "PL-0801", Failed;
    DEMO_UNFINISHED = "PL-0802", Failed;
    LAB_NETWORK = "PL-0816", Failed;
    WRITER_STILL_SEEN = "PL-0830", Refused;

    PLAN_SHARES = "PL-0840", Usage;
    IMPORT_NO_STATE = "PL-0850", Usage;
    IMPORT_EMPTY = "PL-0851", Usage;
    IMPORT_GAP = "PL-0852", Usage;
    NOT_SEEN = "PL-0860", Refused;
    CLOCK_SET = "PL-0861", Failed;
    COMMAND_LINE = "PL-0870", Usage;
    NO_SUCH_NAME = "PL-0871", Usage;
    MACHINE = "PL-0872", Failed;
    STALE_EPOCH = "PL-0873", Refused;
    STORE_BEHIND = "PL-0874", Refused;
    INSTANCES_NOT_READY = "PL-0875", Failed;
    PLACE_SILENT = "PL-0880", Failed;
    NAME_OUTSIDE_ZONE = "PL-0881", Failed;
    AGENT_SILENT = "PL-0882", Failed;
    NOT_OUR_ADDRESS = "PL-0883", Failed;
    AWS_NO_VERSIONS = "PL-0890", Failed;
    AWS_RULE = "PL-0891", Failed;
    AWS_RULE_INCOMPLETE = "PL-0892", Failed;
    AWS_NOT_COPIED = "PL-0893", Failed;
    AWS_IMAGE_MISSING = "PL-0894", Failed;
    AWS_IMAGE_ELSEWHERE = "PL-0895", Failed;
    AWS_IMAGE_DIFFERS = "PL-0896", Failed;
    AWS_ENDPOINTS = "PL-0897", Failed;
    EVENT_UNKNOWN = "PL-0910", Usage;
    ALARM_UNKNOWN = "PL-0911", Usage;
    NEEDS_A_MACHINE = "PL-0912", Usage;
    STORE_OF_ONE_MACHINE = "PL-0913", Usage;
    TOO_LITTLE_TIME = "PL-0914", Failed;
    NOT_A_FUNCTION = "PL-0915", Usage;
    ANOTHER_INVOCATION = "PL-0916", Failed;
    DRILL_AWAY = "PL-0917", Refused;
    DRILL_NOT_NOW = "PL-0918", Refused;
    DRILL_LATE = "PL-0919", Refused;
    ALARM_NAME = "PL-0920", Usage;
    PLAN_SWITCH = "PL-0921", Usage;
    AWS_SWITCH = "PL-0922", Failed;
    AWS_SWITCH_PUBLIC = "PL-0923", Failed;
    DRILL_NOT_BACK = "PL-0930", Failed;
    AWS_NO_BACKUPS = "PL-0931", Failed;
    PLAN_AT_REST = "PL-0932", Usage;
    PLAN_WHO_WRITES = "PL-0933", Usage;
    PLAN_RPO_ZERO = "PL-0934", Usage;
    SHARES_DIFFER = "PL-0935", Failed;
    SHARE_NOT_DRAINED = "PL-0936", Refused;
    SHARE_LOST = "PL-0937", Refused;
    SHARE_STALE = "PL-0938", Refused;
    AWS_NODES_DEGRADED = "PL-0940", Failed;
    AWS_SKEW = "PL-0941", Failed;
    AWS_SECRET = "PL-0942", Failed;
    AWS_KEY = "PL-0943", Failed;
    AWS_CERTIFICATE = "PL-0944", Failed;
    PLAN_ELSEWHERE = "PL-0945", Usage;
    AWS_RIGHT = "PL-0946", Failed;
    ALARM_MUTE = "PL-0947", Failed;
    AWS_KEPT = "PL-0948", Failed;
    AWS_ORIGINS = "PL-0949", Failed;
    AWS_SNAPSHOT = "PL-0950", Failed;
    AWS_BACKUPS = "PL-0951", Failed;
    AWS_DEPLOYMENT = "PL-0952", Failed;
    EXPOSED = "PL-0960", Failed;
    DISK_LOW = "PL-0961", Failed;
    DISK_FILLS = "PL-0962", Failed;
    LOG_HELD = "PL-0963", Failed;
    BARE_WIRE = "PL-0964", Failed;
    CERTIFICATE_ENDS = "PL-0965", Failed;
    ANSWER_TOO_LONG = "PL-0966", Failed;
    RESCUE_ROLE = "PL-0967", Refused;
    DATA_DAMAGED = "PL-0970", Refused;
    LEFT_BEHIND = "PL-0971", Failed;
    UNSEEN_SERVER = "PL-0972", Refused;
    UNIT_CHANGED = "PL-0975", Refused;
    HOLD_NOT_KEPT = "PL-0976", Failed;
    APPLY_UNKNOWN = "PL-0977", Unknown;
    SCHEMA_FOREIGN = "PL-0980", Refused;
    PLANS_DIFFER = "PL-0981", Refused;
    AGENT_OLD = "PL-0982", Refused;
    TASK_UNKNOWN = "PL-0983", Failed;
    TOKEN_OF_ANOTHER = "PL-0984", Refused;
}

impl Code {
    /// Every code, ascending.
    pub fn all() -> impl Iterator<Item = Code> {
        CATALOGUE.iter().map(|e| e.code)
    }

    /// The code of that text; `pl-0104`, `0104` and `104` are understood too.
    pub fn find(text: &str) -> Option<Code> {
        let text = text.trim();
        let digits = text.strip_prefix("PL-").or_else(|| text.strip_prefix("pl-")).unwrap_or(text);
        if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let full = format!("PL-{digits:0>4}");
        Code::all().find(|c| c.0 == full)
    }

    /// The known code that was meant, if one mistyped character makes the difference: further away numbers mean nothing.
    pub fn nearest(text: &str) -> Option<Code> {
        let wanted = text.trim().to_ascii_uppercase();
        Code::all().find(|c| strsim::damerau_levenshtein(c.0, &wanted) <= 1)
    }

    /// The code as text.
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// The whole page, in Markdown.
    pub fn page(self) -> &'static str {
        self.entry().page
    }

    /// What it is about, in a few words: the heading of its page without the code.
    pub fn title(self) -> &'static str {
        let heading = self.page().lines().next().unwrap_or_default();
        heading.split_once(": ").map_or(heading, |(_, title)| title)
    }

    /// How a command ends that ends with it.
    pub fn exit(self) -> Exit {
        self.entry().exit
    }

    fn entry(self) -> &'static Entry {
        CATALOGUE.iter().find(|e| e.code == self).expect("a code is only made from the catalogue")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        Code::find(&text).ok_or_else(|| serde::de::Error::custom(format!("no error code `{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_its_heading_and_sections() {
        for code in Code::all() {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}: ")), "{code}: the page starts with `# {code}: title`");
            let mut wanted = vec!["\n## What happened\n", "\n## What to do\n"];
            if code.exit() == Exit::Refused {
                wanted.push("\n## Why Pilotlight stops here\n");
            }
            for section in wanted {
                let body = page.split_once(section).map(|(_, rest)| rest.trim_start());
                assert!(
                    body.is_some_and(|b| !b.is_empty() && !b.starts_with('#')),
                    "{code}: section{section}is missing or empty"
                );
            }
            assert!(!page.contains('\t') && page.ends_with('\n'), "{code}: spaces only, and a final newline");
        }
    }

    #[test]
    fn codes_are_unique_and_ascending() {
        let codes: Vec<&str> = Code::all().map(Code::as_str).collect();
        assert!(codes.windows(2).all(|w| w[0] < w[1]), "{codes:?}");
        assert!(codes.iter().all(|c| c.len() == 7 && Code::find(c).is_some()));
    }

    #[test]
    fn every_page_on_disk_is_in_the_catalogue() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        let mut on_disk: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|f| f.unwrap().file_name().into_string().unwrap())
            .filter_map(|f| f.strip_suffix(".md").map(str::to_owned))
            .collect();
        on_disk.sort();
        assert_eq!(on_disk, Code::all().map(|c| c.as_str().to_owned()).collect::<Vec<_>>());
    }

    #[test]
    fn codes_are_found_as_people_type_them() {
        for text in ["PL-0104", "pl-0104", "0104", "104", " PL-104 "] {
            assert_eq!(Code::find(text), Some(PLAN_UNKNOWN_KEY), "{text}");
        }
        for text in ["", "PL-", "PL-9999", "PL-01045", "x104", "PL-1o4"] {
            assert_eq!(Code::find(text), None, "{text}");
        }
        assert_eq!(Code::nearest("PL-O104"), Some(PLAN_UNKNOWN_KEY));
        assert_eq!(Code::nearest("lp-0104"), Some(PLAN_UNKNOWN_KEY), "two that changed places");
        assert_eq!(Code::nearest("PL-9999"), None);
    }
}
