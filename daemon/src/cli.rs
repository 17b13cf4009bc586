//! The command line: flags, logging, signals, exit codes.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use patterns_core::config::Config;
use patterns_core::paths;
use patterns_core::problem::{Problem, ProblemKind, exit};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::{Settings, StateDir, run, socket, systemd};

/// Watches queues, dead letters and functions of an AWS account, mirrors failed events, runs redrives and bursts
#[derive(Debug, Parser)]
#[command(name = "patterns-daemon", version)]
struct Flags {
    /// Configuration [default: patterns/config.toml in the user's configuration directory, if there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[arg(
        long,
        value_name = "PATH",
        help = "Where to listen [default: $PATTERNS_SOCKET, then patterns/daemon.sock in $XDG_RUNTIME_DIR or /run]"
    )]
    socket: Option<PathBuf>,
    #[arg(
        long,
        value_name = "DIR",
        help = "Where the databases are [default: $STATE_DIRECTORY, then patterns in the user's state directory]"
    )]
    state_dir: Option<PathBuf>,
    /// Profile of the AWS configuration files
    #[arg(long, value_name = "P")]
    profile: Option<String>,
    /// Region to watch
    #[arg(long, value_name = "R")]
    region: Option<String>,
    /// Where AWS is, when it is not AWS's own address
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Refuse everything that changes something
    #[arg(long)]
    read_only: bool,
}

/// Without `RUST_LOG`. What the SDK cannot find is among the problems that the daemon shows, in fewer words.
const LOGGED: &str = "info,aws_config=error,aws_runtime=error";

/// Runs the daemon with these arguments, the first of which is the program's name as it appears in the help, until SIGTERM
/// or SIGINT.
#[must_use]
pub fn cli(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(args) {
        Ok(flags) => flags,
        Err(error) => {
            // Help and version come this way, too. There is nobody to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            });
        }
    };
    // A library that hosts this program may have set up its own log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED)),
        )
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .try_init();
    match start(flags) {
        Ok(()) => ExitCode::from(exit::OK),
        Err(problem) => {
            eprintln!("patterns-daemon: {problem}");
            if !problem.fix.is_empty() {
                eprintln!("  {}", problem.fix);
            }
            ExitCode::from(problem.exit_code())
        }
    }
}

fn start(flags: Flags) -> Result<(), Problem> {
    let socket_path = paths::socket_to_bind(flags.socket.as_deref());
    let (config, state_dir) = settings(flags)?;
    let settings = Settings {
        config,
        state_dir: StateDir::take(state_dir)?,
    };
    let broken = |error: io::Error| {
        Problem::new(ProblemKind::Internal, "cannot start", error.to_string(), "")
    };
    // One thread for all calls of AWS: they are many and short, and to hand them from thread to thread takes a fifth more of the
    // processor's time. What waits for a disk has threads of its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(broken)?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let bound = socket::bind(&socket_path, systemd::made_directory_of(&socket_path))?;
        tracing::info!(
            socket = %socket_path.display(),
            state_dir = %settings.state_dir.path().display(),
            "listening"
        );
        let outcome = run(settings, bound.listener, shutdown).await;
        drop(bound.place);
        outcome
    })
}

/// The configuration with the flags in it, and the state directory.
fn settings(flags: Flags) -> Result<(Config, PathBuf), Problem> {
    let mut config = match paths::config_file(flags.config.as_deref()) {
        Some(path) => Config::read(&path, flags.config.is_some())?,
        None => Config::default(),
    };
    config.profile = flags.profile.or(config.profile);
    config.region = flags.region.or(config.region);
    config.endpoint_url = flags.endpoint_url.or(config.endpoint_url);
    config.read_only |= flags.read_only;
    let state_dir = paths::state_dir(flags.state_dir.as_deref()).ok_or_else(|| {
        Problem::new(
            ProblemKind::Usage,
            "there is no place for the state",
            "neither a flag nor $STATE_DIRECTORY names one, and there is no home directory",
            "start with --state-dir DIR",
        )
    })?;
    Ok((config, state_dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_of(args: &[&str]) -> Result<Config, Problem> {
        settings(Flags::try_parse_from(args).unwrap()).map(|(config, _)| config)
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, "region = \"eu-west-1\"\nprofile = \"file\"\n").unwrap();
        let file = file.to_str().unwrap();
        let args = ["patterns-daemon", "--config", file, "--state-dir", "/state"];
        let plain = config_of(&args).unwrap();
        assert_eq!(plain.region.as_deref(), Some("eu-west-1"));
        assert!(!plain.read_only);
        let flags = [&args[..], &["--region", "us-east-1", "--read-only"]].concat();
        let flagged = config_of(&flags).unwrap();
        assert_eq!(flagged.region.as_deref(), Some("us-east-1"));
        assert_eq!(flagged.profile.as_deref(), Some("file"));
        assert!(flagged.read_only);
    }

    #[test]
    fn a_named_configuration_must_exist() {
        let args = ["patterns-daemon", "--config", "/does/not/exist.toml"];
        assert_eq!(config_of(&args).unwrap_err().kind, ProblemKind::Usage);
    }
}
