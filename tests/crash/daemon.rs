//! The daemon as a child that is killed and started again, with the same state directory and socket.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use patterns_core::operation::{Edit, Manner, Operation, Plan, Redrive, Selection};
use patterns_core::problem::Problem;
use patterns_core::protocol::{Envelope, Reply, Request};
use patterns_core::snapshot::Snapshot;
use patterns_daemon::DIE_AT;
use rustix::process::{Pid, Resource, Rlimit, Signal};
use serde::de::DeserializeOwned;
use tokio::process::Child;

use super::account::{Account, PATIENCE, PROGRAM};

pub struct Daemon {
    child: Option<Child>,
    dir: PathBuf,
    http: reqwest::Client,
}

/// What came of a request.
pub enum Answer {
    Reply(Box<Reply>),
    Problem(Problem),
    /// The daemon ended, or is not there yet.
    Nothing,
}

impl Daemon {
    /// One that was never started, for this account.
    pub fn of(account: &Account) -> Self {
        let dir = account.path().join("daemon");
        std::fs::create_dir(&dir).unwrap();
        let config = format!(
            "region = \"us-east-1\"\nendpoint_url = \"{}\"\n\
             [watch]\nqueues_seconds = 1\nfunctions_seconds = 60\ndiscovery_seconds = 2\n",
            account.local.endpoint_url
        );
        std::fs::write(dir.join("daemon.toml"), config).unwrap();
        let http = reqwest::Client::builder().unix_socket(dir.join("socket"));
        Self {
            child: None,
            // Each life has a socket of its own at the same path.
            http: http.pool_max_idle_per_host(0).build().unwrap(),
            dir,
        }
    }

    /// Starts it; with `die_at` it ends at that point.
    pub fn start(&mut self, die_at: Option<&str>) {
        let step = [OsStr::new(PROGRAM).to_owned(), "exec".into()];
        let path = |name: &str| self.dir.join(name).into_os_string();
        // A write beyond the limit of a file's size shall be an error and not the end.
        let script = r#"trap "" XFSZ; exec "$0" "$@""#;
        let arguments = [
            "-c".into(),
            script.into(),
            PROGRAM.into(),
            "daemon".into(),
            "--config".into(),
            path("daemon.toml"),
            "--socket".into(),
            path("socket"),
            "--state-dir".into(),
            path("state"),
        ];
        let mut command =
            patterns_local::process::command(&step, OsStr::new("/bin/sh"), &arguments).unwrap();
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("log"))
            .unwrap();
        command
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(filter) = std::env::var_os("RUST_LOG") {
            command.env("RUST_LOG", filter);
        }
        if let Some(point) = die_at {
            command.env(DIE_AT, point);
        }
        self.child = Some(command.spawn().unwrap());
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        self.child.take().unwrap().kill().await.unwrap();
    }

    /// Ends it gracefully.
    pub async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        rustix::process::kill_process(pid(&child), Signal::TERM).unwrap();
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap();
        assert!(status.unwrap().success(), "{}", self.log());
    }

    /// How it ended, if it has by itself.
    pub fn ended_by_itself(&mut self) -> Option<ExitStatus> {
        let status = self.child.as_mut()?.try_wait().unwrap()?;
        self.child = None;
        Some(status)
    }

    /// No file that it writes may grow beyond `bytes`; without them, as far as it likes.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = pid(self.child.as_ref().unwrap());
        let limit = Rlimit {
            current: bytes,
            maximum: None,
        };
        rustix::process::prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    /// What it knows; nothing while it is not there.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let asked = self.http.get("http://daemon/v1/snapshot");
        let answer = asked.timeout(Duration::from_secs(30)).send().await.ok()?;
        answer.json().await.ok()
    }

    pub async fn ask(&self, request: Request) -> Answer {
        let id = uuid::Uuid::new_v4().to_string();
        let asked = self.http.post("http://daemon/v1/requests");
        let asked = asked.json(&Envelope { id, request });
        let Ok(answer) = asked.timeout(Duration::from_mins(1)).send().await else {
            return Answer::Nothing;
        };
        let succeeded = answer.status().is_success();
        let Ok(bytes) = answer.bytes().await else {
            return Answer::Nothing;
        };
        if succeeded {
            Answer::Reply(Box::new(read(&bytes)))
        } else {
            Answer::Problem(read(&bytes))
        }
    }

    /// A plan for all of the `count` events in the queue, as soon as the daemon knows of them.
    pub async fn plan(&self, queue: &str, count: usize, edit: Option<Edit>) -> Plan {
        let request = Request::Plan {
            dead_letter_queue: queue.to_owned(),
            selection: Selection::Everything,
            to: None,
            manner: Manner {
                all_at_once: true,
                ..Manner::default()
            },
            edit,
        };
        self.planned(request, count).await
    }

    /// A plan of that `count` events, as soon as the daemon knows of them.
    pub async fn planned(&self, request: Request, count: usize) -> Plan {
        let since = Instant::now();
        loop {
            let why = match self.ask(request.clone()).await {
                Answer::Reply(reply) => match *reply {
                    Reply::Plan(plan) if plan.planned == count as u64 => return *plan,
                    other => format!("{other:?}"),
                },
                Answer::Problem(problem) => problem.to_string(),
                Answer::Nothing => "no answer".to_owned(),
            };
            assert!(since.elapsed() < PATIENCE, "no plan: {why}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts to carry out a plan; answers the operation's id, if the daemon lived to say it.
    pub async fn carry_out(&self, plan: Plan) -> Option<String> {
        let request = Request::Start {
            plan_id: plan.plan_id,
            reason: None,
            // Nobody consumes the target.
            force: true,
        };
        match self.ask(request).await {
            Answer::Reply(reply) => match *reply {
                Reply::Operation(operation) => Some(operation.id().to_owned()),
                other => panic!("{other:?}"),
            },
            Answer::Problem(problem) => panic!("{problem}"),
            Answer::Nothing => None,
        }
    }

    /// Begins to bring back all of the `count` events in the queue; answers the operation's id.
    pub async fn redrive(&self, queue: &str, count: usize) -> String {
        let plan = self.plan(queue, count, None).await;
        self.carry_out(plan).await.unwrap()
    }

    /// An operation as it stands; nothing while the daemon is not there or has not read its ledger.
    pub async fn operation(&self, id: &str) -> Option<Redrive> {
        let request = Request::Operation { id: id.to_owned() };
        match self.ask(request).await {
            Answer::Reply(reply) => match *reply {
                Reply::Operation(Operation::Redrive(redrive)) => Some(redrive),
                other => panic!("{other:?}"),
            },
            _ => None,
        }
    }

    /// An operation that has ended.
    pub async fn ended(&self, id: &str) -> Option<Redrive> {
        let redrive = self.operation(id).await?;
        redrive.state.ended().then_some(redrive)
    }

    /// Redrives what is still in the queue; answers how many events that were. SQS may keep a copy whose receipt handle is
    /// not the newest any more and answer that it is deleted; the next redrive knows it and deletes it without sending.
    pub async fn sweep(&self, account: &mut Account, queue: &str) -> u64 {
        account.uncover();
        let left = account.depth(queue).await;
        if left > 0 {
            let count = usize::try_from(left).unwrap();
            let operation = self.redrive(queue, count).await;
            let ended = async || self.ended(&operation).await;
            let redrive = account.until("what is left is deleted", ended).await;
            assert_eq!(redrive.sent, 0, "sent again: {redrive:?}");
        }
        left
    }

    /// Message ids of all events of an operation that are in doubt. For a daemon that was stopped: a running one is the
    /// only one to open its ledger.
    pub fn doubts(&self, operation: &str) -> HashSet<String> {
        self.message_ids(
            operation,
            "SELECT message_id FROM events WHERE operation = ?1 AND in_doubt = 1",
        )
    }

    /// Message ids of all events whose sending was written down before it could happen; as [`Daemon::doubts`]. What a
    /// daemon that was killed wrote last is in the journal, whose entries are JSON.
    pub fn intended(&self, operation: &str) -> HashSet<String> {
        let mut ids = self.message_ids(
            operation,
            "SELECT message_id FROM events WHERE operation = ?1 AND state IN ('intent', 'sent', 'deleted')",
        );
        let journal = std::fs::read(self.dir.join("state/ledger.journal")).unwrap();
        for entry in journaled(&journal) {
            let arrivals = entry["arrivals"]["messages"].as_array();
            let of_it = arrivals.filter(|_| entry["operation"] == operation);
            let named = of_it.into_iter().flatten();
            ids.extend(named.map(|message| message["message_id"].as_str().unwrap().to_owned()));
        }
        ids
    }

    /// How many events were kept as they were before that operation edited them; as [`Daemon::doubts`].
    pub fn originals(&self, operation: &str) -> usize {
        assert!(self.child.is_none());
        let history = rusqlite::Connection::open(self.dir.join("state/history.db")).unwrap();
        let sql = "SELECT count(*) FROM original WHERE operation = ?1";
        history
            .query_row(sql, [operation], |row| row.get(0))
            .unwrap()
    }

    fn message_ids(&self, operation: &str, sql: &str) -> HashSet<String> {
        assert!(self.child.is_none());
        let ledger = rusqlite::Connection::open(self.dir.join("state/ledger.db")).unwrap();
        let mut select = ledger.prepare(sql).unwrap();
        let ids = select.query_map([operation], |row| row.get(0)).unwrap();
        ids.collect::<Result<_, _>>().unwrap()
    }

    /// The end of what it said.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The entries of a journal: after its header of 20 bytes, which ends with its checksum, each with its length and the checksum
/// over all so far.
fn journaled(journal: &[u8]) -> Vec<serde_json::Value> {
    let number = |at: usize| {
        Some(u32::from_le_bytes(
            journal.get(at..at + 4)?.try_into().unwrap(),
        ))
    };
    let mut entries = Vec::new();
    let (mut checksum, mut at) = (number(16).unwrap(), 20);
    while let (Some(length), Some(expected)) = (number(at), number(at + 4)) {
        let Some(entry) = journal.get(at + 8..at + 8 + length as usize) else {
            break;
        };
        let mut sum = crc32fast::Hasher::new_with_initial(checksum);
        sum.update(entry);
        checksum = sum.finalize();
        if length == 0 || checksum != expected {
            break;
        }
        entries.push(read(entry));
        at += 8 + entry.len();
    }
    entries
}

fn pid(child: &Child) -> Pid {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    Pid::from_raw(id.unwrap()).unwrap()
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> T {
    serde_json::from_slice(bytes).unwrap_or_else(|error| {
        let text = String::from_utf8_lossy(bytes);
        panic!("{error}: {text}")
    })
}
