//! Every kind of fault, with its code and its exact place.

use super::*;

/// Line numbers count from the first line of this text, which is 1.
const BASE: &str = "\
application: shop
objectives: { rto: 60s, rpo: 30s }
regions: [east, west]
controller:
  listen: 127.0.0.1:7400
  token: { env: TOKEN }
policy:
  mode: automatic
  lease: 5s
components:
  db:
    kind: postgres
    regions:
      east: { host: h1, port: 5432, data_dir: /a }
      west: { host: h2, port: 5432, data_dir: /b }
  app:
    kind: process
    active: 2
    regions:
      east: { command: [app] }
      west: { command: [app] }
  name:
    kind: dns
    name: shop.test
    server: 127.0.0.1:53
    control_url: http://127.0.0.1:5380
    answers: { east: 10.0.0.1, west: 10.0.0.2 }
";

fn faults(text: &str) -> Vec<Fault> {
    Plan::read(text, "plan.yaml").map_or_else(|f| f.iter().cloned().collect(), |_| Vec::new())
}

/// BASE with one replacement has exactly these faults: code, line, column, key path.
fn expect(from: &str, to: &str, wanted: &[(&str, usize, usize, &str)]) {
    assert_eq!(BASE.matches(from).count(), 1, "`{from}` stands once in the base");
    let found = faults(&BASE.replacen(from, to, 1));
    let got: Vec<_> = found.iter().map(|f| (f.code.as_str(), f.line, f.column, f.key_path.as_str())).collect();
    assert_eq!(got, wanted, "{from} -> {to}: {found:#?}");
    for fault in &found {
        assert!(!fault.message.is_empty() && !fault.allowed.is_empty() && !fault.found.is_empty(), "{fault:#?}");
    }
}

#[test]
fn lines_may_end_as_on_windows_and_the_file_may_start_with_a_mark() {
    let text = format!("\u{feff}{}", BASE.replace('\n', "\r\n"));
    assert_eq!(faults(&text), []);
    let found = faults(&text.replace("lease: 5s", "leese: 5s"));
    assert_eq!((found[0].line, found[0].column), (9, 3));
}

#[test]
fn a_proxy_has_an_address_where_it_is_wanted_and_nowhere_else() {
    let east = "components.db.regions.east";
    let both = [("PL-0106", 15, 7, east), ("PL-0106", 16, 7, "components.db.regions.west")];
    expect("    kind: postgres\n", "    kind: postgres\n    connection_fence: proxy\n", &both);
    let proxy = "data_dir: /a, proxy: \"10.0.0.1:6432\" }";
    expect("data_dir: /a }", proxy, &[("PL-0118", 14, 58, "components.db.regions.east.proxy")]);
}

#[test]
fn a_clients_certificate_and_its_key_go_together() {
    let tls = |more: &str| format!("    kind: postgres\n    tls: {{ ca: /ca.pem{more} }}\n");
    expect("    kind: postgres\n", &tls(""), &[]);
    expect("    kind: postgres\n", &tls(", certificate: /c.pem, key: /k.pem"), &[]);
    expect("    kind: postgres\n", &tls(", key: /k.pem"), &[("PL-0106", 13, 30, "components.db.tls.key")]);
    let no_authority = "    kind: postgres\n    tls: { key: /k.pem, certificate: /c.pem }\n";
    expect("    kind: postgres\n", no_authority, &[("PL-0106", 13, 5, "components.db.tls.ca")]);
}

#[test]
fn keys() {
    expect("  lease: 5s", "  lease: 5s", &[]);
    expect("  lease: 5s", "  leese: 5s", &[("PL-0104", 9, 3, "policy.leese")]);
    expect("active: 2", "activ: 2", &[("PL-0104", 18, 5, "components.app.activ")]);
    expect("active: 2", "x-owner: { lease: [1] }", &[]);
    expect("active: 2", "<<: 2", &[("PL-0104", 18, 5, "components.app.<<")]);
    expect("rpo: 30s }", "rpo: 30s, rpo: 31s }", &[("PL-0105", 2, 35, "objectives.rpo")]);
    expect(
        "west: { host",
        "east: { host",
        &[("PL-0111", 13, 5, "components.db.regions.west"), ("PL-0105", 15, 7, "components.db.regions.east")],
    );
    expect("  mode: automatic\n", "", &[("PL-0106", 7, 1, "policy.mode")]);
    expect("application: shop\n", "", &[("PL-0106", 1, 1, "application")]);
    expect("    kind: dns\n", "", &[("PL-0106", 22, 3, "components.name")]);
    expect("{ env: TOKEN }", "{ enf: TOKEN }", &[("PL-0104", 6, 12, "controller.token.enf")]);
    expect("{ env: TOKEN }", "{ env: A, file: b }", &[("PL-0107", 6, 3, "controller.token")]);
    expect("east: { command: [app] }", "east: { env: { A: 1 } }", &[("PL-0106", 20, 7, "components.app.regions.east")]);
}

#[test]
fn types_and_values() {
    expect("[east, west]", "east", &[("PL-0107", 3, 10, "regions")]);
    expect("[east, west]", "[east, [west]]", &[("PL-0107", 3, 17, "regions[1]")]);
    expect("rto: 60s", "rto: 60", &[("PL-0108", 2, 20, "objectives.rto")]);
    expect("rto: 60s", "rto: [60s]", &[("PL-0107", 2, 15, "objectives.rto")]);
    expect("rto: 60s", "rto: ", &[("PL-0107", 2, 15, "objectives.rto")]);
    expect("lease: 5s", "lease: 900ms", &[("PL-0108", 9, 10, "policy.lease")]);
    expect("automatic", "automatisch", &[("PL-0108", 8, 9, "policy.mode")]);
    expect("kind: process", "kind: proces", &[("PL-0108", 17, 11, "components.app.kind")]);
    expect("active: 2", "active: 0", &[("PL-0108", 18, 13, "components.app.active")]);
    expect("active: 2", "active: many", &[("PL-0108", 18, 13, "components.app.active")]);
    expect(
        "port: 5432, data_dir: /a",
        "port: 70000, data_dir: /a",
        &[("PL-0108", 14, 31, "components.db.regions.east.port")],
    );
    expect("listen: 127.0.0.1:7400", "listen: localhost:7400", &[("PL-0108", 5, 11, "controller.listen")]);
    expect("east: 10.0.0.1", "east: ten", &[("PL-0108", 27, 22, "components.name.answers.east")]);
    expect("http://127.0.0.1:5380", "127.0.0.1:5380", &[("PL-0108", 26, 18, "components.name.control_url")]);
    expect("name: shop.test", "name: shop..test", &[("PL-0108", 24, 11, "components.name.name")]);
    expect("application: shop", "application: The_Shop", &[("PL-0109", 1, 14, "application")]);
    expect("  app:\n", "  App:\n", &[("PL-0109", 16, 3, "components.App")]);
    expect("application: shop", "application: !shop x", &[("PL-0107", 1, 14, "")]);
}

#[test]
fn regions() {
    expect("regions: [east, west]\n", "regions: [east, west]\nhome: wets\n", &[("PL-0110", 4, 7, "home")]);
    expect(
        "west: 10.0.0.2",
        "wset: 10.0.0.2",
        &[("PL-0111", 27, 5, "components.name.answers.west"), ("PL-0110", 27, 32, "components.name.answers.wset")],
    );
    expect("[east, west]", "[east, west, west]", &[("PL-0118", 3, 23, "regions[2]")]);
    expect("[east, west]", "[east]", &[("PL-0108", 3, 1, "regions")]);
    let found = faults(&BASE.replacen("west: 10.0.0.2", "wset: 10.0.0.2", 1));
    assert_eq!(found[1].nearest.as_deref(), Some("west"));
}

#[test]
fn secrets_are_never_repeated() {
    let literal = [
        ("{ env: TOKEN }", "hunter2", ("PL-0112", 6, 10, "controller.token")),
        ("http://127.0.0.1:5380", "http://me:hunter2@h", ("PL-0112", 26, 18, "components.name.control_url")),
        (
            "components:\n",
            "verify: [ { sql: { dsn: \"password=hunter2\", query: q } } ]\ncomponents:\n",
            ("PL-0112", 10, 25, "verify[0].sql.dsn"),
        ),
    ];
    for (from, to, wanted) in literal {
        expect(from, to, &[wanted]);
        let shown = format!("{:?}", faults(&BASE.replacen(from, to, 1)));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

/// Both addresses of two names are one authority; one of them alone would be two processes in one place.
#[test]
fn several_names_may_have_one_authority() {
    let second = |server: &str, control: &str| {
        format!(
            "{BASE}  api:\n    kind: dns\n    name: api.shop.test\n    server: {server}\n    control_url: {control}\n    \
             answers: {{ east: 10.0.0.1, west: 10.0.0.2 }}\n"
        )
    };
    let found = |text: &str| -> Vec<(String, String)> {
        faults(text).into_iter().map(|f| (f.code.to_string(), f.key_path)).collect()
    };
    let shared = |key: &str| [("PL-0113".to_owned(), format!("components.{key}"))];
    let (server, control) = ("127.0.0.1:53", "http://127.0.0.1:5380");
    assert_eq!(found(&second(server, control)), []);
    assert_eq!(found(&second(server, "http://127.0.0.1:5380/")), []);
    assert_eq!(found(&second("127.0.0.1:54", "http://127.0.0.1:5381")), [], "an authority of its own");
    assert_eq!(found(&second(server, "http://127.0.0.1:5381")), shared("api.server"));
    assert_eq!(found(&second("127.0.0.1:54", control)), shared("api.control_url"));
    let on_the_controller = second(server, control).replace(control, "http://127.0.0.1:7400");
    assert_eq!(found(&on_the_controller), shared("name.control_url"), "told once, of the authority");
}

#[test]
fn contradictions() {
    expect("active: 2", "standby: 2", &[("PL-0118", 18, 14, "components.app.standby")]);
    expect(
        "east: { command: [app] }",
        "east: { command: [app], shell: app }",
        &[("PL-0118", 20, 38, "components.app.regions.east.shell")],
    );
    expect("west: 10.0.0.2", "west: 10.0.0.1", &[("PL-0118", 27, 38, "components.name.answers.west")]);
    expect("host: h2", "host: H1", &[("PL-0113", 15, 31, "components.db.regions.west.port")]);
    expect(
        "{ host: h2, port: 5432, data_dir: /b }",
        "{ host: h1, port: 5433, data_dir: /a }",
        &[("PL-0113", 15, 47, "components.db.regions.west.data_dir")],
    );
    expect("server: 127.0.0.1:53", "server: 0.0.0.0:5380", &[("PL-0113", 26, 18, "components.name.control_url")]);
    expect("lease: 5s", "lease: 5s\n  renew: 3s", &[("PL-0114", 10, 10, "policy.renew")]);
    expect("rpo: 30s", "rpo: 4s", &[("PL-0115", 9, 10, "policy.lease")]);
    expect("lease: 5s", "lease: 35s\n  guarantee: best-effort", &[]);
    expect("lease: 5s", "lease: 35s", &[("PL-0115", 9, 10, "policy.lease")]);
    expect("lease: 5s", "lease: 35s\n  beyond_rpo: expose", &[]);
    expect("lease: 5s", "lease: 35s\n  guarantee: strict", &[]);
    expect(
        "lease: 5s",
        "lease: 5s\n  guarantee: strict\n  beyond_rpo: stall",
        &[("PL-0125", 11, 15, "policy.beyond_rpo")],
    );
    expect(
        "lease: 5s",
        "lease: 5s\n  guarantee: best-effort\n  beyond_rpo: stall",
        &[("PL-0125", 11, 15, "policy.beyond_rpo")],
    );
    expect("rpo: 30s", "rpo: 500ms", &[("PL-0115", 9, 10, "policy.lease")]);
    expect("lease: 5s", "lease: 5s\n  beyond_rpo: stall", &[]);
    let rpo_zero = ("PL-0934", 2, 30, "objectives.rpo");
    expect("rpo: 30s", "rpo: 0s", &[rpo_zero, ("PL-0115", 9, 10, "policy.lease")]);
    expect("lease: 5s", "lease: 5s\n  least_fence: traffic-only", &[("PL-0119", 10, 16, "policy.least_fence")]);
    expect("rto: 60s", "rto: 9s", &[("PL-0120", 2, 20, "objectives.rto")]);
    expect("rto: 60s", "rto: 60s, mtpd: 70s, wrt: 20s", &[("PL-0118", 2, 31, "objectives.mtpd")]);
    expect("kind: postgres", "kind: postgres\n    sentinel: 31s", &[("PL-0118", 13, 15, "components.db.sentinel")]);
    expect(
        "components:\n",
        "measure: { url: http://shop.tset/ }\ncomponents:\n",
        &[("PL-0118", 10, 17, "measure.url")],
    );
    expect(
        "  name:\n",
        "  other: { kind: dns, name: shop.test, server: 127.0.0.1:54, control_url: http://127.0.0.1:5381, answers: { east: 10.0.0.1, west: 10.0.0.2 } }\n  name:\n",
        &[("PL-0118", 25, 11, "components.name.name")],
    );
}

#[test]
fn nothing_is_ever_lost_only_where_every_store_waits() {
    let found = |policy: &str, mode: &str| {
        let text = BASE.replacen("rpo: 30s", "rpo: 0s", 1).replacen("lease: 5s", &format!("lease: 5s\n  {policy}"), 1);
        faults(&text.replacen("mode: automatic", &format!("mode: {mode}"), 1))
    };
    for mode in ["automatic", "approve-first", "manual"] {
        for policy in ["beyond_rpo: expose", "guarantee: best-effort"] {
            let found = found(policy, mode);
            let [fault] = &found[..] else { panic!("{policy}, {mode}: {found:#?}") };
            assert_eq!(
                (fault.code.as_str(), fault.key_path.as_str()),
                ("PL-0934", "objectives.rpo"),
                "{policy}, {mode}"
            );
            assert!(fault.message.starts_with("`db` answers before"), "{fault:?}");
        }
        assert_eq!(found("guarantee: strict", mode), [], "{mode}");
    }
}

#[test]
fn tls() {
    expect("127.0.0.1:7400", "10.0.0.9:7400", &[("PL-0116", 5, 11, "controller.listen")]);
    let tls = "tls: { ca: a, certificate: b, key: c }";
    expect("127.0.0.1:7400", &format!("10.0.0.9:7400\n  {tls}"), &[]);
    expect("127.0.0.1:7400", &format!("0.0.0.0:7400\n  {tls}"), &[("PL-0118", 5, 11, "controller.listen")]);
    expect(
        "127.0.0.1:7400",
        &format!("127.0.0.1:7400\n  {tls}\n  url: http://127.0.0.1:7400"),
        &[("PL-0116", 7, 8, "controller.url")],
    );
    expect("127.0.0.1:7400", "127.0.0.1:7400\n  url: https://dr.test", &[("PL-0116", 6, 8, "controller.url")]);
    expect("127.0.0.1:7400", "127.0.0.1:7400\n  url: http://dr.test", &[("PL-0116", 6, 8, "controller.url")]);
    expect("http://127.0.0.1:5380", "http://10.0.0.9:5380", &[("PL-0116", 26, 18, "components.name.control_url")]);
}

#[test]
fn texts_that_are_no_plan() {
    let deep = "[".repeat(100_000);
    let deep_block = (0..60).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>();
    let laughs = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(1..9)
            .map(|i| format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")))
            .collect::<String>();
    let huge = "#".repeat((1 << 20) + 1);
    for (text, code, line, column) in [
        ("", "PL-0103", 1, 1),
        ("# only a note\n", "PL-0103", 1, 1),
        ("~", "PL-0103", 1, 1),
        ("- a\n- b\n", "PL-0103", 1, 1),
        ("\n\nsome words", "PL-0103", 3, 1),
        ("a: 1\n---\nb: 2\n", "PL-0103", 2, 1),
        ("a:\n\tb: 1\n", "PL-0101", 2, 1),
        ("a: [1, 2\nb: 3\n", "PL-0101", 2, 2),
        ("a: \"open\n", "PL-0101", 1, 4),
        ("a: b: c\n", "PL-0101", 1, 5),
        ("a: *nowhere\n", "PL-0101", 1, 4),
        ("a: 1\nb\u{0}c", "PL-0101", 2, 2),
        ("a: 1\r\nb: 2\rc: 3\n", "PL-0101", 2, 5),
        ("\u{7f}ELF\u{2}\u{1}", "PL-0101", 1, 1),
        ("a: &a [*a]\n", "PL-0102", 1, 8),
        ("? [a]\n: 1\n", "PL-0107", 1, 3),
        (deep.as_str(), "PL-0102", 1, 256),
        (deep_block.as_str(), "PL-0102", 33, 33),
        (laughs.as_str(), "PL-0102", 5, 10),
        (huge.as_str(), "PL-0102", 1, 1),
    ] {
        let found = faults(text);
        let shown: String = text.chars().take(60).collect();
        assert_eq!(found.len(), 1, "{shown}: {found:#?}");
        assert_eq!(
            (found[0].code.as_str(), found[0].line, found[0].column),
            (code, line, column),
            "{shown}: {found:#?}"
        );
    }
    let found = Plan::read_bytes(b"a: 1\nb: \xff\xfe", "p").unwrap_err();
    let fault = found.iter().next().unwrap();
    assert_eq!((fault.code.as_str(), fault.line, fault.column), ("PL-0100", 2, 4));
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_text() {
    let text = BASE
        .replace("60s", "soon")
        .replace("lease: 5s", "lease: 1ms\n  colour: red")
        .replace("active: 2", "active: -1");
    let found = faults(&text);
    let codes: Vec<_> = found.iter().map(|f| (f.code.as_str(), f.line)).collect();
    assert_eq!(codes, [("PL-0108", 2), ("PL-0108", 9), ("PL-0104", 10), ("PL-0108", 19)]);
    assert_eq!(found[0].to_string(), "plan.yaml:2:20: PL-0108 `objectives.rto`: `soon` is not a length of time");
}

#[test]
fn names_that_are_near_are_proposed() {
    for (from, to, nearest) in [
        ("  lease:", "  leese:", Some("lease")),
        ("  lease:", "  Lease:", Some("lease")),
        ("  lease:", "  colour:", None),
        ("automatic", "auto-matic", Some("automatic")),
        ("kind: postgres", "kind: postgre", Some("postgres")),
        ("control_url", "control-url", Some("control_url")),
    ] {
        let found = faults(&BASE.replacen(from, to, 1));
        assert_eq!(found.iter().find_map(|f| f.nearest.as_deref()), nearest, "{to}: {found:#?}");
    }
}

/// Each is near the bounds of size, nesting or number; none may take long or all memory.
#[test]
fn hostile_texts_end_in_a_bounded_number_of_faults() {
    let many = |line: &dyn Fn(usize) -> String, n: usize| (0..n).map(line).collect::<String>();
    let regions = many(&|i| format!("r{i}, "), 5_000);
    let components = many(&|i| format!("  c{i}: {{ kind: dns, answers: {{}} }}\n"), 500);
    for text in [
        many(&|i| format!("k{i}: 1\n"), 9_000),
        many(&|_| "k: 1\n".to_owned(), 9_000),
        format!("regions: [{regions}]\ncomponents:\n{components}"),
        format!("components:\n{}", many(&|i| format!("  c{i}: {{ kind: x{i} }}\n"), 3_000)),
        format!("application: {}", "x".repeat(1_000_000)),
        "- ".repeat(500_000),
        "{".repeat(1_000_000),
        "? ".repeat(500_000),
        "a: &a ".repeat(150_000),
        "\n".repeat(1_000_000),
        "'".repeat(1_000_001),
        format!("a: |\n{}", " b\n".repeat(300_000)),
    ] {
        let found = faults(&text);
        assert!((1..=1_001).contains(&found.len()), "{}", found.len());
    }
    let found = faults(&many(&|i| format!("k{i}: 1\n"), 9_000));
    assert_eq!(found.last().map(|f| f.code), Some(crate::code::PLAN_TOO_LARGE));
    assert_eq!(found.len(), 1_001);
}

#[test]
fn rescue_of_rows_fits_together() {
    let with =
        |rescue: &str| BASE.replacen("    kind: postgres\n", &format!("    kind: postgres\n    rescue: {rescue}\n"), 1);
    let codes = |rescue: &str| faults(&with(rescue)).iter().map(|f| f.code.as_str()).collect::<Vec<_>>();
    assert_eq!(codes("{ rows: true, passphrase: { env: KEY }, only: [public.payments] }"), [""; 0]);
    assert_eq!(codes("{ rows: true }"), ["PL-0130"], "rows are kept for nobody to read");
    assert_eq!(codes("{ only: [a.b], except: [a.c] }"), ["PL-0130"]);
    assert_eq!(codes("{ except: [payments] }"), ["PL-0130"], "a table is named with its schema");
    let plan = Plan::read(&with("{ max_slot: 16MiB }"), "plan.yaml").unwrap();
    let Kind::Postgres(db) = &plan.components[&"db".into()].kind else { panic!("{plan:?}") };
    assert_eq!((db.rescue.rows, db.rescue.max_slot), (false, 16 << 20));
}

#[test]
fn a_proof_has_one_probe_and_a_unit_that_there_is() {
    let with = |proof: &str, wanted: &[(&str, usize, usize, &str)]| {
        expect("objectives:", &format!("verify: [ {proof} ]\nobjectives:"), wanted);
    };
    with("{ tcp: { address: 'h:1' }, unit: shop }", &[]);
    with("{ unit: shop }", &[("PL-0107", 2, 11, "verify[0]")]);
    with("{ tcp: { address: 'h:1' }, dns: { name: a.b } }", &[("PL-0107", 2, 11, "verify[0]")]);
    with("{ tcp: { address: 'h:1' }, unit: shops }", &[("PL-0108", 2, 44, "verify[0].unit")]);
    with("{ exec: { timeout: 1s } }", &[("PL-0106", 2, 13, "verify[0].exec")]);
    with("{ pcp: { address: 'h:1' } }", &[("PL-0107", 2, 11, "verify[0]"), ("PL-0104", 2, 13, "verify[0].pcp")]);
}
