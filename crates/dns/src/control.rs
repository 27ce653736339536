//! The control interface over HTTP: who may tell the authority something, and how refusals are said.

use crate::answer::key_of;
use crate::book::PutError;
use crate::shelf::{Shelf, StoreError};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use hickory_proto::rr::{LowerName, Name};
use pilotlight_core::id::Epoch;
use pilotlight_core::protocol::dns::{NameAnswer, NamePut, Refusal};
use pilotlight_door::Visitor;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// Largest request: 64 answers need less than 10 KiB.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// Time to send one: a sender that stalls must not hold a connection for ever.
const BODY_TIME: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Control {
    shelf: Arc<Shelf>,
    origins: Arc<Vec<LowerName>>,
    token: Arc<str>,
}

/// The routes.
pub(crate) fn routes(shelf: Arc<Shelf>, origins: &[Name], token: String) -> Router {
    let origins = Arc::new(origins.iter().map(LowerName::new).collect());
    let control = Control { shelf, origins, token: token.into() };
    Router::new()
        .route("/v1/names/{name}", put(put_name).get(get_name))
        .route_layer(middleware::from_fn_with_state(control.clone(), authorize))
        .route("/health", get(|| async { "ok\n" }))
        .with_state(control)
}

async fn authorize(State(control): State<Control>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
    // An empty token would be matched by an empty header.
    let right = given.is_some_and(|given| bool::from(given.ct_eq(control.token.as_bytes())));
    if right && !control.token.is_empty() {
        if let Some(visitor) = request.extensions().get::<Visitor>() {
            visitor.vouch();
        }
        next.run(request).await
    } else {
        refuse(StatusCode::UNAUTHORIZED, "the token is missing or wrong", None)
    }
}

async fn get_name(State(control): State<Control>, Path(name): Path<String>) -> Response {
    let name = match control.name(&name) {
        Ok(name) => name,
        Err(refusal) => return refusal.into_response(),
    };
    match control.shelf.book().view(&name) {
        Some(view) => Json(view).into_response(),
        None => refuse(StatusCode::NOT_FOUND, format!("name {name} was never told"), None),
    }
}

async fn put_name(State(control): State<Control>, Path(name): Path<String>, body: Body) -> Response {
    let read = async {
        let name = control.name(&name)?;
        let body = read_body(body).await?;
        let put: NamePut = serde_json::from_slice(&body)
            .map_err(|e| Refused(StatusCode::BAD_REQUEST, format!("the request cannot be read: {e}"), None))?;
        Ok::<_, Refused>((name, put))
    };
    let (name, put) = match read.await {
        Ok(read) => read,
        Err(refused) => return refused.into_response(),
    };
    let shelf = control.shelf.clone();
    let told = {
        let name = name.clone();
        tokio::task::spawn_blocking(move || (shelf.put(&name, &put), put)).await
    };
    match told {
        Ok((Ok(reply), put)) => {
            if reply.changed {
                let answers = words(&put.answers);
                tracing::info!(%name, unit = %put.unit, epoch = %put.epoch, answers, "published");
            }
            Json(reply).into_response()
        }
        Ok((Err(error), _)) => {
            tracing::warn!(%name, error = &error as &dyn std::error::Error, "a put was refused");
            store_error(&error)
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, format!("the put ended early: {error}"), None),
    }
}

async fn read_body(body: Body) -> Result<Bytes, Refused> {
    match tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            let why = format!("the request is larger than {MAX_BODY_BYTES} bytes or broke off");
            Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, why, None))
        }
        Err(_) => Err(Refused(StatusCode::REQUEST_TIMEOUT, "the request did not come to an end".into(), None)),
    }
}

impl Control {
    fn name(&self, text: &str) -> Result<String, Refused> {
        let not = |why: String| Refused(StatusCode::UNPROCESSABLE_ENTITY, why, None);
        let mut name = Name::from_ascii(text).map_err(|e| not(format!("{text} is not a name: {e}")))?;
        name.set_fqdn(true);
        let name = LowerName::new(&name);
        if !self.origins.iter().any(|origin| origin.zone_of(&name)) {
            return Err(not(format!("{text} is in no zone of this authority")));
        }
        Ok(key_of(&name))
    }
}

fn store_error(error: &StoreError) -> Response {
    let (status, newest) = match error {
        StoreError::Refused(PutError::OldEpoch { newest, .. }) => (StatusCode::CONFLICT, Some(*newest)),
        StoreError::Refused(PutError::OtherUnit { .. }) => (StatusCode::CONFLICT, None),
        StoreError::Refused(PutError::OtherVersion { .. }) => (StatusCode::PRECONDITION_FAILED, None),
        StoreError::Refused(PutError::Unusable(_)) => (StatusCode::UNPROCESSABLE_ENTITY, None),
        StoreError::Disk { source, .. } => match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (StatusCode::INSUFFICIENT_STORAGE, None),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, None),
        },
    };
    let why = match error {
        StoreError::Refused(refused) => refused.to_string(),
        StoreError::Disk { source, .. } => format!("{error}: {source}"),
    };
    refuse(status, why, newest)
}

/// Answers as a log shows them: `east 10.0.0.1 x100`.
fn words(answers: &[NameAnswer]) -> String {
    let words = |a: &NameAnswer| format!("{} {} x{}", a.region, a.address, a.weight);
    answers.iter().map(words).collect::<Vec<_>>().join(", ")
}

struct Refused(StatusCode, String, Option<Epoch>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        refuse(self.0, self.1, self.2)
    }
}

fn refuse(status: StatusCode, error: impl Into<String>, newest_epoch: Option<Epoch>) -> Response {
    (status, Json(Refusal { error: error.into(), newest_epoch })).into_response()
}
