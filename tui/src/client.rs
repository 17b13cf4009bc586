//! The daemon's socket: hello, snapshots and requests. Problems say what to do next.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt};
use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::{Envelope, Hello, PROTOCOL, Reply, Request};
use patterns_core::snapshot::Snapshot;
use patterns_core::text;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::io::StreamReader;

/// Saying hello needs no AWS, so a daemon that is well answers at once; a command may take 1 s to say that it is not.
const HELLO_TIMEOUT: Duration = Duration::from_millis(800);

/// The daemon gives up on AWS before this.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A snapshot is bounded at about 500 bytes a resource; 16 MiB are more resources than an account may have.
const LINE_MAX: usize = 16 << 20;

/// How strings from the daemon are handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strings {
    /// Hostile characters made visible: for the dashboard and tables.
    Visible,
    /// As they are: for JSON, which escapes them.
    Exact,
}

/// A connection pool to one daemon.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    socket: PathBuf,
    strings: Strings,
}

impl Client {
    /// A client of the daemon at `socket`; connects later, with each call.
    pub fn new(socket: PathBuf, strings: Strings) -> Result<Self, Problem> {
        let http = reqwest::Client::builder()
            .unix_socket(socket.clone())
            .no_proxy()
            .build()
            .map_err(|error| {
                Problem::new(
                    ProblemKind::Internal,
                    "cannot make an HTTP client",
                    root(&error),
                    "",
                )
            })?;
        Ok(Self {
            http,
            socket,
            strings,
        })
    }

    /// The same with every string as it is: for what is sent back.
    pub fn exact(&self) -> Self {
        Self {
            strings: Strings::Exact,
            ..self.clone()
        }
    }

    /// Where the daemon is looked for.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Who answers; an error when it speaks another protocol.
    pub async fn hello(&self) -> Result<Hello, Problem> {
        let asked = self.http.get(url("hello")).timeout(HELLO_TIMEOUT);
        let value = self.call(asked).await?;
        // The number is read first: of another protocol nothing else can be relied on.
        let protocol = value.get("protocol").and_then(Value::as_u64);
        if protocol != Some(u64::from(PROTOCOL)) {
            return Err(self.other_protocol(&value));
        }
        self.decode(value)
    }

    /// Everything the daemon knows now.
    pub async fn snapshot(&self) -> Result<Snapshot, Problem> {
        let value = self
            .call(self.http.get(url("snapshot")).timeout(REQUEST_TIMEOUT))
            .await?;
        self.decode(value)
    }

    /// Snapshots as they change, the first at once, until the daemon ends.
    pub async fn watch(
        &self,
    ) -> Result<impl Stream<Item = Result<Snapshot, Problem>> + use<>, Problem> {
        let response = self
            .http
            .get(url("watch"))
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if !response.status().is_success() {
            let status = response.status();
            return Err(self.strange(&format!("it answered {status} to a request for snapshots")));
        }
        let bytes = response.bytes_stream().map_err(io::Error::other);
        let lines = FramedRead::new(
            StreamReader::new(bytes),
            LinesCodec::new_with_max_length(LINE_MAX),
        );
        let client = self.clone();
        Ok(lines.map(move |line| {
            let line = line.map_err(|error| client.strange(&error.to_string()))?;
            let value = client.parse(line.as_bytes())?;
            client.decode(value)
        }))
    }

    /// Asks for `request`. A connection that breaks before the answer is tried once more under the same id, which the
    /// daemon carries out only once.
    pub async fn send(&self, request: Request) -> Result<Reply, Problem> {
        let envelope = Envelope {
            id: uuid::Uuid::new_v4().to_string(),
            request,
        };
        let ask = || {
            self.http
                .post(url("requests"))
                .timeout(REQUEST_TIMEOUT)
                .json(&envelope)
        };
        let value = match self.call(ask()).await {
            Err(problem) if problem.kind == ProblemKind::Unreachable => self.call(ask()).await?,
            answered => answered?,
        };
        self.decode(value)
    }

    async fn call(&self, asked: reqwest::RequestBuilder) -> Result<Value, Problem> {
        let response = asked
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return self.parse(&body);
        }
        let problem = self
            .parse(&body)
            .and_then(|value| self.decode::<Problem>(value));
        Err(problem
            .unwrap_or_else(|_| self.strange(&format!("it answered {status} without a reason"))))
    }

    fn parse(&self, body: &[u8]) -> Result<Value, Problem> {
        let mut value = serde_json::from_slice(body)
            .map_err(|error| self.strange(&format!("its answer is not JSON: {error}")))?;
        if self.strings == Strings::Visible {
            make_visible(&mut value);
        }
        Ok(value)
    }

    fn decode<T: DeserializeOwned>(&self, value: Value) -> Result<T, Problem> {
        serde_json::from_value(value).map_err(|error| {
            self.strange(&format!(
                "its answer is not what protocol {PROTOCOL} says: {error}"
            ))
        })
    }

    fn path(&self) -> String {
        text::visible(&self.socket.to_string_lossy())
    }

    fn unreachable(&self, error: &reqwest::Error) -> Problem {
        let path = self.path();
        let start = format!(
            "start it:\n  systemctl start patterns-daemon\n  patterns-daemon --socket {path}\n\
             or start the whole system on this machine, without AWS:\n  cargo run --release"
        );
        let (why, fix) = match io_kind(error) {
            _ if error.is_timeout() => (
                "something listens there and does not answer in time".to_owned(),
                "restart it:\n  systemctl restart patterns-daemon".to_owned(),
            ),
            Some(io::ErrorKind::NotFound) => (
                "there is no such socket: no daemon runs, or it listens elsewhere".to_owned(),
                start,
            ),
            Some(io::ErrorKind::ConnectionRefused) => (
                "the socket is there, but refuses: its daemon has ended".to_owned(),
                start,
            ),
            Some(io::ErrorKind::PermissionDenied) => (
                "this user has no permission to open the socket".to_owned(),
                format!("become the user it belongs to, or a member of its group:\n  ls -l {path}"),
            ),
            _ => (root(error), start),
        };
        Problem::new(
            ProblemKind::Unreachable,
            format!("cannot reach the daemon at {path}"),
            why,
            fix,
        )
    }

    fn other_protocol(&self, hello: &Value) -> Problem {
        let theirs = hello.get("protocol").map_or_else(
            || "no protocol".to_owned(),
            |number| format!("protocol {number}"),
        );
        let version = hello
            .get("version")
            .and_then(Value::as_str)
            .unwrap_or("of unknown version");
        Problem::new(
            ProblemKind::Unreachable,
            format!("cannot talk to the daemon at {}", self.path()),
            format!(
                "it is {} and speaks {}; this is {} and speaks protocol {PROTOCOL}",
                text::visible(version),
                text::visible(&theirs),
                env!("CARGO_PKG_VERSION"),
            ),
            "install both from the same version, then restart the daemon:\n  systemctl restart patterns-daemon",
        )
    }

    fn strange(&self, why: &str) -> Problem {
        Problem::new(
            ProblemKind::Unreachable,
            format!("cannot understand what answers at {}", self.path()),
            text::visible(why),
            "check that it is the daemon, of the same version:\n  patterns-tui doctor",
        )
    }
}

/// Makes all strings of an answer visible; what a plan changes in payloads keeps its lines, which are compared.
fn make_visible(value: &mut Value) {
    let edits = value.pointer_mut("/value/edits").map(Value::take);
    text::make_visible(value);
    let Some(mut edits) = edits else { return };
    let members = edits.as_array_mut().into_iter().flatten();
    for member in members
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
    {
        match member {
            Value::String(lines) => *lines = text::visible_lines(lines),
            other => text::make_visible(other),
        }
    }
    if let Some(place) = value.pointer_mut("/value/edits") {
        *place = edits;
    }
}

/// The host is not used on a socket, but HTTP wants one.
fn url(call: &str) -> String {
    format!("http://daemon/v1/{call}")
}

fn io_kind(error: &reqwest::Error) -> Option<io::ErrorKind> {
    causes(error)
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}

/// The innermost cause: reqwest's own text says only that something went wrong.
fn root(error: &reqwest::Error) -> String {
    text::visible(
        &causes(error)
            .last()
            .map_or_else(|| error.to_string(), ToString::to_string),
    )
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

#[cfg(test)]
mod tests {
    use patterns_core::operation::Selection;

    use super::*;
    use crate::sample::{self, daemon::Daemon};

    #[tokio::test]
    async fn another_protocol_is_named_with_both_versions() {
        let daemon =
            Daemon::answer(|_| (200, r#"{"protocol": 99, "version": "9.9.9"}"#.to_owned()));
        let problem = daemon.client().hello().await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unreachable);
        for part in [
            "9.9.9",
            "protocol 99",
            "protocol 1",
            env!("CARGO_PKG_VERSION"),
        ] {
            assert!(problem.why.contains(part), "{part} in {problem}");
        }
    }

    #[tokio::test]
    async fn an_absent_a_dead_and_a_silent_socket_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.sock");
        let client = Client::new(path.clone(), Strings::Visible).unwrap();
        let problem = client.hello().await.unwrap_err();
        assert!(problem.why.contains("no such socket"), "{problem}");
        assert!(
            problem
                .fix
                .contains(&format!("patterns-daemon --socket {}", path.display()))
        );

        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let problem = client.hello().await.unwrap_err();
        assert!(problem.why.contains("does not answer in time"), "{problem}");

        drop(listener);
        let problem = client.hello().await.unwrap_err();
        assert!(problem.why.contains("refuses"), "{problem}");
        assert_eq!(problem.exit_code(), 3);
    }

    #[tokio::test]
    async fn a_problem_of_the_daemon_arrives_whole() {
        let sent = Problem::new(
            ProblemKind::Conflict,
            "the route is ambiguous",
            "two origins",
            "use --to",
        );
        let body = serde_json::to_string(&sent).unwrap();
        let daemon = Daemon::answer(move |_| (409, body.clone()));
        let request = Request::Plan {
            dead_letter_queue: "dlq".to_owned(),
            selection: Selection::Everything,
            to: None,
            manner: patterns_core::operation::Manner::default(),
            edit: None,
        };
        assert_eq!(daemon.client().send(request).await, Err(sent));
    }

    #[tokio::test]
    async fn hostile_text_is_visible_on_screens_and_exact_in_json() {
        let mut task = sample::tasks().remove(0);
        task.title = "\u{1b}[2J".to_owned();
        let body = serde_json::to_string(&Reply::Tasks(vec![task])).unwrap();
        let daemon = Daemon::answer(move |_| (200, body.clone()));
        for (strings, title) in [(Strings::Visible, "␛[2J"), (Strings::Exact, "\u{1b}[2J")] {
            let client = Client::new(daemon.socket(), strings).unwrap();
            let reply = client
                .send(Request::TaskList { pattern: None })
                .await
                .unwrap();
            let Reply::Tasks(tasks) = reply else {
                panic!("{reply:?}")
            };
            assert_eq!(tasks[0].title, title);
        }
    }

    #[tokio::test]
    async fn what_an_edit_changes_keeps_its_lines() {
        let mut plan = sample::edited_plan();
        plan.edits[0].after = "{\n\u{1b}[2J\n}".to_owned();
        let body = serde_json::to_string(&Reply::Plan(Box::new(plan))).unwrap();
        let daemon = Daemon::answer(move |_| (200, body.clone()));
        let asked = Request::TakeBack { id: String::new() };
        let Ok(Reply::Plan(plan)) = daemon.client().send(asked).await else {
            panic!()
        };
        assert_eq!(plan.edits[0].after, "{\n␛[2J\n}");
    }

    #[tokio::test]
    async fn a_dropped_connection_is_tried_again_under_the_same_id() {
        let ids = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = ids.clone();
        let daemon = Daemon::answer(move |request| {
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let envelope: Envelope = serde_json::from_str(body).unwrap();
            let mut seen = seen.lock().unwrap();
            seen.push(envelope.id);
            // Status 0 closes the connection without an answer.
            if seen.len() == 1 {
                (0, String::new())
            } else {
                (200, r#"{"kind": "done"}"#.to_owned())
            }
        });
        assert_eq!(
            daemon.client().send(Request::Refresh).await,
            Ok(Reply::Done)
        );
        let ids = ids.lock().unwrap();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
    }
}
