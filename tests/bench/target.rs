//! The programs that are measured, each a process of its own that ends with its value.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use tempfile::TempDir;

use super::{client::Connection, null};

/// A program must be ready within this time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Each write goes out at once. Without it MiniStack's runtime API waits 40 ms for an acknowledgement in every invocation, which
/// would measure Nagle's algorithm and not MiniStack.
const MINISTACK_AT_ITS_BEST: &str =
    "import socketserver\nsocketserver.StreamRequestHandler.disable_nagle_algorithm = True\n";

pub struct Target {
    pub address: SocketAddr,
    /// From the start of the process until it said it was ready.
    pub ready_after: Duration,
    child: Child,
    _dir: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    endpoint_url: String,
}

impl Target {
    /// patterns-local with all its stacks.
    pub fn local(with_daemon: bool) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_patterns-local"));
        command.args(["--headless", "--port", "0", "--state-dir"]);
        command.arg(dir.path());
        if !with_daemon {
            command.arg("--no-daemon");
        }
        Self::that_says_ready(command, dir, |line| {
            let ready: Ready = serde_json::from_str(line)?;
            let address = ready.endpoint_url.trim_start_matches("http://");
            Ok(address.parse()?)
        })
    }

    /// The server that does nothing.
    pub fn null() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(null::WORD);
        Self::that_says_ready(command, tempfile::tempdir()?, |line| {
            Ok(line.trim().parse()?)
        })
    }

    fn that_says_ready(
        mut command: Command,
        dir: TempDir,
        address: impl Fn(&str) -> Result<SocketAddr>,
    ) -> Result<Self> {
        let started = Instant::now();
        let mut child = command
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        Ok(Self {
            ready_after: started.elapsed(),
            address: address(&line)
                .with_context(|| format!("it said it was ready with {line:?}"))?,
            child,
            _dir: dir,
        })
    }

    /// MiniStack with nothing of our environment.
    pub async fn ministack(program: &Path) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("sitecustomize.py"), MINISTACK_AT_ITS_BEST)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let started = Instant::now();
        let child = Command::new(program)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", dir.path())
            .env("PYTHONPATH", dir.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", address.port().to_string())
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut target = Self {
            address,
            ready_after: Duration::ZERO,
            child,
            _dir: dir,
        };
        while !answers(address).await {
            if let Some(status) = target.child.try_wait()? {
                bail!("{} ended: {status}", program.display());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{} never answered",
                program.display()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        target.ready_after = started.elapsed();
        Ok(target)
    }

    /// The process and its children.
    pub fn processes(&self) -> Result<Vec<u32>> {
        let id = self.child.id();
        let mut processes = vec![id];
        for task in fs::read_dir(format!("/proc/{id}/task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            for child in children.split_whitespace() {
                processes.push(child.parse()?);
            }
        }
        Ok(processes)
    }
}

async fn answers(address: SocketAddr) -> bool {
    let Ok(mut connection) = Connection::open(address).await else {
        return false;
    };
    let answer = connection.sqs("AmazonSQS.ListQueues", "{}".into()).await;
    answer.is_ok()
}

impl Drop for Target {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
