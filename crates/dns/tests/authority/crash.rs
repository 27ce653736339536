//! `kill -9` while it is being told things: what was answered is there again, and old epochs stay shut out.
//!
//! The authority runs in a process of its own: this test program started once more, asked for one ignored test.

use crate::{NAME, PATIENCE, TOKEN, addresses, ask_a, http, parts, start, tell, weights};
use pilotlight_core::id::Epoch;
use pilotlight_core::protocol::dns::{NameView, PutReply};
use pilotlight_dns::Authority;
use reqwest::StatusCode;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const STATE_DIR: &str = "PILOTLIGHT_TEST_STATE_DIR";

#[tokio::test]
#[ignore = "runs for ever: it is the process that the test below kills"]
async fn child() {
    let Some(folder) = std::env::var_os(STATE_DIR) else { return };
    let authority = Authority::start(parts(Path::new(&folder))).await.unwrap();
    println!("\nready {} {}", authority.dns_addr, authority.control_addr);
    authority.wait().await.unwrap();
}

/// Ends the process also when the test fails.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(folder: &Path) -> (Victim, SocketAddr, SocketAddr) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "crash::child", "--nocapture", "--test-threads=1"])
        .env(STATE_DIR, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let victim = Victim(child);
    let ready = out.lines().map_while(Result::ok).find_map(|l| l.strip_prefix("ready ").map(str::to_owned));
    let ready = ready.expect("the child ended before it was ready");
    let (dns, control) = ready.split_once(' ').unwrap();
    (victim, dns.parse().unwrap(), control.parse().unwrap())
}

async fn seen_epoch(control: SocketAddr) -> Option<Epoch> {
    let url = format!("http://{control}/v1/names/{NAME}");
    let reply = http().get(url).bearer_auth(TOKEN).send().await.unwrap();
    reply.json::<NameView>().await.ok().map(|view| view.epoch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..=4_u64 {
        let (mut victim, dns, control) = spawn(folder.path());
        if acknowledged > 0 {
            let served = addresses(&ask_a(dns, NAME).await);
            assert!(served.iter().all(|a| a.is_loopback()) && served.len() == 1, "round {round}: {served:?}");
        }
        // Tells it one epoch after another until it dies in the middle of one.
        let telling = tokio::spawn(async move {
            let (client, mut epoch) = (http(), acknowledged);
            loop {
                let url = format!("http://{control}/v1/names/{NAME}");
                let even = u32::from(epoch % 2 == 1);
                let put = weights(epoch + 1, 100 * even, 100 * (1 - even));
                match client.put(url).bearer_auth(TOKEN).json(&put).send().await {
                    Ok(reply) if reply.status() == StatusCode::OK => epoch += 1,
                    Ok(reply) => panic!("{}", reply.status()),
                    Err(_) => return epoch,
                }
            }
        });
        // Waits until some were told, then kills; the moment differs from round to round.
        let wanted = Some(Epoch(acknowledged + 3 * round));
        let enough = async { while seen_epoch(control).await < wanted {} };
        tokio::time::timeout(PATIENCE, enough).await.expect("the puts do not get on");
        victim.0.kill().unwrap();
        victim.0.wait().unwrap();
        acknowledged = telling.await.unwrap();
    }

    let authority = start(folder.path()).await;
    // The last one acknowledged, or the one under way when it died.
    let old = tell(authority.control_addr, NAME, &weights(acknowledged - 1, 1, 1)).await;
    assert_eq!(old.status(), StatusCode::CONFLICT);
    let even = acknowledged % 2 == 0;
    let again = weights(acknowledged, 100 * u32::from(even), 100 * u32::from(!even));
    let same = tell(authority.control_addr, NAME, &again).await;
    if same.status() == StatusCode::OK {
        assert!(!same.json::<PutReply>().await.unwrap().changed);
        let expected = IpAddr::from(if even { [127, 0, 0, 2] } else { [127, 0, 0, 3] });
        assert_eq!(addresses(&ask_a(authority.dns_addr, NAME).await), [expected]);
    }
    authority.stop().await.unwrap();
}
