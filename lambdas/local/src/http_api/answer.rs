//! From what a function answers to an HTTP response, payload format 2.0
//! (API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs").

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// `{"message": …}`, as API Gateway says what went wrong.
pub fn message(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(json!({"message": message}))).into_response()
}

/// The response for `payload`. A JSON value without `statusCode` is the body of a 200; what is not JSON, or does not fit, is a 500.
pub fn response(payload: Bytes) -> Response {
    let parsed = serde_json::from_slice::<Value>(&payload);
    let response = match parsed {
        Ok(Value::Object(fields)) if fields.contains_key("statusCode") => described(&fields),
        Ok(_) => Some(([(header::CONTENT_TYPE, "application/json")], payload).into_response()),
        Err(_) => None,
    };
    response.unwrap_or_else(|| message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"))
}

fn described(fields: &Map<String, Value>) -> Option<Response> {
    let status = match fields.get("statusCode")? {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let is_base64 = fields
        .get("isBase64Encoded")
        .and_then(Value::as_bool)
        .unwrap_or(false);
    let body = match fields.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if is_base64 => STANDARD.decode(text).ok()?,
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(_) => return None,
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain;charset=UTF-8"),
    );
    for (name, value) in object(fields.get("headers"))? {
        let name: HeaderName = name.parse().ok()?;
        // The length is that of the body, whatever the function says.
        if name != header::CONTENT_LENGTH && name != header::TRANSFER_ENCODING {
            headers.insert(name, header_value(value)?);
        }
    }
    for cookie in fields
        .get("cookies")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        headers.append(header::SET_COOKIE, header_value(cookie)?);
    }
    Some(response)
}

fn object(value: Option<&Value>) -> Option<impl Iterator<Item = (&String, &Value)>> {
    match value {
        None | Some(Value::Null) => Some(None.into_iter().flatten()),
        Some(Value::Object(fields)) => Some(Some(fields.iter()).into_iter().flatten()),
        Some(_) => None,
    }
}

fn header_value(value: &Value) -> Option<HeaderValue> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        Value::Bool(flag) => flag.to_string().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::*;

    async fn answer(payload: &str) -> (u16, Vec<(String, String)>, String) {
        let response = response(Bytes::from(payload.to_owned()));
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX)
            .await
            .unwrap();
        (status, headers, String::from_utf8(body.to_vec()).unwrap())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[tokio::test]
    async fn a_described_response_is_sent_as_described() {
        let (status, headers, body) = answer(
            r#"{"statusCode":201,"headers":{"Content-Type":"application/json","X-N":7},"cookies":["a=1","b=2"],"body":"{}"}"#,
        )
        .await;
        assert_eq!((status, body.as_str()), (201, "{}"));
        for expected in [
            pair("content-type", "application/json"),
            pair("x-n", "7"),
            pair("set-cookie", "a=1"),
            pair("set-cookie", "b=2"),
        ] {
            assert!(headers.contains(&expected), "{headers:?}");
        }
        let (_, _, body) =
            answer(r#"{"statusCode":200,"isBase64Encoded":true,"body":"aGk="}"#).await;
        assert_eq!(body, "hi");
    }

    #[tokio::test]
    async fn json_without_status_is_the_body() {
        let (status, headers, body) = answer(r#"{"a":1.0}"#).await;
        assert_eq!((status, body.as_str()), (200, r#"{"a":1.0}"#));
        assert!(headers.contains(&pair("content-type", "application/json")));
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_an_error_of_the_server() {
        for payload in [
            "not json",
            r#"{"statusCode":"many"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":200,"body":{"a":1}}"#,
            r#"{"statusCode":200,"headers":{"bad name":"x"}}"#,
            r#"{"statusCode":200,"isBase64Encoded":true,"body":"%"}"#,
        ] {
            let (status, _, body) = answer(payload).await;
            assert_eq!(
                (status, body.as_str()),
                (500, r#"{"message":"Internal Server Error"}"#),
                "{payload}"
            );
        }
    }
}
