//! Who may tell the authority what, and how it says no.

use crate::{NAME, TOKEN, addresses, ask_a, http, parts, start, tell, weights};
use pilotlight_core::id::Epoch;
use pilotlight_core::protocol::dns::{NamePut, NameView, PutReply, Refusal};
use pilotlight_dns::{Authority, AuthorityParts, StartError, TlsFiles};
use reqwest::StatusCode;
use std::net::IpAddr;

#[tokio::test]
async fn what_was_told_can_be_read_and_the_same_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let url = format!("http://{}/v1/names/{NAME}", authority.control_addr);
    let get = || http().get(&url).bearer_auth(TOKEN).send();
    assert_eq!(get().await.unwrap().status(), StatusCode::NOT_FOUND);
    for (epoch, changed) in [(1, true), (1, false), (2, false)] {
        let reply = tell(authority.control_addr, NAME, &weights(epoch, 100, 0)).await;
        assert_eq!(reply.json::<PutReply>().await.unwrap(), PutReply { changed, version: 1 }, "epoch {epoch}");
    }
    let view: NameView = get().await.unwrap().json().await.unwrap();
    assert_eq!((view.epoch, view.version), (Epoch(2), 1));
    assert_eq!(view.answers, weights(2, 100, 0).answers);
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn only_the_token_opens_it() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    let base = format!("http://{}", authority.control_addr);
    let name = format!("{base}/v1/names/{NAME}");
    for header in ["", "Bearer", "Bearer ", "Bearer a token of the tes", "bearer a token of the test", "Basic x"] {
        let put = http().put(&name).header("authorization", header).json(&weights(1, 100, 0)).send().await.unwrap();
        assert_eq!(put.status(), StatusCode::UNAUTHORIZED, "{header:?}");
    }
    assert_eq!(http().get(&name).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(http().get(format!("{base}/health")).send().await.unwrap().status(), StatusCode::OK);
    assert!(ask_a(authority.dns_addr, "pay.example.test.").await.answers.is_empty());
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn every_refusal_has_its_status_and_keeps_the_old_answer() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    tell(authority.control_addr, NAME, &weights(5, 100, 0)).await.error_for_status().unwrap();
    let none = NamePut { answers: vec![], ..weights(6, 0, 0) };
    let late = NamePut { if_version: Some(0), ..weights(6, 0, 100) };
    let other = NamePut { unit: "ledger".into(), ..weights(6, 0, 100) };
    for (name, put, status) in [
        (NAME, &weights(4, 0, 100), StatusCode::CONFLICT),
        (NAME, &other, StatusCode::CONFLICT),
        (NAME, &late, StatusCode::PRECONDITION_FAILED),
        (NAME, &none, StatusCode::UNPROCESSABLE_ENTITY),
        (NAME, &weights(6, 0, 0), StatusCode::UNPROCESSABLE_ENTITY),
        ("pay.example.org", &weights(6, 0, 100), StatusCode::UNPROCESSABLE_ENTITY),
        ("..", &weights(6, 0, 100), StatusCode::NOT_FOUND),
        ("a..b.example.test", &weights(6, 0, 100), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let reply = tell(authority.control_addr, name, put).await;
        assert_eq!(reply.status(), status, "{name} {put:?}");
        if status == StatusCode::CONFLICT && put.unit.as_str() == "payments" {
            assert_eq!(reply.json::<Refusal>().await.unwrap().newest_epoch, Some(Epoch(5)));
        }
    }
    let url = format!("http://{}/v1/names/{NAME}", authority.control_addr);
    for (body, status) in [
        ("not json".to_owned(), StatusCode::BAD_REQUEST),
        ("{}".to_owned(), StatusCode::BAD_REQUEST),
        (r#"{"unit":"payments","epoch":9,"ttl_s":1,"answers":[],"more":1}"#.to_owned(), StatusCode::BAD_REQUEST),
        (" ".repeat(1_000_000), StatusCode::PAYLOAD_TOO_LARGE),
        ("[".repeat(60_000), StatusCode::BAD_REQUEST),
    ] {
        let start: String = body.chars().take(40).collect();
        let reply = http().put(&url).bearer_auth(TOKEN).body(body).send().await.unwrap();
        assert_eq!(reply.status(), status, "{start}");
    }
    let answer = ask_a(authority.dns_addr, "pay.example.test.").await;
    assert_eq!(addresses(&answer), [IpAddr::from([127, 0, 0, 2])]);
    authority.stop().await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_said_and_the_old_answer_stays() {
    let folder = tempfile::tempdir().unwrap();
    let authority = start(folder.path()).await;
    tell(authority.control_addr, NAME, &weights(1, 100, 0)).await.error_for_status().unwrap();
    let beside = folder.path().join("names.json.new");
    std::os::unix::fs::symlink("/dev/full", &beside).unwrap();
    let reply = tell(authority.control_addr, NAME, &weights(2, 0, 100)).await;
    assert_eq!(reply.status(), StatusCode::INSUFFICIENT_STORAGE);
    let answer = ask_a(authority.dns_addr, "pay.example.test.").await;
    assert_eq!(addresses(&answer), [IpAddr::from([127, 0, 0, 2])]);
    // Room again: the same request is taken, and the epoch of the refused one was not kept.
    std::fs::remove_file(&beside).unwrap();
    tell(authority.control_addr, NAME, &weights(1, 0, 100)).await.error_for_status().unwrap();
    authority.stop().await.unwrap();
}

#[tokio::test]
async fn tls_is_spoken_when_given_and_needed_beyond_loopback() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, signed.cert.pem()).unwrap();
    std::fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let tls = Some(TlsFiles { certificate: certificate.clone(), key });
    let authority = Authority::start(AuthorityParts { tls, ..parts(folder.path()) }).await.unwrap();
    let ca = reqwest::Certificate::from_pem(signed.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
    let url = format!("https://{}/v1/names/{NAME}", authority.control_addr);
    let put = client.put(url).bearer_auth(TOKEN).json(&weights(1, 100, 0)).send().await.unwrap();
    assert_eq!(put.status(), StatusCode::OK);
    authority.stop().await.unwrap();

    let wide = AuthorityParts { control: "0.0.0.0:0".parse().unwrap(), ..parts(folder.path()) };
    assert!(matches!(Authority::start(wide).await, Err(StartError::InTheOpen(_))));
    let no_key = Some(TlsFiles { certificate: certificate.clone(), key: certificate });
    let start = Authority::start(AuthorityParts { tls: no_key, ..parts(folder.path()) }).await;
    assert!(matches!(start, Err(StartError::Tls { .. })));
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let authority = start(folder.path()).await;
    let refused = |parts| async { Authority::start(parts).await.err().map(|e| e.to_string()).unwrap_or_default() };
    let here = parts(other.path());
    for (parts, says) in [
        (parts(folder.path()), "in use by another process"),
        (AuthorityParts { listen: authority.dns_addr, ..here.clone() }, "for queries"),
        (AuthorityParts { control: authority.control_addr, ..here.clone() }, "for control"),
        (AuthorityParts { zones: vec![], ..here.clone() }, "no zone"),
        (AuthorityParts { zones: vec![".".into()], ..here.clone() }, "not the name of a zone"),
        (AuthorityParts { zones: vec!["a..b".into()], ..here.clone() }, "not the name of a zone"),
        (AuthorityParts { token: String::new(), ..here.clone() }, "token is empty"),
    ] {
        let said = refused(parts).await;
        assert!(said.contains(says), "{said:?} does not say {says:?}");
    }
    authority.stop().await.unwrap();
}
