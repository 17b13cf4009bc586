//! The one listener: every request passes the door, is read within its limit, and goes to its service.

mod answer;

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header, request::Parts, uri::PathAndQuery},
    response::Response,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::answer::{OTHER, Protocol, cbor, failure, protocol, reply, respond};
use crate::{
    cloudwatch::Metrics,
    door::{self, Admission},
    dynamodb::Dynamo,
    error::AwsError,
    http_api::HttpApis,
    lambda::Lambda,
    logs::Logs,
    route::Route,
    sqs::Sqs,
    sts,
};

/// The services behind the listener.
#[derive(Clone)]
pub struct Front {
    /// Queues.
    pub sqs: Sqs,
    /// Figures.
    pub metrics: Metrics,
    /// Function output.
    pub logs: Logs,
    /// Tables.
    pub dynamo: Dynamo,
    /// Functions.
    pub lambda: Lambda,
    /// What calls functions over HTTP.
    pub http_apis: HttpApis,
    /// Ends requests that are still waiting when the emulator stops.
    pub stop: CancellationToken,
}

impl Front {
    /// All paths and methods, in one handler: AWS services share `/` and differ in headers.
    pub fn router(self) -> Router {
        Router::new().fallback(enter).with_state(self)
    }

    async fn serve(&self, request: Request, request_id: &str) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let route = Route::of(&parts.method, &path, &parts.headers);
        let protocol = protocol(&route);
        let admission = if matches!(route, Route::HttpApi { .. }) {
            Admission::Public
        } else {
            Admission::Signed
        };
        if let Err(refused) = door::admit(&parts.headers, parts.uri.query(), admission) {
            return failure(protocol, &refused, request_id);
        }
        let body = match read(&parts.headers, body, route.max_body()).await {
            Ok(body) => body,
            Err(error) => return failure(protocol, &error, request_id),
        };
        match route {
            Route::Sqs(operation) => match parsed(&body) {
                Ok(input) => reply(
                    protocol,
                    self.sqs.handle(operation, input).await,
                    request_id,
                ),
                Err(error) => failure(protocol, &error, request_id),
            },
            Route::Logs(operation) => {
                let answer = parsed(&body).and_then(|input| self.logs.handle(operation, input));
                reply(protocol, answer, request_id)
            }
            Route::CloudWatchJson(operation) => {
                let answer =
                    parsed(&body).and_then(|input| self.metrics.handle_json(operation, input));
                reply(protocol, answer, request_id)
            }
            Route::DynamoDb => self.dynamo.forward(&parts.headers, body).await,
            Route::CloudWatchCbor(operation) => match self.metrics.handle_cbor(operation, &body) {
                Ok(answer) => cbor(StatusCode::OK, answer),
                Err(error) => failure(protocol, &error, request_id),
            },
            Route::Lambda => {
                self.lambda
                    .handle(
                        &parts.method,
                        &path,
                        parts.uri.query(),
                        &parts.headers,
                        body,
                    )
                    .await
            }
            Route::HttpApi { stack, path } => match below(&parts, path, body) {
                Some(request) => self.http_apis.handle(stack, request).await,
                None => failure(
                    protocol,
                    &AwsError::new(400, "BadRequestException", "The path is not valid."),
                    request_id,
                ),
            },
            Route::Query => query(&body, request_id),
            Route::UnknownTarget(target) => {
                let message = format!("patterns-local does not offer {target}.");
                failure(
                    protocol,
                    &AwsError::new(400, "UnknownOperationException", message),
                    request_id,
                )
            }
            Route::UnknownPath => {
                let message = format!(
                    "patterns-local offers nothing at {} {path}. It speaks SQS, Lambda, DynamoDB, CloudWatch, CloudWatch Logs and STS.",
                    parts.method
                );
                failure(
                    protocol,
                    &AwsError::new(404, "UnknownOperationException", message),
                    request_id,
                )
            }
        }
    }
}

async fn enter(State(front): State<Front>, request: Request) -> Response {
    let request_id = Uuid::new_v4().to_string();
    let served = front
        .stop
        .run_until_cancelled(front.serve(request, &request_id))
        .await;
    let mut response = served.unwrap_or_else(|| {
        let error = AwsError::new(503, "ServiceUnavailable", "patterns-local is stopping.");
        failure(OTHER, &error, &request_id)
    });
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response
            .headers_mut()
            .entry("x-amzn-requestid")
            .or_insert(id);
    }
    response
}

async fn read(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, AwsError> {
    let too_long = || {
        let message = format!(
            "The body is longer than the {most} bytes that patterns-local reads here. Send less at a time."
        );
        AwsError::new(413, "RequestEntityTooLargeException", message)
    };
    let declared = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: usize| length > most) {
        return Err(too_long());
    }
    // What fails otherwise is a connection that broke, and then nobody reads the answer.
    to_bytes(body, most).await.map_err(|_| too_long())
}

fn parsed(body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| {
        AwsError::new(
            400,
            "SerializationException",
            format!("The body is not valid JSON: {error}"),
        )
    })
}

/// The request as the API below `/_apis/STACK` sees it.
fn below(parts: &Parts, path: &str, body: Bytes) -> Option<Request> {
    let path_and_query = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let uri = Uri::from(PathAndQuery::try_from(path_and_query).ok()?);
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = parts.headers.clone();
    Some(request)
}

fn query(body: &[u8], request_id: &str) -> Response {
    let body = String::from_utf8_lossy(body);
    let action = body
        .split('&')
        .find_map(|pair| pair.strip_prefix("Action="))
        .unwrap_or_default();
    if action == "GetCallerIdentity" {
        return respond(StatusCode::OK, "text/xml", sts::caller_identity(request_id));
    }
    let message = format!(
        "patterns-local does not offer the action '{action}' in the query protocol, only GetCallerIdentity. For SQS use a client that speaks AWS JSON 1.0."
    );
    failure(
        Protocol::Query,
        &AwsError::new(400, "InvalidAction", message),
        request_id,
    )
}
