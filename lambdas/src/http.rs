//! The HTTP functions' shell: the caller's correlation id, a limit of time, answers as JSON, and errors that name the field.
//!
//! Every error is `{"message", "error", "correlationId"}`; 400 names the `fields` where it can, and a failure of another
//! service names the `service`.

use std::borrow::Cow;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use lambda_http::http::StatusCode;
use lambda_http::http::header::{self, HeaderName};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Error, Request, RequestExt, Response, service_fn};
use patterns_core::task::InvalidField;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::correlation;
use crate::deadline;
use crate::function::Function;

pub mod read;

/// Why a request is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 400: the request holds no usable body.
    #[error("{0}")]
    BadRequest(String),
    /// 400: fields of the body do not hold what they must.
    #[error("Validation failed: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<InvalidField>),
    /// Any other answer that the caller has to act on: 401, 402, 404, 405, 409, 413, 415, 422, 429.
    #[error("{message}")]
    Refused {
        /// Which of them.
        status: StatusCode,
        /// What is wrong, as a sentence.
        message: Cow<'static, str>,
        /// A header that goes with the status, such as `Allow` or `Retry-After`.
        header: Option<(HeaderName, String)>,
    },
    /// 502, 503 or 504: another service could not be asked, or could not answer.
    #[error("{message}")]
    Unavailable {
        /// Which of them.
        status: StatusCode,
        /// The service.
        service: String,
        /// What went wrong, as a sentence.
        message: String,
    },
    /// 500: what was tried, for the caller; the cause is for the log only.
    #[error("{what}")]
    Failed {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Refusal {
    /// A failure of ours or of AWS. Keeps the cause for the log.
    pub fn failed(
        what: &'static str,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Failed {
            what,
            cause: cause.into(),
        }
    }

    /// An answer with `status` that says `message`.
    pub fn with(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::Refused {
            status,
            message: message.into(),
            header: None,
        }
    }

    /// The same with a header.
    pub fn with_header(
        status: StatusCode,
        message: impl Into<Cow<'static, str>>,
        name: HeaderName,
        value: impl Into<String>,
    ) -> Self {
        Self::Refused {
            status,
            message: message.into(),
            header: Some((name, value.into())),
        }
    }

    /// 404.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::with(StatusCode::NOT_FOUND, message)
    }

    /// 405, with the methods that there are: `"GET, POST"`.
    pub fn method_not_allowed(allowed: &str) -> Self {
        Self::with_header(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("Method not allowed; allowed are {allowed}"),
            header::ALLOW,
            allowed,
        )
    }

    /// 413.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        Self::with(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Request body must not exceed {limit} bytes"),
        )
    }

    /// 415.
    #[must_use]
    pub fn unsupported_media_type(expected: &str) -> Self {
        Self::with(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!("Content-Type must be {expected}"),
        )
    }

    /// 504: our own time is used up.
    fn out_of_time() -> Self {
        Self::with(
            StatusCode::GATEWAY_TIMEOUT,
            "The request took too long; it may have been carried out in part",
        )
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) | Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Refused { status, .. } | Self::Unavailable { status, .. } => *status,
            Self::Failed { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// What a handler found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, if there is one.
    pub body: Option<Value>,
    /// Headers besides the content type and the correlation id.
    pub headers: Vec<(HeaderName, String)>,
}

impl Answer {
    /// `status` without a body.
    #[must_use]
    pub fn empty(status: StatusCode) -> Self {
        Self {
            status,
            body: None,
            headers: Vec::new(),
        }
    }
}

/// An answer, or why there is none.
pub type Outcome = Result<Answer, Refusal>;

/// `body` as JSON with `status`.
pub fn answer(status: StatusCode, body: &impl Serialize) -> Outcome {
    let body = serde_json::to_value(body)
        .map_err(|error| Refusal::failed("Failed to write the answer", error))?;
    Ok(Answer {
        body: Some(body),
        ..Answer::empty(status)
    })
}

/// Serves HTTP requests with `handle`, which gets the request and its correlation id, until the environment ends.
pub async fn serve<F, Fut>(handle: F) -> Result<(), Error>
where
    F: Fn(Request, String) -> Fut,
    Fut: Future<Output = Outcome> + Send,
{
    lambda_http::run(service_fn(|request| one(&handle, request))).await
}

/// The same, not yet run. `handle` also gets what all requests share.
pub fn function<T, F, Fut>(shared: T, handle: F) -> impl Function<LambdaRequest> + use<T, F, Fut>
where
    T: 'static,
    F: Fn(Arc<T>, Request, String) -> Fut + 'static,
    Fut: Future<Output = Outcome> + Send + 'static,
{
    let shared = Arc::new(shared);
    let handle =
        move |request, correlation_id| handle(Arc::clone(&shared), request, correlation_id);
    Adapter::from(service_fn(move |request| one(&handle, request)))
}

/// Answers one request. What it waits for is given up in time for an answer.
pub fn one<F, Fut>(
    handle: &F,
    request: Request,
) -> impl Future<Output = Result<Response<Body>, Error>> + Send + use<F, Fut>
where
    F: Fn(Request, String) -> Fut,
    Fut: Future<Output = Outcome> + Send,
{
    let correlation_id = correlation::from_headers(request.headers());
    let span = tracing::info_span!("request", correlationId = correlation_id);
    let limit = usable(&request);
    let outcome = handle(request, correlation_id.clone());
    async move {
        let outcome = tokio::time::timeout(limit, outcome).await;
        respond(
            outcome.unwrap_or_else(|_| Err(Refusal::out_of_time())),
            &correlation_id,
        )
        .inspect_err(|error| tracing::error!("an answer cannot be written: {error}"))
    }
    .instrument(span)
}

/// How long the handling of `request` may take.
#[must_use]
pub fn usable(request: &Request) -> Duration {
    request
        .lambda_context_ref()
        .map(deadline::usable)
        .unwrap_or_default()
}

/// The response that an outcome becomes. Causes of failures go to the log here and nowhere else.
pub fn respond(outcome: Outcome, correlation_id: &str) -> Result<Response<Body>, Error> {
    let answer = outcome.unwrap_or_else(|refusal| refused(refusal, correlation_id));
    let mut response = Response::builder()
        .status(answer.status)
        .header(correlation::HEADER, correlation_id)
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed_origin());
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    let response = match answer.body {
        Some(body) => response
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::Text(body.to_string())),
        None => response.body(Body::Empty),
    };
    Ok(response?)
}

/// `CORS_ALLOW_ORIGIN`, or everybody: the APIs hold nothing that a cookie would open.
#[must_use]
pub fn allowed_origin() -> String {
    match std::env::var("CORS_ALLOW_ORIGIN") {
        Ok(origin) if !origin.is_empty() => origin,
        _ => "*".to_owned(),
    }
}

fn refused(refusal: Refusal, correlation_id: &str) -> Answer {
    if let Refusal::Failed { what, cause } = &refusal {
        tracing::error!(cause = format!("{cause:?}"), "{what}");
    }
    let message = refusal.to_string();
    let mut body = json!({"message": message, "error": message, "correlationId": correlation_id});
    let status = refusal.status();
    let mut headers = Vec::new();
    let more = match refusal {
        Refusal::Invalid(fields) => {
            let fields = fields
                .iter()
                .map(|invalid| json!({"field": invalid.field, "message": invalid.message}));
            Some(("fields", fields.collect()))
        }
        Refusal::Unavailable { service, .. } => Some(("service", Value::from(service))),
        Refusal::Refused { header, .. } => {
            headers.extend(header);
            None
        }
        Refusal::BadRequest(_) | Refusal::Failed { .. } => None,
    };
    if let (Some(body), Some((name, value))) = (body.as_object_mut(), more) {
        body.insert(name.to_owned(), value);
    }
    Answer {
        status,
        body: Some(body),
        headers,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn body(refusal: Refusal) -> (StatusCode, Value, Vec<(HeaderName, String)>) {
        let answer = refused(refusal, "c-1");
        (answer.status, answer.body.unwrap(), answer.headers)
    }

    #[test]
    fn an_error_says_the_same_in_the_words_of_both_apis() {
        let (status, said, _) = body(Refusal::not_found("Task not found"));
        assert_eq!(status, 404);
        assert_eq!(
            said,
            json!({"message": "Task not found", "error": "Task not found", "correlationId": "c-1"})
        );
        let (status, said, headers) = body(Refusal::method_not_allowed("GET, POST"));
        assert_eq!(status, 405);
        assert_eq!(headers, [(header::ALLOW, "GET, POST".to_owned())]);
        assert!(said.to_string().contains("GET, POST"));
    }

    #[test]
    fn causes_are_for_the_log_only() {
        let (status, said, _) = body(Refusal::failed("Failed to create task", "table gone"));
        assert_eq!(status, 500);
        assert!(!said.to_string().contains("table gone"), "{said}");
    }

    #[test]
    fn an_unavailable_service_is_named() {
        let (status, said, _) = body(Refusal::Unavailable {
            status: StatusCode::BAD_GATEWAY,
            service: "auth".to_owned(),
            message: "Service auth unavailable".to_owned(),
        });
        assert_eq!(status, 502);
        assert_eq!(said.get("service").unwrap(), "auth");
    }
}
