//! Calls that meet a fault on their way to the service or back.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderName, Method, StatusCode, header, request::Parts},
    response::Response,
};
use serde::Deserialize;

use super::{
    Call, Front,
    answer::{failure, protocol, respond},
    query,
};
use crate::{
    faults::{self, Broken, Faults, Held, Service},
    route::Route,
};

impl Front {
    /// Answers a call as [`Front::answer`] does, after what the rules have in store for it.
    pub(super) async fn through_faults(&self, mut call: Call<'_>, faults: &Faults) -> Response {
        let body = call.body.clone();
        let Some(named) = named(&call, &body) else {
            return self.answer(call).await;
        };
        let strike = faults.strike(named);
        if !strike.delay.is_zero() {
            tokio::time::sleep(strike.delay).await;
        }
        if let Some(error) = strike.error {
            let error = error.of(named.service, named.operation);
            return failure(protocol(&call.route), &error, call.request_id);
        }
        let held = strike
            .entries
            .and_then(|(error, fails)| faults::hold_back(&body, named.operation, error, &fails));
        let response = match held {
            None => self.answer(call).await,
            Some(Held { rest, failures }) => {
                let response = match rest {
                    Some(rest) => {
                        call.body = Bytes::from(rest);
                        self.answer(call).await
                    }
                    None => respond(
                        StatusCode::OK,
                        "application/x-amz-json-1.0",
                        r#"{"Successful":[],"Failed":[]}"#,
                    ),
                };
                changed(response, |body| {
                    faults::add(&body, failures).map_or(body, Bytes::from)
                })
                .await
            }
        };
        match strike.broken {
            None => response,
            Some(Broken::Reset) => {
                let mut response = response;
                response.extensions_mut().insert(Broken::Reset);
                response
            }
            Some(Broken::Truncated) => {
                let (parts, body) = response.into_parts();
                let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
                faults::truncated(Response::from_parts(parts, Body::empty()), &body)
            }
        }
    }
}

async fn changed(response: Response, change: impl FnOnce(Bytes) -> Bytes) -> Response {
    let (mut parts, body) = response.into_parts();
    // Our own answer, already in memory.
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(change(body)))
}

/// The call in the words of the rules; nothing for what is no AWS call.
fn named<'a>(call: &Call<'a>, body: &'a Bytes) -> Option<faults::Call<'a>> {
    let (service, operation, resource) = match call.route {
        Route::Sqs(operation) => (Service::Sqs, operation, queue(body)),
        Route::Lambda => (
            Service::Lambda,
            lambda_operation(&call.parts.method, call.path),
            function(call.path),
        ),
        Route::DynamoDb => (Service::DynamoDb, target(call.parts), None),
        Route::CloudWatchCbor(operation) | Route::CloudWatchJson(operation) => {
            (Service::CloudWatch, operation, None)
        }
        Route::Logs(operation) => (Service::Logs, operation, None),
        Route::Query => {
            let (service, action) = query::called(body);
            (service, action, None)
        }
        Route::HttpApi { .. } | Route::Admin(_) | Route::UnknownTarget(_) | Route::UnknownPath => {
            return None;
        }
    };
    Some(faults::Call {
        service,
        operation,
        resource,
    })
}

/// The queue that a request of SQS names.
fn queue(body: &[u8]) -> Option<&str> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Named<'a> {
        #[serde(borrow)]
        queue_url: &'a str,
    }
    let named: Named = serde_json::from_slice(body).ok()?;
    named.queue_url.rsplit('/').next()
}

/// The function that a path of Lambda names: what follows `functions/`.
fn function(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/functions/")?;
    rest.split('/').next()
}

/// The operation's name where rules tell them apart, and the method elsewhere.
fn lambda_operation<'a>(method: &'a Method, path: &str) -> &'a str {
    if path.ends_with("/invocations") {
        "Invoke"
    } else if method == Method::GET
        && (path.ends_with("/functions") || path.ends_with("/functions/"))
    {
        "ListFunctions"
    } else if method == Method::GET
        && path
            .trim_end_matches('/')
            .ends_with("/event-source-mappings")
    {
        "ListEventSourceMappings"
    } else {
        method.as_str()
    }
}

fn target(parts: &Parts) -> &str {
    let target = parts.headers.get(HeaderName::from_static("x-amz-target"));
    let target = target.and_then(|target| target.to_str().ok());
    target
        .and_then(|target| target.split_once('.'))
        .map_or("", |(_, operation)| operation)
}
