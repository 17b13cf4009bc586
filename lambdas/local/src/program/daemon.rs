//! The daemon as a child: in a world of its own, ready before anyone asks it, started again when it ends by itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use patterns_core::config::{Config, Pattern, Watch};
use patterns_local::process;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};
use uuid::Uuid;

/// Loopback answers at once and costs nothing, so everything is asked far more often than on AWS.
const WATCH: Watch = Watch {
    queues_seconds: 1.0,
    functions_seconds: 5.0,
    discovery_seconds: 10.0,
};

/// The stacks where the daemon creates tasks and fires bursts: those that tell somebody of each task, so that there is something
/// to watch. The APIs of the others are for their own clients.
const TELLING: [&str; 2] = ["internal-handoff", "queue-leveling"];

/// A daemon that is not ready after this long has a problem that waiting will not cure.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A stopping daemon finishes the batches it has in hand, each bounded by the timeouts of its calls.
const STOPPED_WITHIN: Duration = Duration::from_secs(25);

/// Between the end of a daemon and its next start; doubled while it keeps ending, up to [`RESTART_MAX`].
const RESTART_FIRST: Duration = Duration::from_millis(200);
const RESTART_MAX: Duration = Duration::from_secs(5);

/// What a daemon is started with.
pub struct Settings<'a> {
    /// This program.
    pub program: &'a Path,
    /// Where it is to be reached.
    pub socket: &'a Path,
    /// Directory of this run.
    pub place: &'a Path,
    /// Address of the emulator.
    pub endpoint_url: &'a str,
    /// The stacks' HTTP APIs by pattern.
    pub apis: &'a BTreeMap<String, String>,
    /// Names this run, so that its operations are never resumed in another.
    pub instance: Uuid,
    /// How long the emulator's Lambda waits before it tries an asynchronous event again.
    pub retry_waits: [Duration; 2],
    /// Where it logs to; stderr when `None`.
    pub log: Option<PathBuf>,
}

/// A running daemon. It ends with this process at the latest, even when that is killed.
pub struct Daemon {
    child: Child,
    arguments: Vec<OsString>,
    notify: UnixDatagram,
    notify_path: PathBuf,
    retry_waits: [Duration; 2],
    log: Option<PathBuf>,
}

impl Daemon {
    /// Starts the daemon; returns when it says that it is ready.
    pub async fn start(settings: &Settings<'_>) -> Result<Self> {
        let config = Config {
            region: Some(patterns_local::account::REGION.to_owned()),
            endpoint_url: Some(settings.endpoint_url.to_owned()),
            instance: Some(settings.instance.to_string()),
            watch: WATCH,
            patterns: settings
                .apis
                .iter()
                .filter(|(pattern, _)| TELLING.contains(&pattern.as_str()))
                .map(|(pattern, url)| (pattern.clone(), Pattern { url: url.clone() }))
                .collect(),
            ..Config::default()
        };
        let config_file = settings.place.join("daemon.toml");
        std::fs::write(&config_file, toml::to_string(&config)?)
            .with_context(|| format!("cannot write {}", config_file.display()))?;
        // The daemon says READY=1 the way it says it to systemd.
        let notify_path = settings.place.join("notify.sock");
        // A run that was killed may have left one behind in a directory that the user named.
        let _ = std::fs::remove_file(&notify_path);
        let notify = UnixDatagram::bind(&notify_path)
            .with_context(|| format!("cannot listen on {}", notify_path.display()))?;
        let path = |path: &Path| path.as_os_str().to_owned();
        let arguments = vec![
            path(settings.program),
            "daemon".into(),
            "--config".into(),
            path(&config_file),
            "--socket".into(),
            path(settings.socket),
            "--state-dir".into(),
            path(&settings.place.join("daemon")),
        ];
        let mut daemon = Self {
            child: spawn(
                &arguments,
                &notify_path,
                settings.retry_waits,
                settings.log.as_deref(),
            )?,
            arguments,
            notify,
            notify_path,
            retry_waits: settings.retry_waits,
            log: settings.log.clone(),
        };
        daemon.ready().await?;
        Ok(daemon)
    }

    async fn ready(&mut self) -> Result<()> {
        let mut message = [0; 4096];
        let ready = async {
            loop {
                let length = self.notify.recv(&mut message).await?;
                let text = message.get(..length).unwrap_or_default();
                if text
                    .split(|byte| *byte == b'\n')
                    .any(|line| line == b"READY=1")
                {
                    return Ok::<_, std::io::Error>(());
                }
            }
        };
        let see = match &self.log {
            Some(log) => format!("its log is {}", log.display()),
            None => "its reason is above".to_owned(),
        };
        tokio::select! {
            ready = tokio::time::timeout(READY_WITHIN, ready) => match ready {
                Ok(ready) => Ok(ready?),
                Err(_) => bail!("the daemon was not ready within {} s; {see}", READY_WITHIN.as_secs()),
            },
            status = self.child.wait() => bail!("the daemon ended at its start with {}; {see}", status?),
        }
    }

    /// Starts the daemon again whenever it ends by itself. Cancel safe.
    pub async fn supervise(&mut self) -> Result<()> {
        let mut pause = RESTART_FIRST;
        loop {
            let started = tokio::time::Instant::now();
            let status = self.ended().await?;
            if started.elapsed() > RESTART_MAX * 2 {
                pause = RESTART_FIRST;
            }
            tracing::warn!(
                "the daemon ended with {status}; it is started again in {} ms",
                pause.as_millis()
            );
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RESTART_MAX);
            self.child = spawn(
                &self.arguments,
                &self.notify_path,
                self.retry_waits,
                self.log.as_deref(),
            )?;
        }
    }

    /// Waits until it ends. What it says meanwhile is read and dropped: a socket that nobody reads is full after some ten
    /// starts, and the next daemon would wait for ever to say that it is ready.
    async fn ended(&mut self) -> std::io::Result<ExitStatus> {
        let mut message = [0; 4096];
        loop {
            tokio::select! {
                status = self.child.wait() => return status,
                read = self.notify.recv(&mut message) => read?,
            };
        }
    }

    /// Lets it finish what it has in hand, and ends it if that takes too long.
    pub async fn stop(&mut self) {
        let pid = self
            .child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // An error means that it has ended already.
            let _ = kill_process(pid, Signal::TERM);
        }
        if tokio::time::timeout(STOPPED_WITHIN, self.child.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "the daemon did not stop within {} s and is killed",
                STOPPED_WITHIN.as_secs()
            );
            let _ = self.child.kill().await;
        }
    }
}

fn spawn(
    arguments: &[OsString],
    notify_path: &Path,
    retry_waits: [Duration; 2],
    log: Option<&Path>,
) -> Result<Child> {
    let program = arguments.first().context("no program to start")?;
    let exec_command = [program.clone(), OsString::from("exec")];
    let mut command: Command = process::command(
        &exec_command,
        program,
        arguments.get(1..).unwrap_or_default(),
    )?;
    // No HOME and no AWS files: the user's own account must never be reached from a local stack.
    command
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NOTIFY_SOCKET", notify_path)
        .env(
            patterns_daemon::RETRY_WAITS,
            retry_waits.map(|wait| wait.as_secs().to_string()).join(","),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    if let Some(filter) = std::env::var_os("RUST_LOG") {
        command.env("RUST_LOG", filter);
    }
    match log {
        Some(path) => {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(path);
            command
                .stderr(file.with_context(|| format!("cannot write the log {}", path.display()))?);
        }
        None => {
            command.stderr(Stdio::inherit());
        }
    }
    command.spawn().context("cannot start the daemon")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_daemon_says_is_read_however_often_it_says_it() {
        let dir = tempfile::tempdir().unwrap();
        let notify_path = dir.path().join("notify.sock");
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        let mut daemon = Daemon {
            child,
            arguments: Vec::new(),
            notify: UnixDatagram::bind(&notify_path).unwrap(),
            notify_path: notify_path.clone(),
            retry_waits: [Duration::ZERO; 2],
            log: None,
        };
        let said = async {
            for _ in 0..100 {
                let socket = UnixDatagram::unbound().unwrap();
                socket.send_to(b"READY=1", &notify_path).await.unwrap();
            }
            drop(input);
        };
        let both = async { tokio::join!(said, daemon.ended()).1 };
        let status = tokio::time::timeout(READY_WITHIN, both).await.unwrap();
        assert!(status.unwrap().success());
    }
}
