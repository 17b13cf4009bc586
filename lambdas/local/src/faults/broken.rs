//! Answers that do not arrive whole.

use std::io::{self, ErrorKind};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures::stream;

/// How the answer to a call that was carried out is lost. The listener looks for it among the response's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Reset,
    Truncated,
}

/// A response whose head promises all of `body` and which ends in the middle of it.
pub(crate) fn truncated(mut response: Response, body: &Bytes) -> Response {
    let half = body.slice(..body.len() / 2);
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let parts = stream::unfold(Some(half), |half| async {
        if let Some(half) = half {
            return Some((Ok(half), None));
        }
        // What was written so far is sent while this waits.
        tokio::task::yield_now().await;
        Some((Err(io::Error::from(ErrorKind::ConnectionAborted)), None))
    });
    *response.body_mut() = Body::from_stream(parts);
    response
}
