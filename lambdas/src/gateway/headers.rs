//! Headers on their way through the gateway: those of one connection stay behind, those that say where a request came from
//! are added.

use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::correlation;

/// Meant for the next hop only (RFC 9110, section 7.6.1), or found out anew for each connection.
const OF_ONE_HOP: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers for the service: what the client sent, and who it was. What a client says of the gateway's own is replaced.
#[must_use]
pub fn forwarded(mut headers: HeaderMap, correlation_id: &str, source_ip: &str) -> HeaderMap {
    let host = headers.get(header::HOST).cloned();
    end_hop(&mut headers);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set(correlation::HEADER, correlation_id);
    set("x-forwarded-by", "gateway");
    if let Some(host) = host {
        headers.insert("x-forwarded-host", host);
    }
    // The HTTP API has put the client's address there already; without one, it is put there here.
    if !headers.contains_key("x-forwarded-for")
        && let Ok(source_ip) = HeaderValue::from_str(source_ip)
    {
        headers.insert("x-forwarded-for", source_ip);
    }
    headers
}

/// Removes what was meant for one connection, also where `Connection` names it.
pub fn end_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_ONE_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_ends_and_the_way_is_named() {
        let mut given = HeaderMap::new();
        for (name, value) in [
            ("host", "api.example"),
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-forwarded-by", "somebody"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-correlation-id", "theirs and wrong"),
            ("authorization", "Bearer t"),
        ] {
            given.append(name, value.parse().unwrap());
        }
        let sent = forwarded(given, "c-1", "192.0.2.9");
        let expected = [
            ("x-forwarded-by", "gateway"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "api.example"),
            ("x-correlation-id", "c-1"),
            ("authorization", "Bearer t"),
        ];
        assert_eq!(sent.len(), expected.len(), "{sent:?}");
        for (name, value) in expected {
            assert_eq!(sent[name], value);
        }
        let sent = forwarded(HeaderMap::new(), "c-1", "192.0.2.9");
        assert_eq!(sent["x-forwarded-for"], "192.0.2.9");
    }
}
