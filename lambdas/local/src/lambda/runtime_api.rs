//! The Lambda Runtime API, as one environment sees it on a loopback port of its own
//! (AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes").

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// A response may have 6 MB (AWS Lambda developer guide, "Lambda quotas"; this is the number its error names).
pub const MAX_RESPONSE_BYTES: usize = 6_291_556;

/// Work for the environment.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Names the invocation, the same in all attempts of an event.
    pub request_id: String,
    /// The event.
    pub payload: Bytes,
    /// When the time is up, in milliseconds since 1970.
    pub deadline_ms: i64,
    /// As the caller named it.
    pub function_arn: String,
    /// X-Ray's header.
    pub trace_id: String,
    /// Base64 JSON from the caller's `X-Amz-Client-Context`.
    pub client_context: Option<String>,
}

/// What the environment tells.
#[derive(Debug)]
pub enum Signal {
    /// It asked for work for the first time: its start is done.
    Ready,
    /// It could not start.
    InitError(Bytes),
    /// The work is done.
    Response(Bytes),
    /// The work failed.
    Error(Bytes),
}

struct Exchange {
    host: String,
    deliveries: tokio::sync::Mutex<mpsc::Receiver<Delivery>>,
    signals: mpsc::Sender<Signal>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    ready: bool,
    /// The request the environment took and has not answered.
    current: Option<String>,
}

/// The listener, and our side of the exchange. Dropping it closes the listener.
pub struct RuntimeApi {
    /// `127.0.0.1:PORT`, the value of `AWS_LAMBDA_RUNTIME_API`.
    pub address: String,
    /// Gives the environment its work.
    pub deliveries: mpsc::Sender<Delivery>,
    /// What the environment tells.
    pub signals: mpsc::Receiver<Signal>,
    exchange: Arc<Exchange>,
    _server: AbortOnDropHandle<()>,
}

impl RuntimeApi {
    /// Listens on a free port.
    pub async fn listen() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?.to_string();
        // Headers and body go out in two writes: with Nagle's algorithm the second waits 40 ms for an acknowledgement.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let (deliveries, receiver) = mpsc::channel(1);
        // A runtime sends at most a few signals for each invocation; one that sends more waits.
        let (sender, signals) = mpsc::channel(8);
        let exchange = Arc::new(Exchange {
            host: address.clone(),
            deliveries: tokio::sync::Mutex::new(receiver),
            signals: sender,
            progress: Mutex::default(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route(
                "/2018-06-01/runtime/invocation/{id}/response",
                post(response),
            )
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(from_fn_with_state(exchange.clone(), only_the_function))
            .with_state(exchange.clone());
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "a function's runtime API stopped");
            }
        });
        Ok(Self {
            address,
            deliveries,
            signals,
            exchange,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// Whether the environment took the work it was given last and has not answered.
    pub fn is_taken(&self) -> bool {
        self.exchange.progress().current.is_some()
    }
}

impl Exchange {
    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A web page must not speak for a function: it sends an `Origin`, or came here by a name of its own.
    fn refuse(&self, headers: &HeaderMap) -> Option<Response> {
        let elsewhere = headers
            .get(header::HOST)
            .is_some_and(|host| host.as_bytes() != self.host.as_bytes());
        (elsewhere || headers.contains_key(header::ORIGIN)).then(|| {
            let message = "only the function itself may ask here";
            refusal(StatusCode::FORBIDDEN, "Forbidden", message)
        })
    }

    /// Ends the request `id`, if it is the present one, and tells how.
    async fn finish(&self, id: &str, signal: Signal) -> Response {
        let is_present = {
            let mut progress = self.progress();
            let is_present = progress.current.as_deref() == Some(id);
            if is_present {
                progress.current = None;
            }
            is_present
        };
        if is_present {
            self.tell(signal).await
        } else {
            refusal(
                StatusCode::BAD_REQUEST,
                "InvalidRequestID",
                "Invalid request ID",
            )
        }
    }

    async fn tell(&self, signal: Signal) -> Response {
        // Nobody listens any more when the environment is being retired.
        let _ = self.signals.send(signal).await;
        (StatusCode::ACCEPTED, axum::Json(json!({"status": "OK"}))).into_response()
    }
}

/// Stands before every call, so that none can forget to ask.
async fn only_the_function(
    State(exchange): State<Arc<Exchange>>,
    request: Request,
    next: Next,
) -> Response {
    match exchange.refuse(request.headers()) {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

async fn next(State(exchange): State<Arc<Exchange>>) -> Response {
    let first = !std::mem::replace(&mut exchange.progress().ready, true);
    if first {
        let _ = exchange.signals.send(Signal::Ready).await;
    }
    let Some(delivery) = exchange.deliveries.lock().await.recv().await else {
        return refusal(
            StatusCode::GONE,
            "Retired",
            "this environment is being retired",
        );
    };
    exchange.progress().current = Some(delivery.request_id.clone());
    let mut builder = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("lambda-runtime-aws-request-id", &delivery.request_id)
        .header("lambda-runtime-deadline-ms", delivery.deadline_ms)
        .header(
            "lambda-runtime-invoked-function-arn",
            &delivery.function_arn,
        )
        .header("lambda-runtime-trace-id", &delivery.trace_id);
    if let Some(context) = &delivery.client_context {
        builder = builder.header("lambda-runtime-client-context", context);
    }
    builder
        .body(Body::from(delivery.payload))
        .unwrap_or_else(|error| {
            refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InvalidHeader",
                &error.to_string(),
            )
        })
}

async fn response(
    State(exchange): State<Arc<Exchange>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let body = axum::body::to_bytes(request.into_body(), MAX_RESPONSE_BYTES).await;
    if let Ok(body) = body {
        return exchange.finish(&id, Signal::Response(body)).await;
    }
    let kind = "Function.ResponseSizeTooLarge";
    let message = format!(
        "Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes)."
    );
    let signal = Signal::Error(failure(kind, &message));
    exchange.finish(&id, signal).await;
    refusal(StatusCode::PAYLOAD_TOO_LARGE, kind, &message)
}

async fn error(
    State(exchange): State<Arc<Exchange>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let body = error_body(request).await;
    exchange.finish(&id, Signal::Error(body)).await
}

async fn init_error(State(exchange): State<Arc<Exchange>>, request: Request) -> Response {
    let body = error_body(request).await;
    exchange.tell(Signal::InitError(body)).await
}

/// The error as the runtime describes it, or by its type alone where it says no more.
async fn error_body(request: Request) -> Bytes {
    let kind = request
        .headers()
        .get(HeaderName::from_static(
            "lambda-runtime-function-error-type",
        ))
        .and_then(|value| value.to_str().ok())
        .unwrap_or("Runtime.Unknown")
        .to_owned();
    match axum::body::to_bytes(request.into_body(), MAX_RESPONSE_BYTES).await {
        Ok(body) if serde_json::from_slice::<&serde_json::value::RawValue>(&body).is_ok() => body,
        _ => failure(&kind, ""),
    }
}

/// The payload of a failed invocation.
pub fn failure(kind: &str, message: &str) -> Bytes {
    Bytes::from(json!({"errorType": kind, "errorMessage": message}).to_string())
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({"errorType": kind, "errorMessage": message});
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn delivery(request_id: &str) -> Delivery {
        Delivery {
            request_id: request_id.to_owned(),
            payload: Bytes::from_static(b"{}"),
            deadline_ms: 1,
            function_arn: "arn".to_owned(),
            trace_id: "Root=1".to_owned(),
            client_context: None,
        }
    }

    #[tokio::test]
    async fn a_web_page_and_an_answer_to_another_request_are_refused() {
        let mut api = RuntimeApi::listen().await.unwrap();
        let base = format!("http://{}/2018-06-01/runtime", api.address);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let next = || client.get(format!("{base}/invocation/next"));
        let status = |request: reqwest::RequestBuilder| async move {
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(
            status(next().header("Origin", "http://evil.example")).await,
            403
        );
        assert_eq!(status(next().header("Host", "evil.example")).await, 403);

        api.deliveries.send(delivery("one")).await.unwrap();
        assert_eq!(status(next()).await, 200);
        assert!(matches!(api.signals.recv().await, Some(Signal::Ready)));
        assert!(api.is_taken());
        let answer = |id: &str| {
            client
                .post(format!("{base}/invocation/{id}/response"))
                .body("1")
        };
        assert_eq!(status(answer("other")).await, 400);
        assert_eq!(status(answer("one")).await, 202);
        assert!(matches!(
            api.signals.recv().await,
            Some(Signal::Response(_))
        ));
        assert!(!api.is_taken());
        assert_eq!(status(answer("one")).await, 400);
    }

    #[tokio::test]
    async fn a_response_that_is_too_large_is_an_error_of_the_function() {
        let mut api = RuntimeApi::listen().await.unwrap();
        let base = format!("http://{}/2018-06-01/runtime/invocation", api.address);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        api.deliveries.send(delivery("one")).await.unwrap();
        client.get(format!("{base}/next")).send().await.unwrap();
        assert!(matches!(api.signals.recv().await, Some(Signal::Ready)));
        let body = vec![b' '; MAX_RESPONSE_BYTES + 1];
        // The answer may come before all of the body is sent, which a client may see as a broken connection.
        let _ = client
            .post(format!("{base}/one/response"))
            .body(body)
            .send()
            .await;
        let Some(Signal::Error(failure)) = api.signals.recv().await else {
            panic!("an error was told")
        };
        assert!(String::from_utf8_lossy(&failure).contains("Function.ResponseSizeTooLarge"));
    }
}
