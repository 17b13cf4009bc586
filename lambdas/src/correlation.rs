//! Correlation ids: one name for everything that follows from one request.

use lambda_http::http::HeaderMap;
use uuid::Uuid;

/// The header that carries it, in requests and in every answer.
pub const HEADER: &str = "x-correlation-id";

/// The caller's id where it is at most 128 characters of `[A-Za-z0-9._-]`, else a new one.
#[must_use]
pub fn from_headers(headers: &HeaderMap) -> String {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_valid(id))
        .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Whether `id` can be passed on: at most 128 characters of `[A-Za-z0-9._-]`.
#[must_use]
pub fn is_valid(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_id_is_kept_and_a_bad_one_replaced() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, value.parse().unwrap());
            from_headers(&headers)
        };
        assert_eq!(with("order-7_a.b"), "order-7_a.b");
        for bad in ["", "two words", &"x".repeat(129), "a\tb"] {
            assert_ne!(with(bad), bad);
        }
    }
}
