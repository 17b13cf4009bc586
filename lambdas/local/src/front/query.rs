//! The query protocol: a form names the version of its service and the action.

use axum::{http::StatusCode, response::Response};

use super::answer::{Protocol, failure, respond};
use crate::{
    cloudwatch::{self, Metrics},
    error::AwsError,
    faults::Service,
    sts,
};

pub(super) fn serve(metrics: &Metrics, body: &[u8], request_id: &str) -> Response {
    let (service, action) = called(body);
    let (namespace, answer) = match (service, action) {
        (Service::CloudWatch, _) => {
            let answer = metrics.handle_query(action, form(body), request_id);
            (cloudwatch::NAMESPACE, answer)
        }
        (_, "GetCallerIdentity") => (sts::NAMESPACE, Ok(sts::caller_identity(request_id))),
        _ => (sts::NAMESPACE, Err(unknown(action))),
    };
    match answer {
        Ok(body) => respond(StatusCode::OK, "text/xml", body),
        Err(error) => failure(Protocol::Query(namespace), &error, request_id),
    }
}

/// The service and the action that a form asks for.
pub(super) fn called(body: &[u8]) -> (Service, &str) {
    let field = |name| {
        form(body)
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then_some(value))
            .unwrap_or_default()
    };
    let service = if field("Version") == cloudwatch::VERSION {
        Service::CloudWatch
    } else {
        Service::Sts
    };
    (service, field("Action"))
}

/// A form is ASCII; anything else asks for nothing.
fn form(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap_or_default()
}

fn unknown(action: &str) -> AwsError {
    let message = format!(
        "patterns-local does not offer the action '{action}' in the query protocol, only GetCallerIdentity of STS and the actions of CloudWatch. For SQS use a client that speaks AWS JSON 1.0."
    );
    AwsError::new(400, "InvalidAction", message)
}
