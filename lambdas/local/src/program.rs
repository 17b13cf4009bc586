//! One run of the local stack, from the flags to the last child that is ended.
//!
//! ```text
//! patterns-local ── the emulator, on threads of this process
//!   ├── function processes, one for each environment
//!   ├── daemon, restarted when it ends by itself
//!   └── dashboard, on a terminal
//! ```

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use patterns_local::{Local, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use daemon::Daemon;
use end::End;
use flags::Flags;
use place::Place;

mod daemon;
mod dashboard;
mod end;
mod flags;
mod place;

/// The stacks that every run deploys, as they are deployed to AWS.
const TEMPLATES: [(&str, &str); 5] = [
    (
        "internal-handoff",
        include_str!("../../templates/internal-handoff.yaml"),
    ),
    (
        "queue-leveling",
        include_str!("../../templates/queue-leveling.yaml"),
    ),
    (
        "async-controller",
        include_str!("../../templates/async-controller.yaml"),
    ),
    (
        "service-communication",
        include_str!("../../templates/service-communication.yaml"),
    ),
    ("fan-out", include_str!("../../templates/fan-out.yaml")),
];

/// Runs until the operator or a signal ends it.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(args) {
        Ok(flags) => flags,
        // clap's own codes: 0 for help and version, 2 for wrong usage.
        Err(error) => error.exit(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("patterns-local: cannot start its threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    allow_many_files();
    // Spawned, not blocked on, so that children are started from a worker thread: the kernel ends a child with the
    // *thread* that started it.
    let outcome = runtime.block_on(async { tokio::spawn(local_stack(flags)).await });
    // Everything of ours is stopped by now. A question that nobody answered still reads the terminal and cannot be
    // cancelled: waiting for that thread would make Ctrl-C wait for Enter.
    runtime.shutdown_background();
    match outcome {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("patterns-local: {error:#}");
            ExitCode::FAILURE
        }
        Err(panic) => {
            eprintln!("patterns-local: {panic}");
            ExitCode::FAILURE
        }
    }
}

/// A function process takes about ten of our file descriptors, and the usual soft limit of 1 024 is meant for programs
/// that use `select`. Without the right to raise it we stay within it as long as we can.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    );
}

async fn local_stack(flags: Flags) -> Result<()> {
    let with_dashboard = !flags.headless
        && !flags.no_daemon
        && std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal();
    let mut end = End::watch(with_dashboard)?;
    let place = Place::make(flags.state_dir.as_deref())?;
    log_to(with_dashboard.then(|| place.log_file("patterns-local")))?;
    if with_dashboard {
        eprintln!("Starting AWS on this machine …");
    }

    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let local = tokio::select! {
        started = Local::start(options(&flags, &program, &place)) => started?,
        () = end.wanted() => return Ok(()),
    };
    if !local.notes.is_empty() {
        tracing::info!("not enforced here: {}", local.notes.join("; "));
    }
    let socket = flags
        .socket
        .clone()
        .unwrap_or_else(|| place.path().join("daemon.sock"));
    let mut daemon = None;
    let running = async {
        if !flags.no_daemon {
            let waits = retry_waits(&flags);
            daemon =
                Some(start_daemon(&program, &place, &local, &socket, waits, with_dashboard).await?);
        }
        serve(daemon.as_mut(), &program, &local, &socket, with_dashboard).await
    };
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = end.wanted() => Ok(()),
    };
    // The daemon first, so that what it has in hand still reaches AWS.
    if let Some(daemon) = &mut daemon {
        daemon.stop().await;
    }
    local.stop().await;
    outcome
}

async fn start_daemon(
    program: &Path,
    place: &Place,
    local: &Local,
    socket: &Path,
    retry_waits: [Duration; 2],
    with_dashboard: bool,
) -> Result<Daemon> {
    let apis = local.apis.iter().filter(|(stack, _)| takes_tasks(stack));
    let apis = apis
        .map(|(stack, url)| (stack.clone(), url.clone()))
        .collect();
    Daemon::start(&daemon::Settings {
        program,
        socket,
        place: place.path(),
        endpoint_url: &local.endpoint_url,
        apis: &apis,
        instance: place.instance()?,
        retry_waits,
        log: with_dashboard.then(|| place.log_file("patterns-daemon")),
    })
    .await
}

/// Whether `stack` has a route for tasks. The daemon makes tasks in the stacks it is told of and fires them in bursts.
fn takes_tasks(stack: &str) -> bool {
    TEMPLATES.iter().any(|(name, template)| {
        *name == stack && template.lines().any(|line| line.trim() == "Path: /tasks")
    })
}

/// Shows the operator what runs, and keeps the daemon running, until the operator ends it.
async fn serve(
    daemon: Option<&mut Daemon>,
    program: &Path,
    local: &Local,
    socket: &Path,
    with_dashboard: bool,
) -> Result<()> {
    let has_daemon = daemon.is_some();
    let supervised = async {
        match daemon {
            Some(daemon) => daemon.supervise().await,
            None => std::future::pending().await,
        }
    };
    let shown = async {
        if with_dashboard {
            dashboard::run(program, socket).await?;
            if dashboard::ask_to_stop().await {
                return Ok(());
            }
            eprintln!(
                "AWS on this machine keeps running at {}.\nOpen the dashboard again with: {} tui --socket {}\nStop it with Ctrl-C.",
                local.endpoint_url,
                program.display(),
                socket.display()
            );
        } else {
            say_ready(local, has_daemon.then_some(socket));
        }
        std::future::pending().await
    };
    tokio::select! {
        outcome = supervised => outcome,
        outcome = shown => outcome,
    }
}

/// The one line that scripts wait for.
fn say_ready(local: &Local, socket: Option<&Path>) {
    let ready = serde_json::json!({
        "ready": true,
        "endpoint_url": local.endpoint_url,
        "region": patterns_local::account::REGION,
        "account_id": patterns_local::account::ACCOUNT_ID,
        "socket": socket,
        "apis": local.apis,
    });
    let mut out = std::io::stdout().lock();
    // Whoever started us may have closed its end; that is no reason to stop.
    let _ = writeln!(out, "{ready}").and_then(|()| out.flush());
}

/// How long an asynchronous event waits before each retry.
fn retry_waits(flags: &Flags) -> [Duration; 2] {
    if flags.aws_delays {
        [Duration::from_mins(1), Duration::from_mins(2)]
    } else {
        [Duration::from_secs(1), Duration::from_secs(2)]
    }
}

fn options(flags: &Flags, program: &Path, place: &Place) -> Options {
    let itself = |word: &str| vec![program.as_os_str().to_owned(), OsString::from(word)];
    Options {
        port: flags.port,
        concurrency: flags.concurrency,
        retry_waits: retry_waits(flags),
        exec_command: itself("exec"),
        function_command: itself("function"),
        work_dir: place.path().join("functions"),
        state_dir: place.state_dir(),
        templates: TEMPLATES
            .map(|(stack, text)| (stack.to_owned(), text.to_owned()))
            .to_vec(),
        admin: flags.admin,
    }
}

/// Our own log: on stderr, or in a file where the dashboard has the terminal.
fn log_to(file: Option<PathBuf>) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false);
    match file {
        Some(path) => {
            let file = std::fs::File::create(&path)
                .with_context(|| format!("cannot write the log {}", path.display()))?;
            subscriber.with_writer(file).init();
        }
        None => subscriber.with_writer(std::io::stderr).init(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_template_is_deployed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| {
                let path = file.unwrap().path();
                let text = std::fs::read_to_string(&path).unwrap();
                (path.file_stem().unwrap().to_owned(), text)
            })
            .collect();
        files.sort();
        let mut deployed = TEMPLATES.map(|(name, text)| (name.into(), text.to_owned()));
        deployed.sort();
        assert_eq!(files, deployed);
    }

    #[test]
    fn the_daemon_is_told_of_the_stacks_that_take_tasks() {
        assert!(takes_tasks("internal-handoff") && takes_tasks("queue-leveling"));
        assert!(!takes_tasks("service-communication") && !takes_tasks("nobody"));
    }
}
