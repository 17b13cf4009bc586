//! From what a function answers to an HTTP API, payload format 2.0, to a response.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::http::{HeaderValue, Response, header};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status_code: u16,
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// What is wrong with a function's answer.
#[derive(Debug, thiserror::Error)]
pub enum NotAReply {
    /// It is not the JSON object that an HTTP API expects.
    #[error("its answer is not that of an HTTP function")]
    Shape(#[from] serde_json::Error),
    /// The body is said to be base64, and is not.
    #[error("its answer's body is not base64")]
    Body(#[from] base64::DecodeError),
    /// A status, header or cookie that HTTP does not allow.
    #[error("its answer is not HTTP")]
    Http(#[from] lambda_http::http::Error),
}

/// The response that `payload` describes.
pub fn response(payload: &[u8]) -> Result<Response<Vec<u8>>, NotAReply> {
    let reply: Reply = serde_json::from_slice(payload)?;
    let body = reply.body.unwrap_or_default();
    let body = if reply.is_base64_encoded {
        STANDARD.decode(body)?
    } else {
        body.into_bytes()
    };
    let mut response = Response::builder().status(reply.status_code);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    for cookie in &reply.cookies {
        let cookie = HeaderValue::from_str(cookie).map_err(lambda_http::http::Error::from)?;
        response = response.header(header::SET_COOKIE, cookie);
    }
    Ok(response.body(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_becomes_a_response_and_anything_else_an_error() {
        let reply = response(
            br#"{"statusCode":201,"headers":{"x-a":"b"},"multiValueHeaders":{},"cookies":["s=1","t=2"],
                "body":"aGk=","isBase64Encoded":true}"#,
        )
        .unwrap();
        assert_eq!(reply.status(), 201);
        assert_eq!(reply.headers()["x-a"], "b");
        assert_eq!(reply.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(reply.body(), b"hi");
        for wrong in [
            "",
            "null",
            "{}",
            r#"{"statusCode":"x"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":200,"body":"?","isBase64Encoded":true}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
        ] {
            assert!(response(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
