//! A server that speaks enough S3 and is deaf to conditions, as some are.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

type Bodies = Arc<Mutex<BTreeMap<String, (u64, Bytes)>>>;

/// Listens until the test is over.
pub(super) async fn server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(Bodies::default());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

async fn answer(State(bodies): State<Bodies>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let (mut bodies, path) = (bodies.lock().unwrap(), parts.uri.path().to_owned());
    let tagged = |number: u64| [(header::ETAG, format!("\"{number}\"")), (header::LAST_MODIFIED, MODIFIED.to_owned())];
    match parts.method {
        Method::PUT => {
            let number = bodies.get(&path).map_or(1, |(number, _)| number + 1);
            bodies.insert(path, (number, body));
            tagged(number).into_response()
        }
        Method::GET => match bodies.get(&path) {
            Some((number, body)) => (tagged(*number), body.clone()).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::DELETE => {
            bodies.remove(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

const MODIFIED: &str = "Thu, 26 Nov 2026 07:00:00 GMT";
