//! HTTP on the daemon's Unix socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::IncomingStream;
use axum::{Json, Router};
use futures::Stream;
use futures::stream::unfold;
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Envelope, Hello};
use patterns_core::snapshot::Snapshot;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::command::Commands;
use crate::replies::Replies;

/// A request is small; the largest imports a message of 1 MiB, of which JSON may escape every byte with six.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// At most four snapshots a second.
const BETWEEN: Duration = Duration::from_millis(250);

/// A line at least this often, so that a reader can tell a quiet daemon from a dead one.
const LIVENESS: Duration = Duration::from_secs(15);

/// What the handlers work with.
#[derive(Clone)]
pub struct Api {
    /// Does what is asked.
    pub commands: Commands,
    /// What was answered.
    pub replies: Replies,
    /// Who answers.
    pub hello: Arc<Hello>,
    /// Ends the streams.
    pub stop: CancellationToken,
}

/// The client's process, as the kernel knows it.
#[derive(Clone, Copy, Debug)]
struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self {
            uid: stream.io().peer_cred().ok().map(|peer| peer.uid()),
        }
    }
}

/// Serves until `stop`, then lets requests under way finish.
pub async fn serve(api: Api, listener: UnixListener) -> std::io::Result<()> {
    let stop = api.stop.clone();
    let router = Router::new()
        .route("/v1/hello", get(hello))
        .route("/v1/snapshot", get(snapshot))
        .route("/v1/watch", get(watch))
        .route("/v1/requests", post(request))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(api)
        .into_make_service_with_connect_info::<Peer>();
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

/// A problem as an HTTP answer.
struct Refused(Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.0)).into_response()
    }
}

async fn hello(State(api): State<Api>) -> Json<Hello> {
    let account_id = api.commands.state.snapshot().account_id.clone();
    Json(Hello {
        account_id: (!account_id.is_empty()).then_some(account_id),
        ..Hello::clone(&api.hello)
    })
}

async fn snapshot(State(api): State<Api>) -> Json<Snapshot> {
    Json(Snapshot::clone(&api.commands.state.snapshot()))
}

async fn watch(State(api): State<Api>) -> Response {
    let lines = lines(api.commands.state.snapshots(), api.stop, BETWEEN, LIVENESS);
    let body = Body::from_stream(lines);
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Snapshots as lines: the first at once, then the latest whenever there is a new one.
fn lines(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    stop: CancellationToken,
    between: Duration,
    liveness: Duration,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    snapshots.mark_changed();
    unfold(
        (snapshots, stop, None::<Instant>),
        move |(mut snapshots, stop, last)| async move {
            let next = async {
                if let Some(last) = last {
                    tokio::time::sleep_until(last + between).await;
                }
                match tokio::time::timeout(liveness, snapshots.changed()).await {
                    Ok(Err(_)) => None,
                    Ok(Ok(())) | Err(_) => Some(snapshots.borrow_and_update().clone()),
                }
            };
            let snapshot = stop.run_until_cancelled(next).await??;
            let mut line = serde_json::to_vec(&*snapshot).ok()?;
            line.push(b'\n');
            Some((Ok(line.into()), (snapshots, stop, Some(Instant::now()))))
        },
    )
}

async fn request(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Response {
    let usage = |why: String| {
        Refused(Problem::new(
            ProblemKind::Usage,
            "the request cannot be understood",
            why,
            "send one JSON envelope of at most 8 MiB: {\"id\": …, \"request\": {\"verb\": …}}",
        ))
    };
    let envelope: Envelope = match body {
        Ok(body) => match serde_json::from_slice(&body) {
            Ok(envelope) => envelope,
            Err(error) => return usage(error.to_string()).into_response(),
        },
        Err(rejection) => return usage(rejection.body_text()).into_response(),
    };
    let commands = api.commands;
    let work = move |request| async move { commands.carry_out(request, peer.uid).await };
    match api.replies.answer(envelope, work).await {
        Ok(reply) => Json(reply).into_response(),
        Err(problem) => Refused(problem).into_response(),
    }
}

async fn unknown(method: axum::http::Method, uri: axum::http::Uri) -> Refused {
    Refused(Problem::new(
        ProblemKind::NotFound,
        format!("there is no {method} {}", uri.path()),
        "the daemon answers GET /v1/hello, GET /v1/snapshot, GET /v1/watch and POST /v1/requests",
        "",
    ))
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, pin_mut};

    use super::*;
    use crate::state::beginning;

    #[tokio::test]
    async fn the_latest_snapshot_wins_and_silence_shows_life() {
        let (sender, receiver) = watch::channel(Arc::new(beginning("r0")));
        let stop = CancellationToken::new();
        let between = Duration::from_millis(50);
        let liveness = Duration::from_millis(150);
        let lines = lines(receiver, stop.clone(), between, liveness);
        pin_mut!(lines);
        let region = |line: Bytes| serde_json::from_slice::<Snapshot>(&line).unwrap().region;
        let start = Instant::now();
        assert_eq!(region(lines.next().await.unwrap().unwrap()), "r0");
        sender.send_replace(Arc::new(beginning("r1")));
        sender.send_replace(Arc::new(beginning("r2")));
        assert_eq!(region(lines.next().await.unwrap().unwrap()), "r2");
        assert!(start.elapsed() >= between);
        // Nothing new: the same again, as a sign of life.
        assert_eq!(region(lines.next().await.unwrap().unwrap()), "r2");
        assert!(start.elapsed() >= between + liveness);
        stop.cancel();
        assert!(lines.next().await.is_none());
    }
}
