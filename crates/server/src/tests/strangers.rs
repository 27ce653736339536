//! Connections that say nothing, or far too slowly, over real sockets: they are closed, and agents and people are answered.

use super::lab::{Lab, TOKEN};
use super::wait::{LONGEST, until};
use crate::Bounds;
use crate::api::view::{RecordsView, StatusView};
use pilotlight_core::plan::DecisionMode;
use pilotlight_core::run::Condition;
use pilotlight_driver::clock::{Clock, SystemClock};
use std::io::ErrorKind;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const STRANGER: Duration = Duration::from_secs(3);
const BODY: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);
/// All of these tests come from one address: agents and operators need less than half of that.
const FROM_ONE: usize = 40;

async fn lab(mode: DecisionMode) -> Lab {
    let mut lab = Lab::new();
    lab.plan.policy.mode = mode;
    // Shorter than a stranger may keep an agent's place, and long enough for a busy machine.
    lab.plan.policy.lease = STRANGER * 2 / 3;
    lab.given.bounds = Bounds { stranger: STRANGER, body: BODY, idle: IDLE, from_one: FROM_ONE, ..Bounds::default() };
    lab.start_controller();
    lab.start_agent("east");
    lab.start_agent("west");
    lab.until("all is well", |s| s.is_well("east") && s.knows_exposure()).await;
    lab
}

/// What is said on the connection until the other side closes it.
async fn read_to_the_end(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    match tokio::time::timeout(LONGEST, stream.read_to_end(&mut said)).await.expect("it is closed by itself") {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(e) => panic!("{e}"),
    }
    String::from_utf8(said).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_are_closed_and_agents_renew_meanwhile() {
    let lab = lab(DecisionMode::Automatic).await;
    let before = lab.world.journal().len();
    let mut silent = Vec::new();
    for _ in 0..FROM_ONE * 5 {
        silent.push(TcpStream::connect(lab.address).await.unwrap());
    }
    // A connection of its own, while every place is taken.
    let url = format!("http://{}/v1/status", lab.address);
    let status = reqwest::Client::new().get(url).bearer_auth(TOKEN).send().await.unwrap();
    let status: StatusView = status.json().await.unwrap();
    assert!(status.is_well("east") && status.regions.iter().all(|r| r.heard), "{status:#?}");
    for mut one in silent {
        assert_eq!(read_to_the_end(&mut one).await, "");
    }
    let status = lab.status().await.unwrap();
    assert!(status.is_well("east") && status.regions.iter().all(|r| r.heard), "the lease was renewed: {status:#?}");
    let sentinel =
        |e: &pilotlight_core::effect::Effect| matches!(e, pilotlight_core::effect::Effect::WriteSentinel { .. });
    assert!(lab.world.journal().iter().skip(before).all(|a| sentinel(&a.effect)), "nobody fenced or moved anything");
    lab.no_rule_was_broken();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_trickles_or_has_no_token_is_closed_however_much_it_says() {
    let lab = lab(DecisionMode::Automatic).await;
    let began = SystemClock.mono();
    let mut slow = TcpStream::connect(lab.address).await.unwrap();
    slow.write_all(b"GET /v1/status HTTP/1.1\r\nhost: here\r\nx: ").await.unwrap();
    until("the slow one is closed", async || {
        // Written into a closed connection, it fails a little later.
        match slow.try_write(b"x") {
            Ok(_) => Err(format!("open for {:?}", SystemClock.mono().since(began))),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Err("full".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await;
    assert!(SystemClock.mono().since(began) >= STRANGER / 2, "it had its time");
    let mut wrong = TcpStream::connect(lab.address).await.unwrap();
    let ask = b"GET /v1/status HTTP/1.1\r\nhost: here\r\nauthorization: Bearer wrong\r\n\r\n";
    wrong.write_all(ask).await.unwrap();
    let said = read_to_the_end(&mut wrong).await;
    assert!(said.starts_with("HTTP/1.1 401"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_known_stays_and_is_closed_when_it_asks_nothing_or_does_not_finish() {
    let lab = lab(DecisionMode::Automatic).await;
    let began = SystemClock.mono();
    let mut idle = TcpStream::connect(lab.address).await.unwrap();
    let ask = format!("GET /v1/controller HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    idle.write_all(ask.as_bytes()).await.unwrap();
    let said = read_to_the_end(&mut idle).await;
    let took = SystemClock.mono().since(began);
    assert!(said.starts_with("HTTP/1.1 200") && took >= IDLE - Duration::from_secs(1), "{took:?}: {said}");
    let mut half = TcpStream::connect(lab.address).await.unwrap();
    let ask = format!(
        "POST /v1/moves HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{"
    );
    half.write_all(ask.as_bytes()).await.unwrap();
    let said = read_to_the_end(&mut half).await;
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("did not arrive within 1.0 s"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_an_answer_is_not_cut_off() {
    let mut lab = lab(DecisionMode::ApproveFirst).await;
    lab.lose("east");
    let waits = |s: &StatusView| s.open_runs.iter().any(|r| matches!(r.condition, Condition::Waiting { .. }));
    let run = lab.until("a run waits for a person", waits).await.open_runs[0].run.clone();
    // Longer than a stranger may stay, and than one that is known may be silent.
    let wait = IDLE + STRANGER;
    let began = SystemClock.mono();
    let path = format!("/v1/runs/{run}/records?from=100000&wait_ms={}", wait.as_millis());
    let view: RecordsView = lab.ask(&path).await.unwrap();
    assert!(view.records.is_empty() && !view.ended && SystemClock.mono().since(began) >= wait);
    // The long polls of the agent went on too: it is told what to do.
    assert!(lab.status().await.unwrap().regions.iter().any(|r| r.region.as_str() == "west" && r.heard));
}
