//! Tokens: 256 random bits, which only the client keeps. The table has their SHA-256, so who reads it cannot act for anybody;
//! a slow hash would add nothing, because nobody guesses 256 bits.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lambda_http::http::{HeaderMap, header};

use crate::idempotency::answer::hash;

/// 32 bytes in base64.
const LENGTH: usize = 43;

/// A new token.
pub fn new() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What the table keeps of it.
#[must_use]
pub fn digest(token: &str) -> String {
    hash(token.as_bytes())
}

/// The token in `Authorization: Bearer …`, if what is there can be one.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    let is_token = token.len() == LENGTH
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (scheme.eq_ignore_ascii_case("bearer") && is_token).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_kept_as_its_digest() {
        let token = new().unwrap();
        assert_ne!(token, new().unwrap());
        let with = |value: String| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(with(format!("Bearer {token}")), Some(token.clone()));
        assert_eq!(with(format!("bearer  {token} ")), Some(token.clone()));
        for wrong in [
            token.clone(),
            format!("Basic {token}"),
            format!("Bearer {token}x"),
            format!("Bearer {}", &token[1..]),
            format!("Bearer {}", "%".repeat(43)),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
        ] {
            assert_eq!(with(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
