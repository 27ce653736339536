//! The payments service of the demonstration: the application whose region gets lost.
//!
//! It is written as such services are: HTTP in front, a few database connections behind, no knowledge of disaster
//! recovery. `POST /pay` answers 200 only after PostgreSQL has committed the payment.

mod ledger;

use axum::extract::State;
use axum::http::{StatusCode, header::HeaderName};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use ledger::Ledger;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// Names the region that answered.
pub const REGION_HEADER: HeaderName = HeaderName::from_static("x-pilotlight-region");

/// How to run the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; several instances share the address.
    pub listen: SocketAddr,
    /// The region it says it is in.
    pub region: String,
    /// The region's own database.
    pub dsn: String,
    /// Its password.
    pub password: Option<String>,
}

/// The table that the service writes to.
pub const SCHEMA: &str = "create table if not exists payments (\
     id text primary key, region text not null, paid_at timestamptz not null default clock_timestamp())";

#[derive(Debug, Deserialize)]
struct Payment {
    id: String,
}

#[derive(Debug, Serialize)]
struct Receipt<'a> {
    id: &'a str,
    region: &'a str,
}

#[derive(Debug, Serialize)]
struct Problem {
    error: String,
}

struct Service {
    region: String,
    ledger: Ledger,
}

/// Serves until the process is ended.
pub async fn serve(settings: Settings) -> std::io::Result<()> {
    let listener = listen(settings.listen)?;
    let service = Arc::new(Service {
        region: settings.region,
        ledger: Ledger::open(&settings.dsn, settings.password.as_deref())?,
    });
    let app = Router::new().route("/health", get(health)).route("/pay", post(pay)).with_state(service);
    // The kernel would hold back the second piece of an answer otherwise; a failure here only makes it slower.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, app).await
}

/// Several instances listen on one address, and the kernel spreads connections over them.
fn listen(address: SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    tokio::net::TcpListener::from_std(socket.into())
}

async fn health(State(service): State<Arc<Service>>) -> Response {
    match service.ledger.is_writable().await {
        Ok(true) => answer(&service, StatusCode::OK, &serde_json::json!({ "status": "ok", "writes": true })),
        Ok(false) => answer(
            &service,
            StatusCode::SERVICE_UNAVAILABLE,
            &serde_json::json!({ "status": "standby", "writes": false }),
        ),
        Err(e) => answer(&service, StatusCode::SERVICE_UNAVAILABLE, &Problem { error: e.to_string() }),
    }
}

async fn pay(State(service): State<Arc<Service>>, Json(payment): Json<Payment>) -> Response {
    match service.ledger.record(&payment.id, &service.region).await {
        Ok(()) => answer(&service, StatusCode::OK, &Receipt { id: &payment.id, region: &service.region }),
        Err(e) => answer(&service, StatusCode::SERVICE_UNAVAILABLE, &Problem { error: e.to_string() }),
    }
}

fn answer(service: &Service, status: StatusCode, body: &impl Serialize) -> Response {
    (status, [(REGION_HEADER, service.region.clone())], Json(serde_json::json!(body))).into_response()
}
