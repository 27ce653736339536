//! Who gets in: tokens, versions, regions, ports, and messages that are none.

use super::lab::{AGENT_TOKEN, Lab, TOKEN, serve_on_taken_port};
use super::wait::until;
use crate::api::view::{ErrorBody, MoveReply, OlderAgent};
use crate::{ServeError, Tokens};
use pilotlight_core::id::Region;
use pilotlight_core::placement::Verb;
use pilotlight_core::position::Order;
use pilotlight_core::protocol::{Answer, Heartbeat, HeartbeatReply, OLDEST, TaskResult, VERSION};

fn heartbeat(region: &str, version: u32) -> Heartbeat {
    let (region, instance) = (Region::from(region), "test".to_owned());
    Heartbeat {
        version,
        speaks: VERSION,
        region,
        instance,
        place: String::new(),
        sequence: 1,
        sees: vec![],
        sentinels: Default::default(),
        sentinel: None,
        steady_from: 0,
        ports: vec![],
        health: vec![],
        wishes: vec![],
        heard: Default::default(),
        term: Default::default(),
        accord: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_on_every_path() {
    let lab = Lab::up(|_| ()).await;
    for (token, path) in [("wrong", "/v1/status"), ("", "/v1/runs"), ("the-token-and-more", "/nothing")] {
        let url = format!("http://{}{path}", lab.address);
        let response = lab.client.get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(response.status(), 401, "{token:?} {path}");
        let body: ErrorBody = response.json().await.unwrap();
        assert_eq!(body.code, "PL-0402");
    }
    let bare = lab.client.get(format!("http://{}/v1/status", lab.address)).send().await.unwrap();
    assert_eq!(bare.status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_agents_opens_nothing_but_what_agents_need() {
    let lab = Lab::up(|_| ()).await;
    let url = |path: &str| format!("http://{}{path}", lab.address);
    for path in ["/v1/status", "/v1/runs", "/v1/runs/failover-1", "/v1/agent", "/v1/agent/../status"] {
        let response = lab.client.get(url(path)).bearer_auth(AGENT_TOKEN).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    let body = serde_json::json!({});
    for path in ["/v1/moves", "/v1/runs/failover-1/control", "/v1/units/payments/acknowledge"] {
        let response = lab.client.post(url(path)).bearer_auth(AGENT_TOKEN).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 401, "{path}");
    }
    let beat = lab.client.post(url("/v1/agent/heartbeat")).bearer_auth(AGENT_TOKEN);
    let response = beat.json(&heartbeat("west", VERSION)).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

pub(super) fn tokens() -> Tokens {
    Tokens { agents: Some(AGENT_TOKEN.to_owned()), ..Tokens::one(TOKEN.to_owned()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_region_speaks_for_that_region_alone_and_no_other_agents_token_does() {
    let mut lab = Lab::new();
    lab.given.tokens.regions = [("west".into(), "the-token-of-west".to_owned())].into();
    lab.start_controller();
    lab.start_agent("east");
    lab.until("east is heard", |s| s.regions.first().is_some_and(|r| r.heard)).await;
    let post = async |token: &str, path: &str, body: serde_json::Value| {
        let url = format!("http://{}{path}", lab.address);
        let response = lab.client.post(url).bearer_auth(token).json(&body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let beat = |region: &str, place: &str| {
        let place = place.to_owned();
        serde_json::to_value(Heartbeat { place, ..heartbeat(region, OLDEST) }).unwrap()
    };
    let path = "/v1/agent/heartbeat";
    assert_eq!(post("the-token-of-west", path, beat("west", "a machine")).await.0, 200);
    let refused = [
        post("the-token-of-west", path, beat("east", "a machine")).await,
        post("the-token-of-west", path, beat("west", "")).await,
        post(AGENT_TOKEN, path, beat("west", "a machine")).await,
        post("the-token-of-west", "/v1/agent/result", result_for("east")).await,
    ];
    for (status, body) in refused {
        assert!(status == 403 && body.contains("PL-0984"), "{status} {body}");
    }
    assert_eq!(post("the-token-of-west", "/v1/observe", serde_json::json!({})).await.0, 401);
}

fn result_for(region: &str) -> serde_json::Value {
    let answer = Answer::Compared { order: Order::Equal };
    let (region, id) = (region.into(), "1".to_owned());
    let (instance, place) = ("test".to_owned(), "a machine".to_owned());
    serde_json::to_value(TaskResult { region, instance, place, id, answer }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_wrong_token_is_never_heard() {
    let mut lab = Lab::new();
    lab.start_controller();
    lab.start_agent_of("east", "wrong");
    lab.start_agent("west");
    let status = lab.until("west is heard", |s| s.regions.get(1).is_some_and(|r| r.heard)).await;
    assert_eq!(status.regions[0].heard_ms, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_versions_regions_and_messages_are_refused_with_a_code() {
    let lab = Lab::up(|_| ()).await;
    let heartbeats = "/v1/agent/heartbeat";
    let refused =
        async |body: serde_json::Value, path: &str| lab.send::<HeartbeatReply>(path, &body).await.unwrap_err();
    let json = |h: Heartbeat| serde_json::to_value(h).unwrap();
    let (status, body) = refused(json(heartbeat("east", VERSION + 1)), heartbeats).await;
    assert_eq!((status, body.code.as_str()), (409, "PL-0401"), "{body:?}");
    // Of another version nothing but the version need be readable.
    let (_, body) = refused(serde_json::json!({"version": VERSION + 1, "hello": true}), "/v1/agent/work").await;
    assert!(body.message.contains("version"), "{body:?}");
    let (status, body) = refused(json(heartbeat("mars", VERSION)), heartbeats).await;
    assert_eq!((status, body.code.as_str()), (404, "PL-0110"), "{body:?}");
    let (status, _) = refused(serde_json::json!([1, 2]), "/v1/moves").await;
    assert_eq!(status, 400);
    let (status, body) = refused(serde_json::json!({}), "/v2/moves").await;
    assert_eq!((status, body.code.as_str()), (404, "PL-0401"), "{body:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_agent_is_heard_and_shown_and_a_person_may_still_move() {
    let lab = Lab::up(|_| ()).await;
    let old = serde_json::json!({ "version": OLDEST, "region": "west", "instance": "old", "sequence": 1, "sees": [] });
    let _: HeartbeatReply = lab.send("/v1/agent/heartbeat", &old).await.unwrap();
    let status = lab.status().await.unwrap();
    let west = &status.regions[1];
    assert_eq!(west.older, Some(OlderAgent { speaks: OLDEST, controller: VERSION }));
    assert!(west.plan.as_ref().is_some_and(|plan| plan.agent.is_none()), "{west:?}");
    assert_eq!((&status.regions[0].older, status.regions[0].plan.as_ref().unwrap().differs.len()), (&None, 0));
    match lab.start_move(Verb::Switchover, Some("west"), true).await.unwrap() {
        MoveReply::DryRun { findings, .. } => assert!(findings.iter().all(|f| f.code != "PL-0982"), "{findings:?}"),
        started => panic!("{started:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_of_a_region_takes_over_and_the_first_is_told() {
    let lab = Lab::up(|_| ()).await;
    let reply: HeartbeatReply = lab.send("/v1/agent/heartbeat", &heartbeat("west", VERSION)).await.unwrap();
    assert!(reply.units[0].lease_ms.is_none(), "west is not the writer");
    until("the first agent of west is refused", async || {
        let status = lab.status().await?;
        let west = &status.regions[1];
        if west.heard { Err(format!("heard {:?} ago", west.heard_ms)) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let lab = Lab::up(|_| ()).await;
    let error = serve_on_taken_port(&lab).await;
    assert!(matches!(error, ServeError::PortInUse { address } if address == lab.address), "{error}");
    assert_eq!(error.code(), "PL-0404");
}
