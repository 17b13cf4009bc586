//! Our own contender: the daemon as a process, told what to do by the commands that people type.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{
    cpu::cpu_seconds,
    stack::{DEAD, PROGRAM, Stack},
};

/// The daemon must know the queue within this time, or have ended an operation.
const PATIENCE: Duration = Duration::from_mins(10);

/// Between two looks at what another process does. Each is a process of its own, and takes processor time from what is
/// measured; when an operation ended the daemon says itself.
const LOOK: Duration = Duration::from_millis(500);

/// As many messages as the daemon mirrors in one look; then it releases them.
const ONE_LOOK: usize = 20_000;

pub struct Daemon {
    child: Child,
    dir: TempDir,
}

impl Daemon {
    /// A daemon with nothing of an earlier one, that has seen all messages of the dead-letter queue and released them.
    pub async fn start(stack: &Stack, messages: usize) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let config = format!(
            "region = \"us-east-1\"\nendpoint_url = \"{}\"\n[watch]\nqueues_seconds = 1\nfunctions_seconds = 60\ndiscovery_seconds = 60\n",
            stack.endpoint_url
        );
        std::fs::write(dir.path().join("daemon.toml"), config)?;
        let daemon = Self {
            child: spawn(&dir)?,
            dir,
        };
        let started = Instant::now();
        loop {
            let list = daemon.command(&["failed", "list", DEAD, "--query", "nothing-like-it"]);
            let mirrored = list
                .ok()
                .and_then(|list| list.pointer("/mirrored")?.as_u64());
            let mirrored = mirrored.and_then(|mirrored| usize::try_from(mirrored).ok());
            if mirrored.is_some_and(|mirrored| mirrored >= messages.min(ONE_LOOK))
                && stack.depth().await? == (messages, 0)
            {
                return Ok(daemon);
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "the daemon mirrored {mirrored:?} of {messages} messages"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Begins to; answers with the operation's id.
    pub fn begin(&self) -> Result<String> {
        let answer = self.command(&["redrive", DEAD, "--all-at-once", "--force", "--yes"])?;
        let id = answer.pointer("/operation_id").and_then(Value::as_str);
        Ok(id
            .with_context(|| format!("no operation: {answer}"))?
            .to_owned())
    }

    /// An operation that has ended. What a killed daemon had received and not written down is hidden by SQS for a while, which
    /// is let pass when nothing else happens.
    pub async fn ended(&self, stack: &Stack, operation: &str) -> Result<Value> {
        let started = Instant::now();
        loop {
            if let Ok(answer) = self.command(&["operations", "show", operation]) {
                let state = answer.pointer("/state").and_then(Value::as_str);
                if matches!(state, Some("completed" | "failed" | "cancelled")) {
                    return Ok(answer);
                }
                let (visible, hidden) = stack.depth().await?;
                if visible == 0 && hidden > 0 {
                    stack.pass(5_000).await?;
                }
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "operation {operation} never ended"
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// `kill -9`, and a new one with the same ledger.
    pub fn kill_and_restart(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.child = spawn(&self.dir)?;
        Ok(())
    }

    /// The most memory that it ever had resident, in bytes. (`man 5 proc_pid_status`: `VmHWM`, in KiB.)
    pub fn peak_memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        Ok(kib.context("no VmHWM")?.parse::<u64>()? * 1024)
    }

    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&[self.child.id()])
    }

    fn command(&self, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(PROGRAM)
            .arg("tui")
            .args(arguments)
            .arg("--socket")
            .arg(self.dir.path().join("socket"))
            .arg("--json")
            .stdin(Stdio::null())
            .output()?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            let said = String::from_utf8_lossy(&output.stderr);
            format!("{arguments:?}: {said}")
        })
    }
}

fn spawn(dir: &TempDir) -> Result<Child> {
    let path = |name: &str| dir.path().join(name);
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(path("log"))?;
    let child = Command::new(PROGRAM)
        .args(["daemon", "--config"])
        .arg(path("daemon.toml"))
        .arg("--socket")
        .arg(path("socket"))
        .arg("--state-dir")
        .arg(path("state"))
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    Ok(child)
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
