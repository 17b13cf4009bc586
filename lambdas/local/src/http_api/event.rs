//! From an HTTP request to the event a function gets, payload format 2.0
//! (API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs").

use std::collections::BTreeMap;

use axum::http::{HeaderMap, Method, Version, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::route::Route;
use crate::account;
use crate::percent;

/// A request and where it goes.
pub struct Incoming<'a> {
    /// The API's id.
    pub api_id: &'a str,
    /// The chosen route.
    pub route: &'a Route,
    /// Its parameters.
    pub path_parameters: BTreeMap<String, String>,
    /// As the client sent it, as all that follow.
    pub method: &'a Method,
    pub version: Version,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    /// Names the request.
    pub request_id: &'a str,
    /// For the function's tracing.
    pub trace_id: &'a str,
    /// When it arrived.
    pub time: Timestamp,
}

/// The listener is on this address only, and so are its clients.
const SOURCE_IP: &str = "127.0.0.1";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: &'a str,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: Context<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'static str,
    api_id: &'a str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: &'a str,
    protocol: String,
    source_ip: &'static str,
    user_agent: &'a str,
}

/// The event, as JSON.
pub fn event(request: Incoming<'_>) -> serde_json::Result<Bytes> {
    let text = |name: header::HeaderName| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let host = text(header::HOST);
    let route_key = request.route.key();
    let (body, is_base64_encoded) = body(request.body, text(header::CONTENT_TYPE));
    let mut headers = joined_headers(request.headers);
    headers.insert("x-amzn-trace-id".to_owned(), request.trace_id.to_owned());
    headers.insert("x-forwarded-for".to_owned(), SOURCE_IP.to_owned());
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    let event = Event {
        version: "2.0",
        route_key: &route_key,
        raw_path: request.path,
        raw_query_string: request.query,
        cookies: cookies(request.headers),
        headers,
        query_string_parameters: joined_query(request.query),
        request_context: Context {
            account_id: account::ACCOUNT_ID,
            api_id: request.api_id,
            domain_name: host,
            domain_prefix: host.split(['.', ':']).next().unwrap_or_default(),
            http: Http {
                method: request.method.as_str(),
                path: request.path,
                protocol: format!("{:?}", request.version),
                source_ip: SOURCE_IP,
                user_agent: text(header::USER_AGENT),
            },
            request_id: request.request_id,
            route_key: &route_key,
            stage: "$default",
            time: request.time.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            time_epoch: request.time.as_millisecond(),
        },
        path_parameters: request.path_parameters,
        body,
        is_base64_encoded,
    };
    serde_json::to_vec(&event).map(Bytes::from)
}

/// Names in lower case; several values of one name are joined by commas. Cookies have a field of their own.
fn joined_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .keys()
        .filter(|name| **name != header::COOKIE)
        .map(|name| {
            let values: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            (name.as_str().to_owned(), values.join(","))
        })
        .collect()
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes())
                .split(';')
                .map(|cookie| cookie.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|cookie| !cookie.is_empty())
        .collect()
}

fn joined_query(query: &str) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in percent::query_pairs(query) {
        joined
            .entry(name)
            .and_modify(|values| {
                values.push(',');
                values.push_str(&value);
            })
            .or_insert(value);
    }
    joined
}

/// Text types pass as text, everything else as base64.
fn body(body: &Bytes, content_type: &str) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let kind = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_text = kind.starts_with("text/")
        || matches!(
            kind.as_str(),
            "application/json" | "application/javascript" | "application/xml"
        );
    match std::str::from_utf8(body) {
        Ok(text) if is_text => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use axum::http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn event_of(query: &str, headers: &HeaderMap, content: &'static [u8]) -> Value {
        let route = Route {
            method: "POST".to_owned(),
            path: "/tasks/{taskId}".to_owned(),
            function: "f".to_owned(),
        };
        let event = event(Incoming {
            api_id: "abc",
            route: &route,
            path_parameters: BTreeMap::from([("taskId".to_owned(), "7".to_owned())]),
            method: &Method::POST,
            version: Version::HTTP_11,
            path: "/tasks/7",
            query,
            headers,
            body: &Bytes::from_static(content),
            request_id: "r-1",
            trace_id: "Root=1",
            time: Timestamp::from_second(1_583_348_638).unwrap(),
        });
        serde_json::from_slice(&event.unwrap()).unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_event_is_payload_format_2() {
        let headers = headers(&[
            ("host", "127.0.0.1:4566"),
            ("content-type", "application/json; charset=utf-8"),
            ("cookie", "a=1; b=2"),
            ("x-many", "1"),
            ("x-many", "2"),
            ("user-agent", "test"),
        ]);
        let event = event_of("p=1&p=2&q=a%20b", &headers, b"{\"title\":\"x\"}");
        assert_eq!(
            event,
            json!({
                "version": "2.0",
                "routeKey": "POST /tasks/{taskId}",
                "rawPath": "/tasks/7",
                "rawQueryString": "p=1&p=2&q=a%20b",
                "cookies": ["a=1", "b=2"],
                "headers": {
                    "content-type": "application/json; charset=utf-8",
                    "host": "127.0.0.1:4566",
                    "user-agent": "test",
                    "x-amzn-trace-id": "Root=1",
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-proto": "http",
                    "x-many": "1,2",
                },
                "queryStringParameters": {"p": "1,2", "q": "a b"},
                "requestContext": {
                    "accountId": "000000000000",
                    "apiId": "abc",
                    "domainName": "127.0.0.1:4566",
                    "domainPrefix": "127",
                    "http": {
                        "method": "POST",
                        "path": "/tasks/7",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "test",
                    },
                    "requestId": "r-1",
                    "routeKey": "POST /tasks/{taskId}",
                    "stage": "$default",
                    "time": "04/Mar/2020:19:03:58 +0000",
                    "timeEpoch": 1_583_348_638_000_i64,
                },
                "pathParameters": {"taskId": "7"},
                "body": "{\"title\":\"x\"}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn bodies_that_are_no_text_pass_as_base64_and_empty_ones_not_at_all() {
        let event = event_of(
            "",
            &headers(&[("content-type", "application/octet-stream")]),
            b"\xff\x00",
        );
        assert_eq!(
            (&event["body"], &event["isBase64Encoded"]),
            (&json!("/wA="), &json!(true))
        );
        let event = event_of("", &headers(&[("content-type", "text/plain")]), b"\xff");
        assert_eq!(event["isBase64Encoded"], true);
        let event = event_of("", &headers(&[]), b"");
        assert!(event.get("body").is_none() && event.get("queryStringParameters").is_none());
    }
}
