//! What a service says of itself at `GET /health`.

use std::time::Instant;

use jiff::Timestamp;
use lambda_http::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

/// How well a service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Everything it needs is there.
    Healthy,
    /// Something it needs is missing, and something works.
    Degraded,
    /// Nothing works.
    Unhealthy,
}

impl Status {
    /// Of checks: `true` where one passed.
    fn of(checks: &[(&str, bool)]) -> Self {
        if checks.iter().all(|(_, passed)| *passed) {
            Self::Healthy
        } else if checks.iter().any(|(_, passed)| *passed) {
            Self::Degraded
        } else {
            Self::Unhealthy
        }
    }
}

/// The answer to `GET /health`: 200, or 503 when nothing works. `started` is when this environment began.
#[must_use]
pub fn report(service: &str, started: Instant, checks: &[(&str, bool)]) -> (StatusCode, Value) {
    let status = Status::of(checks);
    let code = match status {
        Status::Healthy | Status::Degraded => StatusCode::OK,
        Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let checks: Map<String, Value> = checks
        .iter()
        .map(|(name, passed)| {
            let word = if *passed { "ok" } else { "failed" };
            ((*name).to_owned(), word.into())
        })
        .collect();
    let report = serde_json::json!({
        "status": status,
        "service": service,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime": started.elapsed().as_secs(),
        "timestamp": Timestamp::now(),
        "checks": checks,
    });
    (code, report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_as_well_as_what_it_needs() {
        let of = |checks: &[(&str, bool)]| {
            let (code, report) = report("auth", Instant::now(), checks);
            (code.as_u16(), report["status"].as_str().unwrap().to_owned())
        };
        assert_eq!(of(&[]), (200, "healthy".to_owned()));
        assert_eq!(
            of(&[("a", true), ("b", false)]),
            (200, "degraded".to_owned())
        );
        assert_eq!(of(&[("a", false)]), (503, "unhealthy".to_owned()));
    }
}
