//! A small world for the client: the real authority, and payment services that can refuse, hang and die.

use axum::Router;
use axum::extract::{Json, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pilotlight_dns::{Authority, AuthorityParts, RunningAuthority};
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

pub(crate) const EAST: [u8; 4] = [127, 0, 0, 2];
pub(crate) const WEST: [u8; 4] = [127, 0, 0, 3];

const TOKEN: &str = "secret";

pub(crate) struct Place {
    authority: RunningAuthority,
    port: u16,
}

/// How a service behaves.
const WELL: u32 = 0;
const REFUSES: u32 = 1;
const HANGS: u32 = 2;

#[derive(Default)]
struct Books {
    mood: AtomicU32,
    hanging: AtomicUsize,
    paid: Mutex<Vec<String>>,
    peers: Mutex<BTreeSet<SocketAddr>>,
}

pub(crate) struct Service {
    books: Arc<Books>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Place {
    pub(crate) async fn new(folder: &Path) -> Self {
        let parts = AuthorityParts {
            listen: ([127, 0, 0, 1], 0).into(),
            control: ([127, 0, 0, 1], 0).into(),
            state_dir: folder.join("dns"),
            zones: vec!["example.test".to_owned()],
            token: TOKEN.to_owned(),
            tls: None,
        };
        // A port that is free on the first loopback address is free on the others too, or a service says so.
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        Self { authority: Authority::start(parts).await.unwrap(), port }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://pay.example.test:{}/pay", self.port)
    }

    pub(crate) fn dns(&self) -> SocketAddr {
        self.authority.dns_addr
    }

    pub(crate) async fn route(&self, epoch: u64, to: [u8; 4]) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = format!("http://{}/v1/names/pay.example.test", self.authority.control_addr);
        let body = serde_json::json!({
            "unit": "payments", "epoch": epoch, "ttl_s": 1,
            "answers": [{ "region": "any", "address": IpAddr::from(to), "weight": 100 }],
        });
        let sent = reqwest::Client::new().put(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
        sent.error_for_status().unwrap();
    }

    /// A service in a runtime of its own, so that killing it breaks its connections as the end of a process does.
    pub(crate) async fn serve(&self, address: [u8; 4]) -> Service {
        let books = Arc::new(Books::default());
        let region = if address == EAST { "east" } else { "west" };
        let app = Router::new()
            .route("/pay", post(move |books, payment| pay(region, books, payment)))
            .layer(middleware::from_fn_with_state(books.clone(), note_peer))
            .with_state(books.clone());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind((IpAddr::from(address), self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
        });
        Service { books, runtime: Some(runtime) }
    }

    pub(crate) async fn stop(self) {
        self.authority.stop().await.unwrap();
    }
}

impl Service {
    pub(crate) fn paid(&self) -> Vec<String> {
        self.books.paid.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.books.peers.lock().unwrap().len()
    }

    pub(crate) fn hanging(&self) -> usize {
        self.books.hanging.load(Ordering::Relaxed)
    }

    pub(crate) fn refuse(&self) {
        self.books.mood.store(REFUSES, Ordering::Relaxed);
    }

    pub(crate) fn hang(&self) {
        self.books.mood.store(HANGS, Ordering::Relaxed);
    }

    /// Ends it like `kill -9`; what it had recorded can still be asked for.
    pub(crate) fn kill(mut self) -> Self {
        self.end();
        self
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.end();
    }
}

async fn note_peer(State(books): State<Arc<Books>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<axum::extract::ConnectInfo<SocketAddr>>().map(|c| c.0);
    books.peers.lock().unwrap().extend(peer);
    next.run(request).await
}

async fn pay(region: &str, State(books): State<Arc<Books>>, Json(payment): Json<serde_json::Value>) -> Response {
    let header = [("x-pilotlight-region", region.to_owned())];
    match books.mood.load(Ordering::Relaxed) {
        WELL => {
            let id = payment["id"].as_str().unwrap().to_owned();
            books.paid.lock().unwrap().push(id.clone());
            (header, Json(serde_json::json!({ "id": id, "region": region }))).into_response()
        }
        REFUSES => (StatusCode::SERVICE_UNAVAILABLE, header, "not the writer").into_response(),
        _ => {
            books.hanging.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }
    }
}
