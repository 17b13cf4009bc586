//! A whole local stack for one test: the emulator with both stacks, the daemon, on free ports and in directories of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_patterns-local");

/// How long a condition may take to become true. Far more than it needs: a busy machine must not fail a test.
const PATIENCE: Duration = Duration::from_mins(4);

/// A running `patterns-local --headless`. Dropping it ends it.
pub struct World {
    child: Child,
    pub endpoint_url: String,
    pub socket: PathBuf,
    apis: Value,
    dir: tempfile::TempDir,
}

/// What a one-shot command said.
pub struct Answer {
    pub code: i32,
    pub json: Value,
}

impl World {
    /// Starts everything; returns when it is ready.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more flags.
    pub fn start_with(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(PROGRAM)
            .args(["--headless", "--port", "0", "--state-dir"])
            .arg(dir.path())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ready: Value = serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{error}: not ready: {line:?}"));
        assert_eq!(ready["ready"], true);
        Self {
            child,
            endpoint_url: ready["endpoint_url"].as_str().unwrap().to_owned(),
            socket: ready["socket"].as_str().unwrap_or_default().into(),
            apis: ready["apis"].clone(),
            dir,
        }
    }

    /// Base of a stack's HTTP API.
    pub fn api(&self, pattern: &str) -> &str {
        self.apis[pattern].as_str().unwrap()
    }

    /// Memory of the emulator's process, in MiB.
    pub fn memory_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() / 1024
    }

    /// Runs a one-shot command with `--json`.
    pub fn command(&self, args: &[&str]) -> Answer {
        one_shot(&self.socket, args)
    }

    /// The daemon's snapshot, as `status --json` prints it.
    pub fn status(&self) -> Value {
        let answer = self.command(&["status"]);
        assert!(
            matches!(answer.code, 0 | 4),
            "status ended with {}: {}",
            answer.code,
            answer.json
        );
        answer.json
    }

    /// Everything in a queue in the daemon's eyes.
    pub fn depth(&self, name: &str) -> Option<u64> {
        let status = self.status();
        let queue = find(&status["queues"], "name", name)?;
        ["visible", "in_flight", "delayed"]
            .iter()
            .map(|figure| queue[*figure].as_u64())
            .sum()
    }

    /// Clients of the emulator.
    pub fn sdk(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(&self.endpoint_url)
            .credentials_provider(aws_sdk_sqs::config::SharedCredentialsProvider::new(
                aws_sdk_sqs::config::Credentials::new("test", "test", None, None, "test"),
            ))
            .build()
    }

    /// The delivery log of a stack: the ids of the events by status, with how often each was tried.
    pub async fn deliveries(&self, pattern: &str) -> Vec<(String, String, u64)> {
        let dynamo = aws_sdk_dynamodb::Client::new(&self.sdk());
        let items = dynamo
            .scan()
            .table_name(format!("{pattern}-DeliveriesTable"))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .unwrap();
        let text = |value: Option<&AttributeValue>| value.unwrap().as_s().unwrap().clone();
        items
            .iter()
            .filter(|item| text(item.get("pk")).starts_with("DELIVERY#"))
            .map(|item| {
                let attempts = item["attempts"].as_n().unwrap().parse().unwrap();
                (text(item.get("pk")), text(item.get("status")), attempts)
            })
            .collect()
    }

    /// Creates a task over HTTP and answers with the status and the body.
    pub async fn post_task(&self, pattern: &str, body: &Value) -> (u16, Value) {
        let answer = reqwest::Client::new()
            .post(format!("{}/tasks", self.api(pattern)))
            .json(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Ends everything gracefully and answers with the exit status.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        signal(self.child.id(), rustix::process::Signal::TERM);
        self.child.wait().unwrap()
    }

    /// What the ledger says of each event of an operation: its state, and the id it was sent under. For a world that was
    /// stopped: a running daemon is the only one to open its database.
    pub fn ledger(&self, operation_id: &str) -> Vec<(String, Option<String>)> {
        let path = self.dir.path().join("daemon/ledger.db");
        let ledger = rusqlite::Connection::open(path).unwrap();
        let mut events = ledger
            .prepare("SELECT state, new_id FROM events WHERE operation = ?1")
            .unwrap();
        let rows = events.query_map([operation_id], |row| Ok((row.get(0)?, row.get(1)?)));
        rows.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Faults to come, for a world with `--admin`; none ends them.
    pub async fn faults(&self, rules: Value) {
        let url = format!("{}/_patterns/faults", self.endpoint_url);
        let rules = json!({"rules": rules});
        let answer = Self::http().put(url).json(&rules).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// Moves the clock, for a world with `--admin`.
    pub async fn advance(&self, by: Duration) {
        let url = format!("{}/_patterns/clock", self.endpoint_url);
        let by = json!({"advance_ms": by.as_millis()});
        let answer = Self::http().post(url).json(&by).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }

    /// Signed in the only way that is checked: there is a signature.
    fn http() -> reqwest::Client {
        let signature = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0";
        let headers = [(reqwest::header::AUTHORIZATION, signature.parse().unwrap())];
        reqwest::Client::builder()
            .default_headers(headers.into_iter().collect())
            .build()
            .unwrap()
    }

    /// All items of a stack's table.
    pub async fn items(
        &self,
        table: &str,
    ) -> Vec<std::collections::HashMap<String, AttributeValue>> {
        let dynamo = aws_sdk_dynamodb::Client::new(&self.sdk());
        dynamo
            .scan()
            .table_name(table)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .unwrap()
    }

    /// Changes environment variables of a function and leaves its others as they are.
    pub async fn set(&self, function: &str, variables: &[(&str, &str)]) {
        let lambda = aws_sdk_lambda::Client::new(&self.sdk());
        let present = lambda
            .get_function_configuration()
            .function_name(function)
            .send()
            .await
            .unwrap();
        let present = present.environment.unwrap().variables.unwrap();
        let changed = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        lambda
            .update_function_configuration()
            .function_name(function)
            .environment(
                aws_sdk_lambda::types::Environment::builder()
                    .set_variables(Some(present.into_iter().chain(changed).collect()))
                    .build(),
            )
            .send()
            .await
            .unwrap();
    }

    /// Changes how long a function may run, and with it how long it holds what it has claimed.
    pub async fn limit(&self, function: &str, seconds: i32) {
        let lambda = aws_sdk_lambda::Client::new(&self.sdk());
        let changed = lambda
            .update_function_configuration()
            .function_name(function)
            .timeout(seconds)
            .send()
            .await;
        changed.unwrap();
    }

    /// The process id of `patterns-local` itself.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            signal(self.child.id(), rustix::process::Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

/// Runs a one-shot command with `--json` against the daemon at `socket`.
pub fn one_shot(socket: &Path, args: &[&str]) -> Answer {
    let output = Command::new(PROGRAM)
        .arg("tui")
        .args(args)
        .arg("--socket")
        .arg(socket)
        .arg("--json")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{args:?} printed no JSON document ({error}): {}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    });
    Answer {
        code: output.status.code().unwrap(),
        json,
    }
}

/// The member of `list` whose `key` is `value`.
pub fn find<'a>(list: &'a Value, key: &str, value: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|item| item[key] == value)
}

/// Waits until `condition` gives something, and gives it back.
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    let found = in_time(condition).await;
    found.unwrap_or_else(|| panic!("not within {} s: {what}", PATIENCE.as_secs()))
}

/// Waits until `condition` gives something, but not for ever.
pub async fn in_time<T>(mut condition: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let found = condition().await;
        if found.is_some() || started.elapsed() > PATIENCE {
            return found;
        }
        // The pause between two looks at a condition that is outside this process.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// That is the answer to a command: the exit code, the kind and parts of what is said.
pub fn must_say(args: &[&str], answer: &Answer, code: i32, kind: &str, parts: &[&str]) {
    assert_eq!(
        (answer.code, &answer.json["kind"]),
        (code, &json!(kind)),
        "{args:?}: {}",
        answer.json
    );
    let said = answer.json.to_string();
    for part in parts {
        assert!(said.contains(part), "{args:?} says {part:?}: {said}");
    }
}

/// Sends a signal; a process that has ended already is fine.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _ = rustix::process::kill_process(pid, signal);
}
