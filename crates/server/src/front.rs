//! What stands before the API: the token, and whether this controller leads.
//!
//! While it leads, requests go on to the API of that term, and every answer names the term. While it stands by, it says of
//! itself what it knows, and refuses everything else with the leader's address.

use crate::api;
use crate::api::Refusal;
use crate::api::view::{ControllerView, DecisionView, LeaderView, RegionStatus, StatusView, UnitStatus};
use crate::desk::Desk;
use crate::hold::Holds;
use crate::terms::Terms;
use crate::tokens::Tokens;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use pilotlight_core::code;
use pilotlight_core::leader::LeaderRecord;
use pilotlight_core::lease::LeaseSight;
use pilotlight_core::plan::Plan;
use pilotlight_core::protocol::{RESULT_MOST, TERM_HEADER};
use pilotlight_core::time::{Mono, show_duration};
use pilotlight_door::Visitor;
use pilotlight_driver::clock::{Clock, within};
use pilotlight_driver::rarely::Rarely;
use pilotlight_engine::lead::Lead;
use pilotlight_engine::store::{Store, UnitRecord, Units};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tower::ServiceExt;

/// See the module.
pub(crate) struct Front {
    pub(crate) plan: Arc<Plan>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) name: String,
    tokens: Tokens,
    pub(crate) began: Mono,
    /// While one of them is there, nothing starts by itself.
    pub(crate) holds: Arc<Holds>,
    /// What agents have heard of other leaders.
    pub(crate) terms: Arc<Terms>,
    /// What several controllers share.
    pub(crate) store: Option<Arc<dyn Store>>,
    strangers: Rarely,
    standing: Mutex<Standing>,
}

/// What this controller is now.
#[derive(Default)]
struct Standing {
    leading: Option<Arc<Leading>>,
    leader: Option<LeaderRecord>,
    trouble: Option<String>,
}

/// A term, with its API once somebody has asked for it.
pub(crate) struct Leading {
    pub(crate) lead: Lead,
    pub(crate) desk: Arc<Desk>,
    api: OnceLock<Router>,
}

impl Front {
    pub(crate) fn new(plan: Arc<Plan>, clock: Arc<dyn Clock>, tokens: Tokens, standing: &crate::Standing) -> Self {
        let began = clock.mono();
        let (name, store) = (standing.name.clone(), standing.store.clone());
        let holds = Arc::new(Holds::new(standing.hold.clone(), store.is_some()));
        let (strangers, standing, terms) = (Rarely::default(), Mutex::default(), Arc::default());
        Self { plan, clock, name, tokens, began, holds, terms, store, strangers, standing }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It leads, from this desk.
    pub(crate) fn leads(&self, lead: Lead, desk: Arc<Desk>) {
        self.standing().leading = Some(Arc::new(Leading { lead, desk, api: OnceLock::new() }));
    }

    /// It stands by.
    pub(crate) fn stands_by(&self) {
        self.standing().leading = None;
    }

    /// What the store says of the lead, or why it cannot be read.
    pub(crate) fn knows(&self, found: Result<Option<&LeaderRecord>, String>) {
        let mut standing = self.standing();
        match found {
            Ok(record) => {
                self.holds.knows(record.and_then(|r| r.hold.as_ref()));
                // Whoever stands by says the same many times a second.
                if standing.leader.as_ref() != record {
                    standing.leader = record.cloned();
                }
                standing.trouble = None;
            }
            Err(why) => standing.trouble = Some(why),
        }
    }

    /// Says it to whoever reads the log, too, once while it lasts.
    pub(crate) fn knows_trouble(&self, why: String) {
        if self.standing().trouble.as_ref() != Some(&why) {
            tracing::error!("{}: this controller does not lead: {why}", code::NO_LEADER);
        }
        self.knows(Err(why));
    }

    pub(crate) fn leading(&self) -> Option<Arc<Leading>> {
        self.standing().leading.clone().filter(|leading| leading.lead.is_valid())
    }

    fn view(&self) -> ControllerView {
        let standing = self.standing();
        let lead = standing.leading.as_ref().map(|leading| &leading.lead).filter(|lead| lead.is_valid());
        let leader = standing.leader.as_ref().map(|l| LeaderView { name: l.name.clone(), url: l.url.clone() });
        ControllerView {
            name: self.name.clone(),
            leads: lead.is_some(),
            term: lead.map(Lead::term).or(standing.leader.as_ref().map(|l| l.term)).unwrap_or_default(),
            leader,
            trouble: standing.trouble.clone(),
        }
    }
}

/// The whole interface of a controller.
pub(crate) fn router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/v1/controller", get(controller))
        .fallback(pass_on)
        .layer(middleware::from_fn_with_state(front.clone(), authorize))
        .with_state(front)
}

/// A wrong token is logged rarely: a stranger cannot fill the disk, also while others come with the right one.
async fn authorize(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Result<Response, Refusal> {
    let bearer = front.tokens.bearer(request.headers());
    if bearer.opens(request.uri().path()) {
        if let Some(visitor) = request.extensions().get::<Visitor>() {
            visitor.vouch();
        }
        request.extensions_mut().insert(bearer);
        return Ok(next.run(request).await);
    }
    if front.strangers.may_say("wrong token", front.clock.mono()) {
        let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|from| from.0.to_string());
        let (path, from, code) = (request.uri().path(), from.unwrap_or_default(), code::WRONG_TOKEN);
        tracing::warn!(path, from, "refused a request with a wrong token ({code}); told once a minute at most");
    }
    Err(Refusal::new(
        StatusCode::UNAUTHORIZED,
        code::WRONG_TOKEN.as_str(),
        "the token is not the one of this controller",
        "give each the token that the controller's plan names for it: operators `controller.token`, agents `region_tokens` or \
         `agent_token`, observers `observer_token`",
    ))
}

async fn controller(State(front): State<Arc<Front>>) -> Json<ControllerView> {
    Json(front.view())
}

async fn pass_on(State(front): State<Arc<Front>>, request: Request) -> Response {
    let request = match whole(&*front.clock, request).await {
        Ok(request) => request,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(leading) = front.leading() else { return standing_by(&front, request.uri().path()).await };
    let (lead, api) = (&leading.lead, leading.api.get_or_init(|| api::router(leading.desk.clone())));
    let mut response = match api.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if lead.is_contested() {
        response.headers_mut().insert(TERM_HEADER, HeaderValue::from(lead.term().0));
    }
    response
}

/// The request with all of its body.
async fn whole(clock: &dyn Clock, request: Request) -> Result<Request, Refusal> {
    // Without one it came through no socket.
    let longest = request.extensions().get::<Visitor>().map_or(Duration::MAX, Visitor::body_within);
    let (head, body) = request.into_parts();
    match within(clock, longest, to_bytes(body, RESULT_MOST)).await {
        Some(Ok(bytes)) => Ok(Request::from_parts(head, Body::from(bytes))),
        Some(Err(e)) => Err(Refusal::bad(format!("the request cannot be read: {e}"))),
        None => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            code::CONTROLLER_UNREACHABLE.as_str(),
            format!("the request did not arrive within {}", show_duration(longest)),
            "is the way from here to the controller so slow?",
        )),
    }
}

async fn standing_by(front: &Front, path: &str) -> Response {
    if path == "/v1/status" {
        return Json(status(front).await).into_response();
    }
    let view = front.view();
    let other = view.leader.filter(|leader| leader.name != view.name);
    let refusal = match (other, view.trouble) {
        (Some(leader), None) => Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            code::NOT_THE_LEADER.as_str(),
            format!("controller {} does not lead; {} at {} does", view.name, leader.name, leader.url),
            "agents and the command line go to the leader by themselves; is it reachable from here?",
        ),
        (_, trouble) => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            code::NO_LEADER.as_str(),
            match trouble {
                Some(why) => format!("controller {} does not know who leads: {why}", view.name),
                None if front.store.is_none() => STARTING.to_owned(),
                None => format!("controller {} does not lead, and knows nobody who does", view.name),
            },
            match front.store {
                None => "ask again in a moment",
                Some(_) => "another takes over within `controller.leader_lease` and a bit, once the store answers",
            },
        ),
    };
    refusal.into_response()
}

/// The only controller has no one to stand by for: it is on its way.
const STARTING: &str = "the controller is starting: it takes up its runs, and has heard no agent yet";

fn not_heard(region: &pilotlight_core::id::Region) -> RegionStatus {
    RegionStatus {
        region: region.clone(),
        heard_ms: None,
        heard: false,
        components: Vec::new(),
        older: None,
        plan: None,
    }
}

/// What a controller that stands by can say: what the store holds, and nothing that agents have said.
async fn status(front: &Front) -> StatusView {
    let view = front.view();
    let plan = &front.plan;
    let records = match &front.store {
        Some(store) => Units::new(Arc::clone(store), view.term).all().await.unwrap_or_default(),
        None => Vec::new(),
    };
    let why = match (&view.trouble, &view.leader) {
        (Some(why), _) => format!("controller {} does not know who leads: {why}", view.name),
        (None, Some(leader)) => format!("controller {} stands by; {} decides", view.name, leader.name),
        (None, None) if front.store.is_none() => STARTING.to_owned(),
        (None, None) => format!("controller {} stands by, and nobody leads", view.name),
    };
    let unit = |name: &pilotlight_core::id::Unit| {
        let record: Option<&UnitRecord> = records.iter().find(|r| r.unit == *name);
        UnitStatus {
            unit: name.clone(),
            epoch: record.map(|r| r.epoch),
            writer: record.and_then(|r| r.writer.clone()),
            run: record.and_then(|r| r.run.clone()),
            judgement: None,
            candidate: record.and_then(|r| r.candidate.as_ref().map(|c| c.region.clone())),
            decision: DecisionView::Hold { why: why.clone(), code: None },
            lease: LeaseSight::WaitingOutStart { left: Duration::ZERO },
            cooling_down: None,
            drill: None,
            led_elsewhere: Vec::new(),
            drift: Vec::new(),
            exposed: Vec::new(),
        }
    };
    StatusView {
        units: plan.units().into_iter().map(unit).collect(),
        regions: plan.regions.iter().filter(|_| front.store.is_none()).map(not_heard).collect(),
        hold: front.holds.read(),
        ..api::status::bare(plan, &*front.clock, front.began)
    }
}
