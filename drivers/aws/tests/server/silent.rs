//! Regions that are silent in the ways a lost one is: what was certainly not sent may be sent again, what may have arrived may not.

use crate::ground::{WEST, context};
use pilotlight_aws::{Access, SnsDriver};
use pilotlight_core::effect::Effect;
use pilotlight_core::outcome::FailureKind;
use pilotlight_core::plan::aws::{AwsPlan, SnsPlan};
use pilotlight_driver::Driver;
use pilotlight_driver::clock::SystemClock;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// How a change ends whose region's API is there.
async fn change_at(at: SocketAddr) -> FailureKind {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let plan = AwsPlan { endpoint: Some(format!("http://{at}")), ..AwsPlan::default() };
    let access = Access::with_keys(plan, Arc::new(SystemClock), "test", "test");
    let topic = format!("arn:aws:sns:{WEST}:123456789012:people");
    let driver = SnsDriver::new("people".into(), SnsPlan { topic }, access);
    let told = Effect::Notify { component: "people".into(), message: "hello".to_owned() };
    driver.apply(&told, &context(1, "told")).await.unwrap_err().kind
}

#[tokio::test]
async fn a_region_that_refuses_connections_was_sent_nothing() {
    let at = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(change_at(at).await, FailureKind::Unreachable);
}

/// As a lost region is: packets go there and nothing comes back. Here because nobody takes what waits at the door.
#[tokio::test]
async fn a_region_that_takes_no_connection_was_sent_nothing() {
    let door = TcpSocket::new_v4().unwrap();
    door.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let door = door.listen(1).unwrap();
    let at = door.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(one) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(at)).await {
        waiting.push(one.unwrap());
        assert!(waiting.len() < 64, "connections are taken although nobody accepts them");
    }
    assert_eq!(change_at(at).await, FailureKind::Unreachable);
}

#[tokio::test]
async fn a_region_that_hears_and_does_not_answer_may_have_done_it() {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = door.local_addr().unwrap();
    let (change, _heard) = tokio::join!(change_at(at), door.accept());
    assert_eq!(change, FailureKind::OutcomeUnknown);
}

#[tokio::test]
async fn a_region_that_hangs_up_may_have_done_it() {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = door.local_addr().unwrap();
    let hang_up = async { drop(door.accept().await) };
    let (change, ()) = tokio::join!(change_at(at), hang_up);
    assert_eq!(change, FailureKind::OutcomeUnknown);
}
