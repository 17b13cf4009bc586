//! API Gateway HTTP APIs: routes that lead to functions, under a throttle.

mod answer;
mod event;
mod route;
mod throttle;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::error::AwsError;
use crate::lambda::{Invocation, Lambda, Reply, THROTTLED, trace_id};
pub use route::Route;
use throttle::TokenBucket;

/// A request may have 10 MB (API Gateway developer guide, "Quotas for configuring and running an HTTP API").
const MAX_BODY_BYTES: usize = 10 * 1024 * 1024;

/// A function gets at most 6 MB (AWS Lambda developer guide, "Lambda quotas"); a body in base64 reaches that first.
const MAX_EVENT_BYTES: usize = 6_291_456;

/// A function has so long to answer (same page of API Gateway: 30 s).
const INTEGRATION_LIMIT: Duration = Duration::from_secs(30);

/// A slow machine is long at each request, and so has more of them at once than AWS would have. Where they use up the account's
/// concurrency, they wait so long for their turn; AWS refuses them at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks whether it is their turn.
const PAUSE: Duration = Duration::from_millis(50);

/// All HTTP APIs, each by the name of its stack. Cheap to clone.
#[derive(Clone)]
pub struct HttpApis {
    clock: Clock,
    lambda: Lambda,
    apis: Arc<Mutex<BTreeMap<String, Arc<Api>>>>,
}

struct Api {
    id: String,
    routes: Vec<Route>,
    throttle: Option<Mutex<TokenBucket>>,
}

/// Requests that a stage admits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    /// A second, in the steady state.
    pub rate: f64,
    /// At once.
    pub burst: f64,
}

impl HttpApis {
    /// No API yet.
    #[must_use]
    pub fn new(clock: Clock, lambda: Lambda) -> Self {
        Self {
            clock,
            lambda,
            apis: Arc::default(),
        }
    }

    /// Creates the API `name`, or puts a new one in its place.
    pub fn create(&self, name: &str, routes: Vec<Route>, throttle: Option<Throttle>) {
        let api = Api {
            id: id_of(name),
            routes,
            throttle: throttle.map(|given| {
                Mutex::new(TokenBucket::new(given.rate, given.burst, self.clock.now()))
            }),
        };
        self.apis
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), Arc::new(api));
    }

    /// Whether there is an API `name`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn find(&self, name: &str) -> Option<Arc<Api>> {
        let apis = self.apis.lock().unwrap_or_else(PoisonError::into_inner);
        apis.get(name).cloned()
    }

    /// Answers one request to the API `name`, whose path begins behind the API's own.
    pub async fn handle(&self, name: &str, request: Request) -> Response {
        let request_id = uuid::Uuid::new_v4().to_string();
        let mut response = match self.find(name) {
            Some(api) => self.answer(&api, request, &request_id).await,
            None => answer::message(StatusCode::NOT_FOUND, "Not Found"),
        };
        if let Ok(id) = request_id.parse() {
            response.headers_mut().insert("apigw-requestid", id);
        }
        response
    }

    async fn answer(&self, api: &Api, request: Request, request_id: &str) -> Response {
        let now = self.clock.now();
        let (parts, body) = request.into_parts();
        let method = parts.method.as_str();
        let Some((route, path_parameters)) = route::choose(&api.routes, method, parts.uri.path())
        else {
            return answer::message(StatusCode::NOT_FOUND, "Not Found");
        };
        if let Some(throttle) = &api.throttle
            && !throttle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .admit(now)
        {
            return answer::message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
        }
        let too_large =
            || answer::message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        let Ok(body) = axum::body::to_bytes(body, MAX_BODY_BYTES).await else {
            return too_large();
        };
        let trace_id = trace_id(now.as_second());
        let event = event::event(event::Incoming {
            api_id: &api.id,
            route,
            path_parameters,
            method: &parts.method,
            version: parts.version,
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
            body: &body,
            request_id,
            trace_id: &trace_id,
            time: now,
        });
        let payload = match event {
            Ok(payload) if payload.len() <= MAX_EVENT_BYTES => payload,
            _ => return too_large(),
        };
        let invocation = Invocation {
            request_id: uuid::Uuid::new_v4().to_string(),
            payload,
            trace_id,
            client_context: None,
        };
        let run = self.run(&route.function, invocation);
        match tokio::time::timeout(INTEGRATION_LIMIT, run).await {
            Ok(Ok(reply)) if !reply.failed => answer::response(reply.payload),
            Ok(Err(error)) if error.code == THROTTLED => {
                answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Ok(_) => answer::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Err(_) => answer::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }

    async fn run(&self, function: &str, invocation: Invocation) -> Result<Reply, AwsError> {
        let until = Instant::now() + PATIENCE;
        let may_wait = || self.lambda.shares(function) && Instant::now() < until;
        loop {
            while !self.lambda.has_room(function) && may_wait() {
                tokio::time::sleep(PAUSE).await;
            }
            match self.lambda.invoke(function, invocation.clone()).await {
                // Another was quicker.
                Err(error) if error.code == THROTTLED && may_wait() => {}
                outcome => return outcome,
            }
        }
    }
}

/// An API's id: ten letters and digits as AWS makes them, but always the same for the same name.
#[must_use]
pub fn id_of(name: &str) -> String {
    let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes());
    format!("{:.10}", id.simple().to_string())
}
