//! The one listener: every request passes the door, is read within its limit, and goes to its service.

mod answer;
mod body;
mod query;
mod struck;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderValue, StatusCode, Uri, request::Parts, uri::PathAndQuery},
    response::Response,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::answer::{OTHER, answered, cbor, failure, protocol, reply};
pub use self::body::Room;
use crate::{
    admin::Admin,
    cloudwatch::Metrics,
    door::{self, Admission},
    dynamodb::Dynamo,
    error::AwsError,
    http_api::HttpApis,
    lambda::Lambda,
    logs::Logs,
    route::Route,
    sqs::Sqs,
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
    /// What tests steer, where they may.
    pub admin: Option<Admin>,
    /// Ends requests that are still waiting when the emulator stops.
    pub stop: CancellationToken,
    /// For the bodies of requests.
    pub room: Room,
}

/// A request past the door, read whole.
struct Call<'a> {
    route: Route<'a>,
    parts: &'a Parts,
    path: &'a str,
    body: Bytes,
    request_id: &'a str,
}

impl Front {
    /// Answers one request.
    pub async fn enter(&self, request: Request) -> Response {
        let request_id = Uuid::new_v4().to_string();
        let served = self
            .stop
            .run_until_cancelled(self.serve(request, &request_id))
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

    async fn serve(&self, request: Request, request_id: &str) -> Response {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let route = match Route::of(&parts.method, path, &parts.headers) {
            Route::Admin(_) if self.admin.is_none() => Route::UnknownPath,
            route => route,
        };
        let protocol = protocol(&route);
        let admission = match route {
            Route::HttpApi { .. } | Route::Admin(_) => Admission::Public,
            _ => Admission::Signed,
        };
        if let Err(refused) = door::admit(&parts.headers, parts.uri.query(), admission) {
            return failure(protocol, &refused, request_id);
        }
        let most = route.max_body();
        let body = match body::read(&self.room, &parts.headers, body, most).await {
            // An HTTP API hands the body on as it came.
            Ok(body) if admission == Admission::Public => Ok(body),
            Ok(body) => body::unpacked(&parts.headers, body, most),
            Err(error) => Err(error),
        };
        let body = match body {
            Ok(body) => body,
            Err(error) => return failure(protocol, &error, request_id),
        };
        let call = Call {
            route,
            parts: &parts,
            path,
            body,
            request_id,
        };
        match &self.admin {
            Some(admin) => self.through_faults(call, &admin.faults).await,
            None => self.answer(call).await,
        }
    }

    async fn answer(&self, call: Call<'_>) -> Response {
        let protocol = protocol(&call.route);
        let Call {
            route,
            parts,
            path,
            body,
            request_id,
        } = call;
        match route {
            Route::Sqs(operation) => {
                let answer = self.sqs.handle(operation, &body).await;
                answered(protocol, answer, request_id)
            }
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
                    .handle(&parts.method, path, parts.uri.query(), &parts.headers, body)
                    .await
            }
            Route::HttpApi { stack, path } => match below(parts, path, body) {
                Some(request) => self.http_apis.handle(stack, request).await,
                None => failure(
                    protocol,
                    &AwsError::new(400, "BadRequestException", "The path is not valid."),
                    request_id,
                ),
            },
            Route::Query => query::serve(&self.metrics, &body, request_id),
            Route::Admin(path) => match &self.admin {
                Some(admin) => admin.handle(parts, path, &body),
                None => failure(protocol, &nothing_here(parts), request_id),
            },
            Route::UnknownTarget(target) => {
                let message = format!("patterns-local does not offer {target}.");
                failure(
                    protocol,
                    &AwsError::new(400, "UnknownOperationException", message),
                    request_id,
                )
            }
            Route::UnknownPath => failure(protocol, &nothing_here(parts), request_id),
        }
    }
}

fn nothing_here(parts: &Parts) -> AwsError {
    let message = format!(
        "patterns-local offers nothing at {} {}. It speaks SQS, Lambda, DynamoDB, CloudWatch, CloudWatch Logs and STS.",
        parts.method,
        parts.uri.path()
    );
    AwsError::new(404, "UnknownOperationException", message)
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
