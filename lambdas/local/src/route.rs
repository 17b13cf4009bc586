//! Which service a request is for, decided by what AWS clients put into path and headers.

use axum::http::{HeaderMap, Method, header};

/// A request's destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// AWS JSON 1.0: the operation.
    Sqs(&'a str),
    /// AWS JSON 1.0: passed on whole.
    DynamoDb,
    /// AWS JSON 1.1: the operation.
    Logs(&'a str),
    /// Smithy RPC v2 CBOR: the operation.
    CloudWatchCbor(&'a str),
    /// AWS JSON 1.0: the operation.
    CloudWatchJson(&'a str),
    /// REST.
    Lambda,
    /// The stack whose HTTP API is called, and the path below its URL.
    HttpApi {
        /// Name of the stack.
        stack: &'a str,
        /// Begins with a slash.
        path: &'a str,
    },
    /// What AWS does not have: the path below `/_patterns/`.
    Admin(&'a str),
    /// The query protocol, a form in the body.
    Query,
    /// A JSON protocol for a service that is not here: the whole target.
    UnknownTarget(&'a str),
    /// Nothing that a client of these services sends.
    UnknownPath,
}

impl<'a> Route<'a> {
    /// Decides by method, path and headers.
    #[must_use]
    pub fn of(method: &Method, path: &'a str, headers: &'a HeaderMap) -> Self {
        if let Some(rest) = path.strip_prefix("/_apis/") {
            let (stack, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let path = if path.is_empty() { "/" } else { path };
            return Self::HttpApi { stack, path };
        }
        if let Some(path) = path.strip_prefix("/_patterns/") {
            return Self::Admin(path);
        }
        if path.starts_with("/functions") || is_dated(path) {
            return Self::Lambda;
        }
        if method != Method::POST {
            return Self::UnknownPath;
        }
        if let Some(operation) =
            path.strip_prefix("/service/GraniteServiceVersion20100801/operation/")
        {
            return Self::CloudWatchCbor(operation);
        }
        let text = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let target = text(header::HeaderName::from_static("x-amz-target"));
        match target.split_once('.') {
            Some(("AmazonSQS", operation)) => Self::Sqs(operation),
            Some(("DynamoDB_20120810" | "DynamoDBStreams_20120810", _)) => Self::DynamoDb,
            Some(("GraniteServiceVersion20100801", operation)) => Self::CloudWatchJson(operation),
            Some(("Logs_20140328", operation)) => Self::Logs(operation),
            _ if !target.is_empty() => Self::UnknownTarget(target),
            _ if text(header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") => {
                Self::Query
            }
            _ => Self::UnknownPath,
        }
    }

    /// Most bytes of a request's body.
    #[must_use]
    pub fn max_body(&self) -> usize {
        const MIB: usize = 1024 * 1024;
        match self {
            // Messages of 1 MiB in all, as JSON text: at worst each byte is an escape of six.
            Self::Sqs(_) => 8 * MIB,
            Self::DynamoDb => 16 * MIB,
            // A zip of 50 MB in Base64.
            Self::Lambda => 70 * MIB,
            // API Gateway's limit ("Amazon API Gateway quotas").
            Self::HttpApi { .. } => 10 * MIB,
            Self::Admin(_)
            | Self::Logs(_)
            | Self::CloudWatchCbor(_)
            | Self::CloudWatchJson(_)
            | Self::Query
            | Self::UnknownTarget(_)
            | Self::UnknownPath => MIB,
        }
    }
}

/// Whether the path begins with a date, as versions of REST services do: `/2015-03-31/`.
fn is_dated(path: &str) -> bool {
    let date = path
        .strip_prefix('/')
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default();
    date.len() == 10
        && date.starts_with("20")
        && date.bytes().enumerate().all(|(at, byte)| {
            if at == 4 || at == 7 {
                byte == b'-'
            } else {
                byte.is_ascii_digit()
            }
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(
            header::HeaderName::from_static(name),
            value.parse().unwrap(),
        )])
    }

    #[test]
    fn clients_are_told_apart_by_target_path_and_content_type() {
        let none = HeaderMap::new();
        let post = Method::POST;
        for (target, expected) in [
            ("AmazonSQS.SendMessage", Route::Sqs("SendMessage")),
            ("DynamoDB_20120810.GetItem", Route::DynamoDb),
            (
                "GraniteServiceVersion20100801.GetMetricData",
                Route::CloudWatchJson("GetMetricData"),
            ),
            (
                "Logs_20140328.FilterLogEvents",
                Route::Logs("FilterLogEvents"),
            ),
            (
                "Kinesis_20131202.PutRecord",
                Route::UnknownTarget("Kinesis_20131202.PutRecord"),
            ),
        ] {
            assert_eq!(
                Route::of(&post, "/", &headers("x-amz-target", target)),
                expected
            );
        }
        let form = headers(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        );
        assert_eq!(Route::of(&post, "/", &form), Route::Query);
        for (path, expected) in [
            (
                "/service/GraniteServiceVersion20100801/operation/GetMetricData",
                Route::CloudWatchCbor("GetMetricData"),
            ),
            ("/2015-03-31/functions", Route::Lambda),
            ("/2015-03-3x/functions", Route::UnknownPath),
            (
                "/_apis/leveling/tasks/1",
                Route::HttpApi {
                    stack: "leveling",
                    path: "/tasks/1",
                },
            ),
            (
                "/_apis/leveling",
                Route::HttpApi {
                    stack: "leveling",
                    path: "/",
                },
            ),
            ("/", Route::UnknownPath),
        ] {
            assert_eq!(Route::of(&post, path, &none), expected, "{path}");
        }
        assert_eq!(
            Route::of(&Method::GET, "/", &headers("x-amz-target", "AmazonSQS.X")),
            Route::UnknownPath
        );
    }
}
