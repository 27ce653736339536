//! The plan of `examples/ecs` as its environment runs it: home is us-east-1, an alarm there could tell nobody, and a look comes
//! by schedule. By itself nothing fails over; a request does.

use crate::ground::{Ground, LONG, STORE};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

const HOME: &str = "us-east-1";
const AWAY: &str = "us-west-2";
/// As in the environment.
const STORED: &str = "us-east-2";

/// Longer than a controller waits before it judges, and shorter than the five minutes of the schedule.
const A_LOOK: Duration = Duration::from_secs(30);

fn wanted() -> Value {
    let service =
        |region: &str, tasks: u32| json!({"region": region, "cluster": "web", "service": "web", "tasks": tasks});
    let switch = json!({
        "zone": "example.com", "name": "web.example.com", "type": "CNAME", "region": AWAY, "home": HOME,
        "bucket": "web-switch-123456789012", "object": "users-are-away",
        "answers": {HOME: "east.web.example.com", AWAY: "west.web.example.com"},
    });
    json!({
        "rds": [{"instances": [[HOME, "web-us-east-1"], [AWAY, "web-us-west-2"]]}],
        "ecs": [service(HOME, 6), service(AWAY, 1)],
        "zones": ["example.com"],
        "switches": [switch],
        "topics": [[AWAY, "web-incidents"]],
        "stores": [[STORED, STORE]],
    })
}

/// The example's plan with a store, the server for AWS, and shorter waits.
fn plan(ground: &Ground) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/ecs/pilotlight.yaml");
    let (endpoint, check) = (ground.server.endpoint(), &ground.made["switches"]["web-switch-123456789012"]);
    let store = format!("store: {{ s3: {{ bucket: {STORE}, region: {STORED}, endpoint: \"{endpoint}\" }} }}");
    let mut text = fs::read_to_string(path).unwrap();
    for (kept, put) in [
        ("state: state", format!("leader_lease: 3s\n  {store}")),
        ("mode: manual", "mode: manual\n  lease: 3s\n  renew: 500ms".to_owned()),
        ("Z0000000000EXAMPLE", ground.zone()),
        ("check-of-the-switch", check.as_str().unwrap().to_owned()),
    ] {
        assert!(text.contains(kept), "the example says {kept} no more");
        text = text.replace(kept, &put);
    }
    match text.split_once("\naws:\n") {
        Some((before, after)) => format!("{before}\naws:\n  endpoint: \"{endpoint}\"\n{after}"),
        None => format!("{text}\naws: {{ endpoint: \"{endpoint}\", account: \"123456789012\" }}\n"),
    }
}

async fn led_to(ground: &Ground) -> String {
    let answers = ground.server.ask("dns?name=web.example.com").await.unwrap();
    answers[0]["set"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn by_itself_nothing_fails_over_in_examples_ecs_and_a_request_does() {
    let Some(ground) = Ground::with(wanted()).await else { return };
    ground.write_plan(&plan(&ground));
    let sandbox = ground.sandbox("one").await;
    let entered = ground.invoke(&sandbox, crate::ground::schedule()).await;
    let entered = entered.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!(entered["units"][0]["writer"], HOME, "{entered:#}\n{}", ground.log("one"));
    assert_eq!(led_to(&ground).await, HOME);

    ground.region(HOME, "refuse", "down").await;
    let looked = ground.ask(&sandbox, json!({"action": "watch"}), A_LOOK).said().await;
    let looked = looked.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    let unit = &looked["units"][0];
    assert_eq!((&unit["verdict"], &unit["writer"]), (&json!("region lost"), &json!(HOME)), "{looked:#}");
    assert!(unit["decision"]["why"].as_str().unwrap().contains("leaves it to a person"), "{looked:#}");
    assert_eq!((ground.promotions().await, led_to(&ground).await.as_str()), (0, HOME), "{looked:#}");

    let ask = json!({"action": "failover", "to": AWAY, "by": "ada"});
    let moved = ground.ask(&sandbox, ask, LONG).said().await.unwrap_or_else(|e| panic!("{e}\n{}", ground.log("one")));
    assert_eq!(
        (&moved["state"], &moved["units"][0]["writer"]),
        (&json!("done"), &json!(AWAY)),
        "{moved:#}\n{}",
        ground.log("one")
    );
    assert_eq!((ground.promotions().await, led_to(&ground).await.as_str()), (1, AWAY));
    assert!(ground.server.tell("write", json!({"region": AWAY, "name": "web-us-west-2"})).await.is_ok());
}
