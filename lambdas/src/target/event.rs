//! From a call to the event of an HTTP API, payload format 2.0
//! ([Lambda proxy integrations](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html)).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::header;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Call;

/// The event for `call`.
pub fn event(call: &Call) -> Value {
    let header = |name: &str| {
        call.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut headers = Map::new();
    for name in call.headers.keys().filter(|name| *name != header::COOKIE) {
        let values: Vec<_> = call
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers.insert(name.to_string(), values.join(",").into());
    }
    let cookies: Vec<_> = header("cookie")
        .split(';')
        .map(str::trim)
        .filter(|cookie| !cookie.is_empty())
        .collect();
    let (body, is_base64) = match std::str::from_utf8(&call.body) {
        Ok("") => (Value::Null, false),
        Ok(text) => (Value::from(text), false),
        Err(_) => (STANDARD.encode(&call.body).into(), true),
    };
    // The last address is the one that the HTTP API itself saw.
    let source_ip = header("x-forwarded-for").rsplit(',').next();
    json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": call.path,
        "rawQueryString": call.query,
        "cookies": cookies,
        "headers": headers,
        "requestContext": {
            "http": {
                "method": call.method.as_str(),
                "path": call.path,
                "protocol": "HTTP/1.1",
                "sourceIp": source_ip.unwrap_or_default().trim(),
                "userAgent": header("user-agent"),
            },
            "requestId": Uuid::new_v4().to_string(),
            "routeKey": "$default",
            "stage": "$default",
        },
        "body": body,
        "isBase64Encoded": is_base64,
    })
}

#[cfg(test)]
mod tests {
    use lambda_http::http::{HeaderValue, Method};
    use lambda_http::{Body, RequestExt as _};

    use super::*;

    /// The crate that serves our functions is the reader.
    #[test]
    fn the_event_is_the_request_again() {
        let mut call = Call::get("/auth/a%2Fb", "c-1");
        call.method = Method::POST;
        call.query = "x=1&x=2".to_owned();
        call.headers
            .insert("x-two", HeaderValue::from_static("one"));
        call.headers
            .append("x-two", HeaderValue::from_static("two"));
        call.headers
            .insert("cookie", HeaderValue::from_static("a=1; b=2"));
        call.body = b"{\"a\":1}".to_vec();
        let read = lambda_http::request::from_str(&event(&call).to_string()).unwrap();
        assert_eq!(read.method(), Method::POST);
        assert_eq!(read.raw_http_path(), "/auth/a%2Fb");
        assert_eq!(read.uri().query(), Some("x=1&x=2"));
        assert_eq!(read.headers()["x-two"], "one,two");
        assert_eq!(read.headers()["cookie"], "a=1; b=2");
        assert_eq!(read.headers()["x-correlation-id"], "c-1");
        assert_eq!(read.body(), &Body::Text("{\"a\":1}".to_owned()));

        call.body = vec![0xff, 0];
        let read = lambda_http::request::from_str(&event(&call).to_string()).unwrap();
        assert_eq!(read.body(), &Body::Binary(vec![0xff, 0]));
    }
}
