//! Who may come in: the local cloud is not open to web pages.
//!
//! A page in the user's browser can reach loopback. What gives it away is its `Origin`, or, after DNS rebinding, a `Host` that
//! is not loopback; and a plain form cannot sign. The credentials' values are not checked.

use axum::http::{HeaderMap, header};

use crate::error::AwsError;

/// What a request must bring beyond a loopback `Host` and no `Origin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A signature, as every AWS API asks for one.
    Signed,
    /// Nothing: the URL of an HTTP API is public on AWS too.
    Public,
}

/// Decides on a request by its headers and query.
pub fn admit(
    headers: &HeaderMap,
    query: Option<&str>,
    admission: Admission,
) -> Result<(), AwsError> {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    if headers.get_all(header::HOST).iter().count() != 1 || !is_loopback(host) {
        return Err(AwsError::new(
            403,
            "AccessDeniedException",
            format!(
                "patterns-local answers on loopback only, not for the host '{host}'. Use http://127.0.0.1 with its port."
            ),
        ));
    }
    if headers.contains_key(header::ORIGIN) {
        return Err(AwsError::new(
            403,
            "AccessDeniedException",
            "patterns-local refuses requests with an Origin header, because they come from web pages.",
        ));
    }
    if admission == Admission::Signed && !is_signed(headers, query) {
        return Err(AwsError::new(
            403,
            "MissingAuthenticationToken",
            "Missing Authentication Token",
        ));
    }
    Ok(())
}

/// `127.0.0.1`, `localhost` or `[::1]`, with or without a port.
fn is_loopback(host: &str) -> bool {
    let (name, rest) = match host.strip_prefix("[::1]") {
        Some(rest) => ("[::1]", rest),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = rest.is_empty()
        || rest
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok());
    port && (name == "127.0.0.1" || name == "[::1]" || name.eq_ignore_ascii_case("localhost"))
}

/// Whether a `SigV4` signature is there, as header or in the query ("Signature Version 4 request elements").
fn is_signed(headers: &HeaderMap, query: Option<&str>) -> bool {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let by_header = header.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 "));
    let names: Vec<_> = query
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, _)| name)
        .collect();
    by_header || (names.contains(&"X-Amz-Signature") && names.contains(&"X-Amz-Credential"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::HeaderName;

    use super::*;

    const SIGNED: (&str, &str) = ("authorization", "AWS4-HMAC-SHA256 Credential=a/b");

    fn outcome(
        headers: &[(&str, &str)],
        query: Option<&str>,
        admission: Admission,
    ) -> Option<&'static str> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        admit(&map, query, admission).err().map(|error| {
            assert_eq!(error.status, 403);
            error.code
        })
    }

    #[test]
    fn only_loopback_hosts_come_in() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:4566",
            "localhost",
            "LOCALHOST:1",
            "[::1]",
            "[::1]:4566",
        ] {
            assert_eq!(
                outcome(&[("host", host), SIGNED], None, Admission::Signed),
                None,
                "{host}"
            );
        }
        for host in [
            "",
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil.example:4566",
            "127.0.0.1:x",
            "127.0.0.1:",
            "0.0.0.0",
            "127.0.0.2",
            "[::1]evil",
            "[::2]",
            "user@127.0.0.1",
            "127.0.0.1:4566:1",
            "127.0.0.1:99999",
        ] {
            for admission in [Admission::Signed, Admission::Public] {
                assert_eq!(
                    outcome(&[("host", host), SIGNED], None, admission),
                    Some("AccessDeniedException"),
                    "{host}"
                );
            }
        }
        assert_eq!(
            outcome(&[SIGNED], None, Admission::Signed),
            Some("AccessDeniedException")
        );
        let two = [("host", "127.0.0.1"), ("host", "evil.example"), SIGNED];
        assert_eq!(
            outcome(&two, None, Admission::Signed),
            Some("AccessDeniedException")
        );
    }

    #[test]
    fn no_origin_comes_in_not_even_our_own() {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:4566", ""] {
            for admission in [Admission::Signed, Admission::Public] {
                let headers = [("host", "127.0.0.1"), SIGNED, ("origin", origin)];
                assert_eq!(
                    outcome(&headers, None, admission),
                    Some("AccessDeniedException"),
                    "{origin}"
                );
            }
        }
    }

    #[test]
    fn the_aws_api_asks_for_a_signature_and_an_http_api_does_not() {
        let host = ("host", "127.0.0.1:4566");
        let token = "MissingAuthenticationToken";
        let presigned = Some("X-Amz-Credential=a%2Fb&X-Amz-Signature=c");
        for (headers, query, expected) in [
            (vec![host], None, Some(token)),
            (vec![host, SIGNED], None, None),
            (vec![host, ("authorization", "Bearer x")], None, Some(token)),
            (
                vec![host, ("authorization", "AWS4-HMAC-SHA256")],
                None,
                Some(token),
            ),
            (vec![host], presigned, None),
            (vec![host], Some("X-Amz-Signature=c"), Some(token)),
            (
                vec![host],
                Some("X-Amz-Credential=&X-Amz-Signature="),
                Some(token),
            ),
        ] {
            assert_eq!(
                outcome(&headers, query, Admission::Signed),
                expected,
                "{headers:?} {query:?}"
            );
        }
        assert_eq!(outcome(&[host], None, Admission::Public), None);
    }
}
