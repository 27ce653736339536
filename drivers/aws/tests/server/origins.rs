//! Origin groups of CloudFront: read out of what AWS's own client made, and judged.

use crate::ground::{EAST, Ground, WEST};
use pilotlight_core::id::Region;
use pilotlight_core::outcome::{Finding, Severity};
use pilotlight_core::plan::aws::AwsDistribution;
use serde_json::{Value, json};

async fn made(ground: &Ground, wanted: Value) -> AwsDistribution {
    let name = wanted["name"].as_str().unwrap().to_owned();
    let made = ground.seed(json!({"distributions": [wanted]})).await;
    let origins = [(EAST, "east.example.com"), (WEST, "west.example.com")];
    AwsDistribution {
        id: made["distributions"][&name].as_str().unwrap().to_owned(),
        origin_group: name,
        primary: EAST.into(),
        origins: origins.map(|(r, o)| (Region::from(r), o.to_owned())).into(),
        also: Vec::new(),
    }
}

fn said(found: &[Finding]) -> Vec<(Severity, &str)> {
    found.iter().map(|f| (f.severity, f.message.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_group_is_judged_before_it_is_needed() {
    let Some(ground) = Ground::find().await else { return };
    let access = ground.access();
    let whole =
        json!({"name": "shop", "origins": ["east.example.com", "west.example.com"], "codes": [500, 502, 503, 504]});
    let plan = made(&ground, whole).await;
    assert_eq!(access.distribution(&plan).await, []);
    assert_eq!(ground.calls(0.0, EAST).await.last().map(String::as_str), Some("GetDistribution"));

    let bad = json!({
        "name": "old", "origins": ["west.example.com", "east.example.com"], "codes": [500, 404], "enabled": false,
    });
    let found = access.distribution(&made(&ground, bad).await).await;
    let said = said(&found);
    assert!(found.iter().all(|f| f.code == "PL-0949"), "{said:?}");
    for (severity, part) in [
        (Severity::Blocker, "disabled"),
        (Severity::Blocker, "asks west first"),
        (Severity::Warning, "502, 503, 504"),
        (Severity::Note, "404"),
    ] {
        assert!(said.iter().any(|(s, text)| *s == severity && text.contains(part)), "{part}: {said:?}");
    }

    let gone = access.distribution(&AwsDistribution { id: "E0".into(), ..plan.clone() }).await;
    assert!(gone.len() == 1 && gone[0].message.contains("there is no distribution"), "{gone:?}");
    let deny = json!({"service": "cloudfront", "action": "GetDistribution", "kind": "deny", "times": 9});
    ground.server.tell("faults", deny).await.unwrap();
    let unseen = access.distribution(&plan).await;
    assert!(unseen.len() == 1 && unseen[0].severity == Severity::Warning, "{unseen:?}");
    assert!(unseen[0].message.contains("GetDistribution"), "{unseen:?}");
}
