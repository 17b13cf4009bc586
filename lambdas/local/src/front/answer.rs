//! How answers and errors are written, in each protocol's way.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::{Value, json};

use crate::{cloudwatch, error::AwsError, route::Route, sts, xml};

/// How the answer to an AWS request is written.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    /// AWS JSON with its content type and the namespace of its errors.
    Json(&'static str, &'static str),
    Cbor,
    /// XML, with the namespace of its service.
    Query(&'static str),
}

const SQS: Protocol = Protocol::Json("application/x-amz-json-1.0", "com.amazonaws.sqs");
const CLOUDWATCH: Protocol =
    Protocol::Json("application/x-amz-json-1.0", "com.amazonaws.cloudwatch");
const LOGS: Protocol = Protocol::Json("application/x-amz-json-1.1", "com.amazonaws.logs");
pub(super) const OTHER: Protocol =
    Protocol::Json("application/x-amz-json-1.0", "com.amazon.coral.service");

pub(super) fn protocol(route: &Route) -> Protocol {
    match route {
        Route::Sqs(_) => SQS,
        Route::Logs(_) => LOGS,
        Route::CloudWatchCbor(_) => Protocol::Cbor,
        Route::CloudWatchJson(_) => CLOUDWATCH,
        Route::Query => Protocol::Query(sts::NAMESPACE),
        Route::DynamoDb
        | Route::Lambda
        | Route::HttpApi { .. }
        | Route::Admin(_)
        | Route::UnknownTarget(_)
        | Route::UnknownPath => OTHER,
    }
}

pub(super) fn reply(
    protocol: Protocol,
    answer: Result<Value, AwsError>,
    request_id: &str,
) -> Response {
    let answer = answer.map(|answer| answer.to_string().into());
    answered(protocol, answer, request_id)
}

/// As [`reply`], for an answer that is JSON text already.
pub(super) fn answered(
    protocol: Protocol,
    answer: Result<Vec<u8>, AwsError>,
    request_id: &str,
) -> Response {
    match (answer, protocol) {
        (Ok(answer), Protocol::Json(content_type, _)) => {
            respond(StatusCode::OK, content_type, answer)
        }
        (Ok(answer), _) => respond(StatusCode::OK, "application/json", answer),
        (Err(error), _) => failure(protocol, &error, request_id),
    }
}

/// An error in the words of its protocol ("AWS JSON 1.0 protocol: operation error serialization" and its siblings in the Smithy documentation).
pub(super) fn failure(protocol: Protocol, error: &AwsError, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match protocol {
        Protocol::Json(content_type, namespace) => {
            // Errors that no service models come from the framework below all of them.
            let namespace = if error.code.ends_with("Exception") && namespace == "com.amazonaws.sqs"
            {
                "com.amazon.coral.service"
            } else {
                namespace
            };
            let body = json!({ "__type": format!("{namespace}#{}", error.code), "message": error.message });
            respond(status, content_type, body.to_string())
        }
        Protocol::Cbor => cbor(status, cloudwatch::error_body(error)),
        Protocol::Query(namespace) => {
            let body = xml::error_response(namespace, error, request_id);
            return respond(status, "text/xml", body);
        }
    };
    let fault = error.fault();
    let headers = response.headers_mut();
    if let Ok(code) = HeaderValue::try_from(format!(
        "{};{fault}",
        error.query_code.unwrap_or(error.code)
    )) {
        headers.insert(HeaderName::from_static("x-amzn-query-error"), code);
    }
    // REST clients read the error's name here.
    headers.insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static(error.code),
    );
    response
}

pub(super) fn cbor(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = respond(status, "application/cbor", body);
    response.headers_mut().insert(
        HeaderName::from_static("smithy-protocol"),
        HeaderValue::from_static("rpc-v2-cbor"),
    );
    response
}

pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
