//! What a request holds: a body of JSON, ids in its path, and its idempotency key.

use lambda_http::http::header;
use lambda_http::{Request, RequestExt};
use patterns_core::task::InvalidField;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use super::Refusal;

/// Bodies of JSON are at most this long: what is handed on must fit an asynchronous invocation and a message (256 KB).
const BODY_MAX: usize = 128 * 1024;

/// Longer ids are nobody's, and keys of a table end at 2 048 bytes.
const ID_MAX: usize = 128;

/// The most that the IETF's draft of `Idempotency-Key` users send in practice; more would not fit a table's key.
const KEY_MAX: usize = 255;

/// The header by which a caller says that two requests are the same.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The body, which must be one JSON object. A request without a content type is taken at its body's word; one that names
/// another type, as curl does by itself, is refused with 415.
pub fn json_body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    if !is_json(request) {
        return Err(Refusal::unsupported_media_type("application/json"));
    }
    parse(body(request, BODY_MAX)?)
}

/// The body as bytes, at most `limit` of them.
pub fn body(request: &Request, limit: usize) -> Result<&[u8], Refusal> {
    let body: &[u8] = request.body();
    if body.len() > limit {
        return Err(Refusal::too_large(limit));
    }
    Ok(body)
}

/// The path parameter `name`. `None` where it cannot be anybody's id: empty, longer than ids are, or not text.
#[must_use]
pub fn path_id(request: &Request, name: &str) -> Option<String> {
    id(request.path_parameters_ref()?.first(name)?)
}

/// The id that a piece of a path stands for, decoded.
#[must_use]
pub fn id(raw: &str) -> Option<String> {
    let id = percent_decode_str(raw).decode_utf8().ok()?;
    is_id(&id).then(|| id.into_owned())
}

/// Whether it can be anybody's id. Longer ones must not be looked up: a table refuses them with an error.
#[must_use]
pub fn is_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len()) && !id.contains(char::is_control)
}

/// The caller's `Idempotency-Key`, if it sent one: 1 to 255 visible ASCII characters.
pub fn idempotency_key(request: &Request) -> Result<Option<String>, Refusal> {
    let Some(value) = request.headers().get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .filter(|key| {
            (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic())
        })
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            Refusal::BadRequest(format!(
                "Idempotency-Key must have 1 to {KEY_MAX} visible ASCII characters and no spaces"
            ))
        })
}

/// Whether the body may be JSON by its content type: `application/json`, `application/…+json`, or none given.
fn is_json(request: &Request) -> bool {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return true;
    };
    let Ok(value) = value.to_str() else {
        return false;
    };
    let kind = value.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind.is_empty()
        || kind == "application/json"
        || (kind.starts_with("application/") && kind.ends_with("+json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::BadRequest("Request body is required".to_owned()));
    }
    let invalid = || Refusal::BadRequest("Invalid JSON in request body".to_owned());
    // serde reads a list as a struct, field by field.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(Refusal::BadRequest(
            "Request body must be a JSON object".to_owned(),
        ));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        match error.inner().classify() {
            serde_json::error::Category::Data if field != "." => {
                Refusal::Invalid(vec![InvalidField {
                    field,
                    message: without_place(error.inner()),
                }])
            }
            serde_json::error::Category::Data => Refusal::BadRequest(format!(
                "Validation failed: {}",
                without_place(error.inner())
            )),
            _ => invalid(),
        }
    })?;
    json.end().map_err(|_| invalid())?;
    Ok(parsed)
}

/// What serde says, without ` at line 1 column 20`: the caller knows the field, and lines are ours to lay out.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use lambda_http::Body;
    use patterns_core::task::NewTask;

    use super::*;

    fn with_type(kind: Option<&str>, body: &str) -> Request {
        let mut request = Request::new(Body::from(body));
        if let Some(kind) = kind {
            let value = kind.parse().unwrap();
            request.headers_mut().insert(header::CONTENT_TYPE, value);
        }
        request
    }

    #[test]
    fn a_body_is_one_json_object_and_nothing_else() {
        let parse = |body: &str| {
            json_body::<NewTask>(&with_type(None, body))
                .map(|new| new.title)
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!(parse(" {\"title\": \"x\"}\n"), Ok("x".to_owned()));
        for (body, message) in [
            ("", "Request body is required"),
            (" \n", "Request body is required"),
            ("{", "Invalid JSON in request body"),
            (
                "{\"title\": \"x\"} {\"title\": \"y\"}",
                "Invalid JSON in request body",
            ),
            ("[\"x\"]", "Request body must be a JSON object"),
        ] {
            assert_eq!(parse(body), Err(message.to_owned()), "{body}");
        }
        let wrong = parse("{\"title\": 5}").unwrap_err();
        assert!(wrong.starts_with("Validation failed: title: "), "{wrong}");
    }

    #[test]
    fn other_content_types_are_refused_and_none_is_fine() {
        let refused = |kind| json_body::<NewTask>(&with_type(kind, "{\"title\": \"x\"}")).is_err();
        for good in [
            None,
            Some("application/json"),
            Some("Application/JSON; charset=utf-8"),
            Some("application/merge-patch+json"),
        ] {
            assert!(!refused(good), "{good:?}");
        }
        for bad in ["application/x-www-form-urlencoded", "text/plain", "json"] {
            assert!(refused(Some(bad)), "{bad}");
        }
    }

    #[test]
    fn a_body_over_the_limit_is_not_read() {
        let request = with_type(None, &"x".repeat(BODY_MAX + 1));
        let refusal = json_body::<NewTask>(&request).unwrap_err();
        assert!(refusal.to_string().contains("131072 bytes"), "{refusal}");
    }

    #[test]
    fn ids_are_decoded_and_absurd_ones_are_nobodys() {
        let id = |raw: &str| {
            let parameters = HashMap::from([("taskId".to_owned(), vec![raw.to_owned()])]);
            path_id(
                &Request::default().with_path_parameters(parameters),
                "taskId",
            )
        };
        assert_eq!(id("a%2Fb%20c").as_deref(), Some("a/b c"));
        for absurd in ["", &"x".repeat(129), "%00", "%FF", "a%0Ab"] {
            assert_eq!(id(absurd), None, "{absurd}");
        }
    }

    #[test]
    fn an_idempotency_key_is_visible_text() {
        let key = |value: &str| {
            let mut request = Request::default();
            let value = value.parse().unwrap();
            request.headers_mut().insert(IDEMPOTENCY_KEY, value);
            idempotency_key(&request)
        };
        assert!(idempotency_key(&Request::default()).unwrap().is_none());
        assert_eq!(key("order-7").unwrap().as_deref(), Some("order-7"));
        for bad in ["", "two words", &"x".repeat(256)] {
            assert!(key(bad).is_err(), "{bad}");
        }
    }
}
