//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// AWS on this machine, without an account or Docker: deploys the pattern stacks, starts the daemon, opens the dashboard.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "patterns-local",
    version,
    after_help = "The other programs are in this one too:\n  \
        patterns-local tui …            the dashboard and its one-shot commands, as patterns-tui\n  \
        patterns-local daemon …         the daemon, as patterns-daemon\n  \
        patterns-local function NAME    one of the functions, as its own binary"
)]
// Each is a flag of its own on the command line.
#[allow(clippy::struct_excessive_bools)]
pub struct Flags {
    /// Open no dashboard; print one JSON line when ready and run until SIGTERM
    #[arg(long)]
    pub headless: bool,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 4566)]
    pub port: u16,
    /// Keep everything here for the next run: queues with their messages, functions, tables, the daemon's state, logs.
    ///
    /// At each start the built-in stacks are deployed again: what is in their queues and tables stays, their settings are the
    /// templates'. A run that is killed loses what happened to queues and functions in about the last second (longer where there
    /// are very many messages), to tables nothing. Metrics, function logs and running message move tasks are not kept.
    /// Without it, all is in a directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Start AWS and the stacks only
    #[arg(long)]
    pub no_daemon: bool,
    /// The daemon's socket [default: inside the state directory]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Let asynchronous retries wait 1 and 2 minutes as AWS does, instead of 1 and 2 seconds
    #[arg(long)]
    pub aws_delays: bool,
    /// Function runs at once in the whole account; beyond that callers are throttled
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrency: u32,
    /// For tests: offer faults, a clock that can be moved and a log of every message's life under /_patterns/
    #[arg(long)]
    pub admin: bool,
}
