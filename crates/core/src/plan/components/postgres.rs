//! `kind: postgres`: PostgreSQL streaming replication.

use crate::code;
use crate::plan::fault::Collector;
use crate::plan::shape::{Section, Shape, TIME, Word, at_least_ms, default, optional, required, word};
use crate::plan::value::Record;
use crate::plan::{ConnectionFence, Identity, PostgresPlan, PostgresServer, PostgresTls, Rebuild, RescuePlan};
use crate::time::show_duration;

static FENCES: [Word; 3] = [
    word("none", "Nothing. What the guarantee leaves open, `check` says."),
    word("kernel", "A set of nftables whose element the kernel drops by its own timer. Linux; the agent is root."),
    word("proxy", "A process in front of the server. Clients must know no other way to it."),
];

static REBUILDS: [Word; 2] = [
    word("automatic", "The rejoin, with `pg_basebackup`, beside the old copy."),
    word("by-hand", "A person. A rejoin that cannot do without is refused and says why."),
];

static SERVER: Section = Section {
    doc: "One PostgreSQL server.",
    keys: &[
        required("host", Shape::Text, "Host name or address that the other regions use."),
        required("port", Shape::Count { least: 1, most: 65_535 }, "Its port."),
        required("data_dir", Shape::Path, "Its data directory (`PGDATA`)."),
        optional(
            "bin_dir",
            Shape::Path,
            "The folder of `pg_ctl`. Without it: found by `pg_config`, or in the usual places.",
        ),
        optional(
            "run_as",
            Shape::Text,
            "The account that owns the server when the agent is root. Without it: `postgres`.",
        ),
        optional("proxy", Shape::Socket, "Where clients connect, with `connection_fence: proxy`."),
    ],
};

static TLS: Section = Section {
    doc: "How a region's server and agent speak to the other regions' servers: always encrypted, and only to a server whose certificate is of \
          this authority and for its `host` (`sslmode=verify-full`). Files in PEM, at the same place on each machine.",
    keys: &[
        required("ca", Shape::Path, "The authority's certificate. The server's account has to be able to read it."),
        optional(
            "certificate",
            Shape::Path,
            "A client's certificate, for servers that ask for one (`clientcert` in `pg_hba.conf`).",
        ),
        optional("key", Shape::Path, "Its key: of the server's account, with mode 0600, or root's, with 0640."),
    ],
};

static TABLE: Shape = Shape::Text;

static RESCUE: Section = Section {
    doc: "Rescue bundles: what a lost writer acknowledged and never sent is kept in one before it is rewound.",
    keys: &[
        default(
            "rows",
            Shape::Flag,
            "false",
            "Keeps the rows too, so that they can be compared and applied again. Needs `wal_level = logical`, the plugin \
             `test_decoding` (it comes with the server's packages) and `passphrase`.",
        ),
        optional(
            "only",
            Shape::List { of: &TABLE, least: 1 },
            "Keeps rows of these tables only, each as `schema.table`.",
        ),
        optional("except", Shape::List { of: &TABLE, least: 1 }, "Keeps rows of all tables but these."),
        optional(
            "passphrase",
            Shape::Secret,
            "Encrypts every bundle. Without it they are as readable as the old data directory. Only agents need it.",
        ),
        default(
            "max_slot",
            Shape::Size,
            "1GiB",
            "How much of its log the writer keeps so that lost rows can be read; beyond that the slot is dropped.",
        ),
    ],
};

pub(in crate::plan) static SECTION: Section = Section {
    doc: "A PostgreSQL server in each region, one of them the writer, the others its streaming standbys.",
    keys: &[
        default(
            "database",
            Shape::Text,
            "postgres",
            "The database used for administration; it holds the sentinel table.",
        ),
        default("user", Shape::Text, "postgres", "The superuser of administration, replication and rewind."),
        optional("password", Shape::Secret, "Its password, if the server asks for one."),
        optional(
            "tls",
            Shape::Record(&TLS),
            "TLS of replication, rewind, base backup, rescue and administration between regions.",
        ),
        default(
            "sentinel",
            TIME,
            "1s",
            "How often the writer's agent writes a sentinel row, by which the RPO is measured; `0s` means never.",
        ),
        optional(
            "rescue",
            Shape::Record(&RESCUE),
            "How changes are kept that a lost writer acknowledged and never sent.",
        ),
        default(
            "connection_fence",
            Shape::Choice(&FENCES),
            "none",
            "What cuts clients off when the lease is over, also those that waive `synchronous_commit`.",
        ),
        default(
            "rebuild",
            Shape::Choice(&REBUILDS),
            "automatic",
            "Who makes a copy anew that can neither follow as it is nor be rewound.",
        ),
        default(
            "rejoin_within",
            at_least_ms(1_000),
            "6h",
            "How long one attempt to make a copy follow may take, with rewinding or building it anew. A copy that would take \
             longer to build, at the rate of the last one here, is not begun.",
        ),
        required("regions", Shape::PerRegion { of: &Shape::Record(&SERVER), every: true }, "One server per region."),
    ],
};

pub(super) fn build(record: &Record) -> Option<PostgresPlan> {
    let server = |r: &Record| {
        Some(PostgresServer {
            host: r.owned("host")?,
            port: r.number("port")?.try_into().ok()?,
            data_dir: r.path("data_dir")?,
            bin_dir: r.path("bin_dir"),
            run_as: r.owned("run_as"),
            proxy: r.socket("proxy"),
        })
    };
    Some(PostgresPlan {
        database: record.owned("database")?,
        user: record.owned("user")?,
        password: record.secret("password"),
        tls: match record.record("tls") {
            Some(t) => Some(PostgresTls { ca: t.path("ca")?, identity: identity(t) }),
            None => None,
        },
        sentinel: record.duration("sentinel")?,
        rescue: record.record("rescue").map_or_else(|| Some(RescuePlan::default()), rescue)?,
        connection_fence: match record.word("connection_fence")? {
            "kernel" => ConnectionFence::Kernel,
            "proxy" => ConnectionFence::Proxy,
            _ => ConnectionFence::None,
        },
        rebuild: match record.word("rebuild")? {
            "by-hand" => Rebuild::ByHand,
            _ => Rebuild::Automatic,
        },
        rejoin_within: record.duration("rejoin_within")?,
        regions: record.by_region("regions", |value| server(value.record()?))?,
    })
}

fn identity(record: &Record) -> Option<Identity> {
    Some(Identity { certificate: record.path("certificate")?, key: record.path("key")? })
}

fn rescue(record: &Record) -> Option<RescuePlan> {
    let tables = |key| record.list(key).iter().filter_map(|v| v.text().map(str::to_owned)).collect();
    Some(RescuePlan {
        rows: record.flag("rows")?,
        only: tables("only"),
        except: tables("except"),
        passphrase: record.secret("passphrase"),
        max_slot: record.number("max_slot")?,
    })
}

/// Rows are somebody's data: they are kept readable for nobody, and of tables that are named as they are.
fn check_rescue(record: &Record, out: &mut Collector<'_>) {
    if record.flag("rows") == Some(true) && !record.given("passphrase") {
        out.add(code::PLAN_RESCUE, record.at("rows"), "rows would be kept unencrypted")
            .found("`rows: true` without `passphrase`")
            .allowed("`passphrase: {env: NAME}` or `{file: PATH}` beside it")
            .hint("Give the agents a passphrase, or leave `rows` out.");
    }
    if record.given("only") && record.given("except") {
        out.add(code::PLAN_RESCUE, record.at("except"), "`only` and `except` exclude each other")
            .found("both")
            .allowed("one of them")
            .hint("Name the tables whose rows are kept, or those whose rows are not.");
    }
    for value in record.list("only").iter().chain(record.list("except")) {
        if value.text().is_some_and(|t| t.split('.').filter(|part| !part.is_empty()).count() != 2) {
            out.add(code::PLAN_RESCUE, &value.at, "a table is named with its schema")
                .found(value.text().unwrap_or_default())
                .allowed("`schema.table`, for example `public.payments`")
                .hint("Tables outside of `public` may have the same name.");
        }
    }
}

pub(super) fn check(record: &Record, root: &Record, out: &mut Collector<'_>) {
    if let Some(rescue) = record.record("rescue") {
        check_rescue(rescue, out);
    }
    if let Some(tls) = record.record("tls") {
        for (given, lacking) in [("certificate", "key"), ("key", "certificate")] {
            if tls.given(given) && !tls.given(lacking) {
                out.add(
                    code::PLAN_KEY_MISSING,
                    tls.at(given),
                    format!("`tls.{given}` is of no use without `tls.{lacking}`"),
                )
                .found(format!("no `{lacking}`"))
                .allowed("both, or neither")
                .hint("Without them a server that asks for a client's certificate lets nobody in.");
            }
        }
    }
    fence_has_its_address(record, out);
    let rpo = root.record("objectives").and_then(|o| o.duration("rpo"));
    let (Some(rpo), Some(sentinel)) = (rpo, record.duration("sentinel")) else { return };
    if record.given("sentinel") && !rpo.is_zero() && sentinel > rpo {
        out.add(
            code::PLAN_CONTRADICTION,
            record.at("sentinel"),
            "sentinels are further apart than the RPO, so it could not be measured",
        )
        .found(show_duration(sentinel))
        .allowed(format!("at most `objectives.rpo`, {}", show_duration(rpo)))
        .hint("Write sentinels at least five times as often as the RPO.");
    }
}

fn fence_has_its_address(record: &Record, out: &mut Collector<'_>) {
    let wanted = record.word("connection_fence") == Some("proxy");
    for (region, value) in record.map("regions") {
        let Some(server) = value.record() else { continue };
        if wanted && server.socket("proxy").is_none() && !server.given("proxy") {
            out.add(
                code::PLAN_KEY_MISSING,
                &value.at,
                format!("the server in `{region}` names no address for its proxy"),
            )
            .found("no `proxy`")
            .allowed("`proxy: ADDRESS:PORT`, where clients connect")
            .hint("With `connection_fence: proxy` clients reach the server only through it.");
        }
        if !wanted && server.given("proxy") {
            out.add(
                code::PLAN_CONTRADICTION,
                server.at("proxy"),
                format!("the server in `{region}` has a proxy that nothing starts"),
            )
            .found("`connection_fence` is not `proxy`")
            .allowed("`connection_fence: proxy`, or no `proxy`")
            .hint("Clients that connect there would find nobody.");
        }
    }
}
