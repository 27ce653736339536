//! One controller or several: what each form means, and what is wrong with it.

use super::*;
use std::time::Duration;

const HEAD: &str = "\
application: shop
objectives: { rto: 60s, rpo: 30s }
regions: [east, west]
policy: { mode: manual, lease: 6s }
components:
  db:
    kind: postgres
    regions:
      east: { host: h1, port: 5432, data_dir: /a }
      west: { host: h2, port: 5432, data_dir: /b }
controller:
  token: { env: TOKEN }
";

fn read(controller: &str) -> Result<Controller, Vec<(String, String)>> {
    let plan = Plan::read(&format!("{HEAD}{controller}"), "plan.yaml");
    plan.map(|plan| plan.controller)
        .map_err(|faults| faults.iter().map(|f| (f.code.as_str().to_owned(), f.key_path.clone())).collect())
}

fn fault(controller: &str) -> (String, String) {
    let faults = read(controller).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults[0].clone()
}

const THREE: &str = "  members:
    a: { listen: \"127.0.0.1:7401\" }
    b: { listen: \"127.0.0.1:7402\", url: \"http://localhost:7402\", state: /var/b }
    c: { listen: \"127.0.0.1:7403\" }
";

#[test]
fn one_controller_is_the_default_and_keeps_its_own_store() {
    let one = read("  listen: 127.0.0.1:7400\n").unwrap();
    assert_eq!(one.store, StorePlan::Sqlite);
    assert_eq!(one.urls(), ["http://127.0.0.1:7400"]);
    let member = one.member(None).unwrap();
    assert_eq!((member.name.as_str(), member.state.as_path()), ("controller", Path::new("state/controller")));
}

#[test]
fn several_share_a_store_and_are_told_apart_by_name() {
    let three = read(&format!("{THREE}  store: {{ folder: shared }}\n")).unwrap();
    assert_eq!(three.urls(), ["http://127.0.0.1:7401", "http://localhost:7402", "http://127.0.0.1:7403"]);
    assert_eq!(three.member(None), None, "of several one must be named");
    assert_eq!(three.member(Some("b")).unwrap().state, Path::new("/var/b"));
    assert_eq!(three.member(Some("c")).unwrap().state, Path::new("state/c"));
    let mut plan = Plan::read(&format!("{HEAD}{THREE}  store: {{ folder: shared }}\n"), "p").unwrap();
    assert_eq!(plan.leader_lease(), Duration::from_secs(3), "half of the writer's");
    plan.resolve_paths(Path::new("/etc/dr"));
    assert_eq!(plan.controller.store, StorePlan::Folder("/etc/dr/shared".into()));
}

#[test]
fn each_engine_says_where_it_is_and_names_its_secrets() {
    let etcd = "  store:\n    etcd: { endpoints: [\"https://e1:2379\"], user: dr, password: { env: P }, ca: ca.pem }\n";
    let controller = read(&format!("  listen: 127.0.0.1:7400\n{etcd}")).unwrap();
    let StorePlan::Etcd(found) = &controller.store else { panic!("{controller:?}") };
    assert_eq!((found.prefix.as_str(), found.endpoints.len()), ("pilotlight/shop", 1));
    assert_eq!(controller.store.secrets()[0].0, "controller.store.etcd.password");
    let s3 =
        "  store:\n    s3: { bucket: b, prefix: x/y/, access_key_id: { env: I }, secret_access_key: { file: s } }\n";
    let controller = read(&format!("  listen: 127.0.0.1:7400\n{s3}")).unwrap();
    let StorePlan::S3(found) = &controller.store else { panic!("{controller:?}") };
    assert_eq!((found.prefix.as_str(), found.region.as_str()), ("x/y", "us-east-1"));
    assert_eq!(controller.store.secrets().len(), 2);
}

#[test]
fn what_does_not_fit_together_is_told() {
    let at = |code: &str, path: &str| (code.to_owned(), path.to_owned());
    assert_eq!(fault("  state: s\n"), at("PL-0106", "controller"));
    assert_eq!(fault(THREE), at("PL-0128", "controller.members"));
    let shared = format!("{THREE}  store: {{ folder: shared }}\n");
    assert_eq!(fault(&format!("{shared}  listen: 127.0.0.1:7400\n")), at("PL-0118", "controller.listen"));
    assert_eq!(fault(&format!("{shared}  leader_lease: 7s\n")), at("PL-0129", "controller.leader_lease"));
    assert_eq!(fault(&shared.replace("7402\", url", "7401\", url")), at("PL-0113", "controller.members.b.listen"));
    let open = shared.replace("a: { listen: \"127.0.0.1", "a: { listen: \"10.0.0.1");
    let faults = read(&open).unwrap_err();
    assert_eq!(faults[0], at("PL-0116", "controller.members.a.listen"));
    let secret =
        "  listen: 127.0.0.1:7400\n  store: { etcd: { endpoints: [\"http://e\"], user: a, password: hunter2 } }\n";
    assert_eq!(fault(secret), at("PL-0112", "controller.store.etcd.password"));
}
