//! The daemon as a client meets it, while AWS does not answer: nothing of this may wait for AWS.

use std::net::TcpListener;
use std::path::Path;

use patterns_core::config::Config;
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Hello, PROTOCOL};
use patterns_core::snapshot::Snapshot;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{Settings, StateDir, run, socket};

struct Daemon {
    client: Client,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), Problem>>,
    dir: TempDir,
}

fn settings(state_dir: &Path, read_only: bool) -> Settings {
    // A port that was free just now: nobody listens on it.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    Settings {
        config: Config {
            region: Some("eu-west-1".to_owned()),
            endpoint_url: Some(format!("http://127.0.0.1:{port}")),
            read_only,
            ..Config::default()
        },
        state_dir: StateDir::take(state_dir.to_owned()).unwrap(),
    }
}

impl Daemon {
    fn start(read_only: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("daemon.sock");
        let bound = socket::bind(&path, false).unwrap();
        let settings = settings(&dir.path().join("state"), read_only);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(async move {
            let place = bound.place;
            let outcome = run(settings, bound.listener, async {
                let _ = stopped.await;
            })
            .await;
            drop(place);
            outcome
        });
        Self {
            client: Client::builder().unix_socket(path).build().unwrap(),
            stop,
            running,
            dir,
        }
    }

    async fn post(&self, body: String) -> (StatusCode, Problem) {
        let request = self.client.post("http://daemon/v1/requests").body(body);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn ask(&self, request: serde_json::Value) -> (StatusCode, Problem) {
        let id = uuid::Uuid::new_v4().to_string();
        self.post(json!({"id": id, "request": request}).to_string())
            .await
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap().unwrap();
        assert!(!self.dir.path().join("daemon.sock").exists());
    }
}

#[tokio::test]
async fn it_answers_and_says_why_it_sees_nothing() {
    let daemon = Daemon::start(false);
    let hello = daemon.client.get("http://daemon/v1/hello").send().await;
    let hello: Hello = hello.unwrap().json().await.unwrap();
    assert_eq!(hello.protocol, PROTOCOL);
    assert_eq!(hello.pid, std::process::id());
    assert_eq!(hello.region.as_deref(), Some("eu-west-1"));
    assert_eq!(hello.account_id, None);
    let mut watch = daemon
        .client
        .get("http://daemon/v1/watch")
        .send()
        .await
        .unwrap();
    let mut line = Vec::new();
    let problem = loop {
        let chunk = watch.chunk().await.unwrap().unwrap();
        line.extend_from_slice(&chunk);
        if line.last() != Some(&b'\n') {
            continue;
        }
        let snapshot: Snapshot = serde_json::from_slice(&line).unwrap();
        line.clear();
        if let Some(problem) = snapshot.problems.first() {
            break problem.clone();
        }
    };
    assert_eq!(problem.kind, ProblemKind::Upstream);
    assert!(!problem.why.is_empty());
    daemon.stop().await;
    // The stream ends with the daemon.
    assert!(!matches!(watch.chunk().await, Ok(Some(_))));
}

#[tokio::test]
async fn what_it_does_not_understand_is_refused() {
    let daemon = Daemon::start(false);
    for body in [
        String::new(),
        "{".to_owned(),
        json!({"id": "1", "request": {"verb": "fly"}}).to_string(),
        json!({"id": "1", "request": {"verb": "start", "plan_id": "x", "more": 1}}).to_string(),
        json!({"id": "", "request": {"verb": "refresh"}}).to_string(),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        " ".repeat(2 * 1024 * 1024),
    ] {
        let (status, problem) = daemon.post(body.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{body:.80}");
        assert_eq!(problem.kind, ProblemKind::Usage);
    }
    for path in ["/", "/v1/nothing", "/v1/requests"] {
        let url = format!("http://daemon{path}");
        let answer = daemon.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        let problem: Problem = answer.json().await.unwrap();
        assert!(problem.what.contains(path));
    }
    daemon.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let daemon = Daemon::start(false);
    for (request, status) in [
        (json!({"verb": "failed_show", "id": "xyz"}), 400),
        (json!({"verb": "failed_show", "id": "abc"}), 404),
        (json!({"verb": "failed_list", "limit": 0}), 400),
        (
            json!({"verb": "failed_list", "dead_letter_queue": "none"}),
            404,
        ),
        (
            json!({"verb": "plan", "dead_letter_queue": "none", "selection": "everything"}),
            404,
        ),
        (json!({"verb": "start", "plan_id": "none"}), 404),
        (json!({"verb": "operation", "id": "none"}), 404),
        (json!({"verb": "task_list"}), 400),
        (json!({"verb": "burst", "rate": 0.0, "count": 1}), 400),
    ] {
        let (answered, problem) = daemon.ask(request.clone()).await;
        assert_eq!(answered.as_u16(), status, "{request}: {problem}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_read_only_daemon_changes_nothing() {
    let daemon = Daemon::start(true);
    for request in [
        json!({"verb": "start", "plan_id": "x"}),
        json!({"verb": "task_create", "task": {"title": "x"}}),
        json!({"verb": "burst", "rate": 1.0, "count": 1}),
        json!({"verb": "set_delivery", "function": "f", "broken": true}),
    ] {
        let (status, problem) = daemon.ask(request).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(problem.kind, ProblemKind::ReadOnly);
    }
    daemon.stop().await;
}
