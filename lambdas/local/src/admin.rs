//! The path `/_patterns/`, which AWS does not have: faults, the clock, and the witness, for tests. Off by default.
//!
//! ```text
//! GET  /_patterns/faults     the rules, with how many calls each saw and struck
//! PUT  /_patterns/faults     {"seed": 1, "rules": [{"service": "sqs", "operation": "SendMessageBatch", "resource": "orders",
//!                             "share": 0.1, "after": 0, "times": 5, "fault": {"kind": "error", "error": "throttling"}}]}
//! GET  /_patterns/clock      {"now": "…", "ahead_ms": 0}
//! POST /_patterns/clock      {"advance_ms": 180000}
//! GET  /_patterns/witness    the log of every message's life, one JSON object a line; ?from=BYTES leaves out what was read
//! ```
//!
//! Faults are `delay` (`ms`), `error` and `entries` (`error`, one of `throttling`, `internal`, `unavailable`, `access_denied`,
//! `expired_token`, `receipt_expired`; `entries` takes a `share` of its own), `reset` and `truncate`. A rule without `service`,
//! `operation` or `resource` is about all of them. `PUT` with no rules ends all faults.

use std::{
    io::{Seek, SeekFrom},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{Method, StatusCode, header, request::Parts},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio_util::io::ReaderStream;

use crate::{
    clock::Clock,
    faults::{Faults, Rule},
    witness::Witness,
};

/// What tests steer and read. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// What goes wrong.
    pub faults: Faults,
    /// The time all services go by.
    pub clock: Clock,
    /// What happened to each message.
    pub witness: Witness,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFaults {
    #[serde(default)]
    seed: u64,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveClock {
    advance_ms: u64,
}

impl Admin {
    /// Answers a request below `/_patterns/`.
    pub(crate) fn handle(&self, parts: &Parts, path: &str, body: &Bytes) -> Response {
        let answer = match (&parts.method, path) {
            (&Method::GET, "faults") => Ok(json!({ "rules": self.faults.rules() })),
            (&Method::PUT, "faults") => self.set_faults(body),
            (&Method::GET, "clock") => Ok(self.time()),
            (&Method::POST, "clock") => self.move_clock(body),
            (&Method::GET, "witness") => return self.log(parts.uri.query()),
            (method, path) => Err(format!(
                "{method} /_patterns/{path} is nothing here; there are GET and PUT faults, GET and POST clock, GET witness"
            )),
        };
        match answer {
            Ok(answer) => json_of(StatusCode::OK, &answer),
            Err(message) => refused(&message),
        }
    }

    fn set_faults(&self, body: &[u8]) -> Result<Value, String> {
        let SetFaults { seed, rules } = serde_json::from_slice(body)
            .map_err(|error| format!("the rules are not right: {error}"))?;
        self.faults
            .set(seed, rules)
            .map_err(|unfit| unfit.to_string())?;
        Ok(json!({ "rules": self.faults.rules() }))
    }

    fn move_clock(&self, body: &[u8]) -> Result<Value, String> {
        let MoveClock { advance_ms } = serde_json::from_slice(body)
            .map_err(|error| format!("the move is not right: {error}"))?;
        self.clock
            .advance(Duration::from_millis(advance_ms))
            .map_err(|error| error.to_string())?;
        Ok(self.time())
    }

    fn time(&self) -> Value {
        let ahead = u64::try_from(self.clock.ahead().as_millis()).unwrap_or(u64::MAX);
        json!({ "now": self.clock.now().to_string(), "ahead_ms": ahead })
    }

    fn log(&self, query: Option<&str>) -> Response {
        let from = query.map(|query| query.strip_prefix("from=").map(str::parse));
        let from = match from {
            None => 0,
            Some(Some(Ok(from))) => from,
            Some(_) => return refused("only from=BYTES can be asked for, a number of bytes"),
        };
        let file = self.witness.file().and_then(|file| {
            let Some((mut file, length)) = file else {
                return Ok(None);
            };
            file.seek(SeekFrom::Start(from))?;
            Ok(Some((file, length.saturating_sub(from))))
        });
        match file {
            Ok(file) => {
                let body = file.map_or_else(Body::empty, |(file, length)| {
                    // What is told meanwhile may be half written.
                    let lines = tokio::fs::File::from_std(file).take(length);
                    Body::from_stream(ReaderStream::new(lines))
                });
                let mut response = Response::new(body);
                response.headers_mut().insert(
                    header::CONTENT_TYPE,
                    header::HeaderValue::from_static("application/x-ndjson"),
                );
                response
            }
            Err(error) => json_of(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "message": format!("the witness cannot be read: {error}") }),
            ),
        }
    }
}

fn refused(message: &str) -> Response {
    json_of(StatusCode::BAD_REQUEST, &json!({ "message": message }))
}

fn json_of(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}
