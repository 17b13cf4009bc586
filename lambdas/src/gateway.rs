//! One address for all services: routes by the first segment of the path, under a rate limit, each behind a circuit breaker.
//!
//! | request | answer |
//! |---|---|
//! | `/<service>/…` | the service's own, whatever its status: a 401 is an answer |
//! | `GET /health` | the gateway alone |
//! | `GET /health/all` | every service's health, 3 s each: 200, or 503 |
//! | `GET /api/services` | the services and their circuits |
//! | anything else | 404 |
//!
//! A service that cannot be reached is a 502, one that does not answer in time a 504, one whose circuit is open a 503, and a
//! client over its limit gets a 429. Counts and circuits are this environment's own: Lambda may run several, and what holds
//! for all of them together is the HTTP API's throttle. Requests and answers are held in memory whole, at most 6 MB.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_config::SdkConfig;
use futures::future::join_all;
use lambda_http::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::{Adapter, Body, Error, Request, RequestExt, Response, service_fn};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::function::Function;
use crate::http::{allowed_origin, usable};
use crate::settings::Settings;
use crate::target::{Call, CallError, Caller};
use crate::{aws, correlation, health};
use breaker::Breaker;
use limiter::{Client, Limiter};
use route::Route;

mod breaker;
mod headers;
mod limiter;
mod route;

/// How long a service may take to say how it is.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(3);

/// What a service that cannot be asked is, too.
const UNHEALTHY: &str = "unhealthy";

struct Gateway {
    started: Instant,
    caller: Caller,
    routes: Vec<Route>,
    /// One for each route, in their order.
    breakers: Vec<Mutex<Breaker>>,
    limiter: Mutex<Limiter>,
}

/// Why a request did not get a service's answer.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Route not found")]
    NoRoute,
    #[error("Too many requests")]
    TooMany(Duration),
    #[error("Service {0} unavailable")]
    Open(String, Duration),
    #[error("Service {0} unavailable")]
    Unreachable(String),
    #[error("Service {0} did not answer in time")]
    TimedOut(String),
    #[error("Request body is larger than 6 MB")]
    TooLarge,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What serves them.
pub fn function(config: &SdkConfig) -> Result<impl Function<LambdaRequest> + use<>, Error> {
    let gateway = Arc::new(Gateway::start(config)?);
    Ok(Adapter::from(service_fn(move |request: Request| {
        let gateway = Arc::clone(&gateway);
        let correlation_id = correlation::from_headers(request.headers());
        let span = tracing::info_span!("request", correlationId = correlation_id);
        let answered = async move {
            let answer = gateway.answer(request, &correlation_id).await;
            answer.inspect_err(|error| tracing::error!("an answer cannot be written: {error}"))
        };
        answered.instrument(span)
    })))
}

impl Gateway {
    /// From `GATEWAY_ROUTES`, `RATE_LIMIT_PER_MINUTE` and `CIRCUIT_PAUSE_SECONDS`.
    fn start(config: &SdkConfig) -> Result<Self, Error> {
        let mut settings = Settings::default();
        let text = settings.required("GATEWAY_ROUTES");
        let routes = route::parse(&text).unwrap_or_else(|wrong| {
            if !text.is_empty() {
                for what in wrong {
                    settings.problem(format!("GATEWAY_ROUTES: {what}"));
                }
            }
            Vec::new()
        });
        let limit = settings.optional(
            "RATE_LIMIT_PER_MINUTE",
            100_u32,
            "a number of requests from 1",
            |limit| *limit >= 1,
        );
        let pause = settings.optional(
            "CIRCUIT_PAUSE_SECONDS",
            30,
            "seconds from 1 to 3600",
            |seconds| (1..=3600).contains(seconds),
        );
        let (routes, limit) = settings.finish((routes, limit))?;
        let breaker = Breaker::new(Duration::from_secs(pause));
        Ok(Self {
            started: Instant::now(),
            caller: Caller::new(config)?,
            breakers: routes.iter().map(|_| Mutex::new(breaker)).collect(),
            routes,
            limiter: Mutex::new(Limiter::new(limit)),
        })
    }

    async fn answer(
        &self,
        request: Request,
        correlation_id: &str,
    ) -> Result<Response<Body>, Error> {
        let began = Instant::now();
        let outcome = self.outcome(request, correlation_id, began).await;
        let mut response = match outcome {
            Ok(response) => response,
            Err(refusal) => {
                tracing::warn!("{refusal}");
                refusal.response(correlation_id)
            }
        };
        let headers = response.headers_mut();
        headers.insert(correlation::HEADER, HeaderValue::from_str(correlation_id)?);
        let took = format!("{}ms", began.elapsed().as_millis());
        headers.insert("x-response-time", HeaderValue::from_str(&took)?);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_str(&allowed_origin())?,
        );
        Ok(response)
    }

    async fn outcome(
        &self,
        request: Request,
        correlation_id: &str,
        now: Instant,
    ) -> Result<Response<Body>, Refusal> {
        let path = request.raw_http_path().to_owned();
        let is_get = request.method() == Method::GET;
        // A monitor is never locked out.
        if is_get && path == "/health" {
            let (status, report) = health::report("gateway", self.started, &[]);
            return Ok(json_response(status, &report));
        }
        let source_ip = source_ip(&request);
        if let Ok(address) = source_ip.parse::<IpAddr>() {
            lock(&self.limiter)
                .admit(Client::at(address), now)
                .map_err(Refusal::TooMany)?;
        }
        match path.as_str() {
            "/health/all" if is_get => Ok(self.health_of_all(correlation_id).await),
            "/api/services" if is_get => Ok(json_response(StatusCode::OK, &self.services())),
            _ => {
                self.forward(request, &path, correlation_id, &source_ip, now)
                    .await
            }
        }
    }

    async fn forward(
        &self,
        request: Request,
        path: &str,
        correlation_id: &str,
        source_ip: &str,
        now: Instant,
    ) -> Result<Response<Body>, Refusal> {
        let route = route::choose(&self.routes, path).ok_or(Refusal::NoRoute)?;
        let breaker = self
            .routes
            .iter()
            .zip(&self.breakers)
            .find_map(|(other, breaker)| (other.service == route.service).then_some(breaker))
            .ok_or(Refusal::NoRoute)?;
        lock(breaker)
            .admit(now)
            .map_err(|wait| Refusal::Open(route.service.clone(), wait))?;
        let usable = usable(&request);
        let (parts, body) = request.into_parts();
        let call = Call {
            method: parts.method,
            path: path.to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: headers::forwarded(parts.headers, correlation_id, source_ip),
            body: body.to_vec(),
        };
        let timeout = route.timeout.min(usable);
        let called = self.caller.call(&route.target, call, timeout).await;
        match called {
            Ok(answer) => {
                lock(breaker).answered();
                let (mut parts, body) = answer.into_parts();
                headers::end_hop(&mut parts.headers);
                Ok(Response::from_parts(parts, body_of(body)))
            }
            Err(error) => {
                if !matches!(error, CallError::TooLarge) {
                    lock(breaker).failed(Instant::now());
                }
                tracing::error!(
                    service = route.service,
                    cause = format!("{error:?}"),
                    "{error}"
                );
                let service = route.service.clone();
                Err(match error {
                    CallError::Unreachable(_) => Refusal::Unreachable(service),
                    CallError::TimedOut(_) => Refusal::TimedOut(service),
                    CallError::TooLarge => Refusal::TooLarge,
                })
            }
        }
    }

    /// Asks all at once. Circuits do not matter here: this is how an operator finds out whether a service is back.
    async fn health_of_all(&self, correlation_id: &str) -> Response<Body> {
        let asked = join_all(self.routes.iter().map(async |route| {
            let began = Instant::now();
            let call = Call::get("/health", correlation_id);
            let answer = self.caller.call(&route.target, call, HEALTH_TIMEOUT).await;
            let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let report = match &answer {
                Ok(answer) => serde_json::from_slice(answer.body()).unwrap_or(Value::Null),
                Err(error) => json!({"error": error.to_string()}),
            };
            let says = report.get("status").and_then(Value::as_str);
            let status = match says {
                Some(says) if answer.is_ok_and(|answer| answer.status().is_success()) => says,
                _ => UNHEALTHY,
            };
            let entry = json!({"status": status, "responseTimeMs": took, "health": report});
            (route.service.clone(), entry, status != UNHEALTHY)
        }))
        .await;
        let (status, word) = if asked.iter().all(|(_, _, healthy)| *healthy) {
            (StatusCode::OK, "healthy")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, UNHEALTHY)
        };
        let services: serde_json::Map<_, _> = asked
            .into_iter()
            .map(|(service, entry, _)| (service, entry))
            .collect();
        json_response(
            status,
            &json!({"status": word, "service": "gateway", "services": services}),
        )
    }

    fn services(&self) -> Value {
        let services: Vec<_> = self
            .routes
            .iter()
            .zip(&self.breakers)
            .map(|(route, breaker)| {
                json!({
                    "name": route.service,
                    "path": format!("/{}", route.service),
                    "timeoutMs": u64::try_from(route.timeout.as_millis()).unwrap_or(u64::MAX),
                    "circuit": lock(breaker).word(),
                })
            })
            .collect();
        json!({"services": services})
    }
}

impl Refusal {
    fn response(&self, correlation_id: &str) -> Response<Body> {
        let (status, service, wait) = match self {
            Self::NoRoute => (StatusCode::NOT_FOUND, None, None),
            Self::TooMany(wait) => (StatusCode::TOO_MANY_REQUESTS, None, Some(wait)),
            Self::Open(service, wait) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(service), Some(wait))
            }
            Self::Unreachable(service) => (StatusCode::BAD_GATEWAY, Some(service), None),
            Self::TimedOut(service) => (StatusCode::GATEWAY_TIMEOUT, Some(service), None),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, None, None),
        };
        let message = self.to_string();
        let mut body =
            json!({"message": message, "error": message, "correlationId": correlation_id});
        if let (Some(service), Some(fields)) = (service, body.as_object_mut()) {
            fields.insert("service".to_owned(), service.as_str().into());
        }
        let mut response = json_response(status, &body);
        if let Some(wait) = wait {
            // Whole seconds, rounded up: who waits so long is let through.
            let seconds = wait.as_millis().div_ceil(1000);
            if let Ok(seconds) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
        }
        response
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::Text(body.to_string()));
    *response.status_mut() = status;
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    *response.headers_mut() = headers;
    response
}

fn body_of(bytes: Vec<u8>) -> Body {
    match String::from_utf8(bytes) {
        Ok(text) if text.is_empty() => Body::Empty,
        Ok(text) => Body::Text(text),
        Err(binary) => Body::Binary(binary.into_bytes()),
    }
}

/// Who connected to the HTTP API. A header would be the client's to choose.
fn source_ip(request: &Request) -> String {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.http.source_ip.clone(),
        _ => None,
    }
    .unwrap_or_default()
}

/// A panic elsewhere leaves a count that is still a count.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
