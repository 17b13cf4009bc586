//! The command line, and what it starts.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::Filter;
use patterns_core::paths;
use patterns_core::problem::{Problem, ProblemKind, exit};

use crate::{app, command, print};

/// Watch queues, failed events and functions, and redrive what failed.
///
/// Without a command it opens the dashboard. Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 the daemon cannot be reached,
/// 4 `status` found something bad.
#[derive(Debug, Parser)]
#[command(name = "patterns-tui", version)]
pub struct Cli {
    #[allow(
        clippy::doc_markdown,
        reason = "this text is shown in a terminal, where backticks would only be noise"
    )]
    /// The daemon's socket [default: $PATTERNS_SOCKET, $XDG_RUNTIME_DIR/patterns/daemon.sock, /run/patterns/daemon.sock]
    #[arg(long, value_name = "PATH", global = true)]
    pub socket: Option<PathBuf>,
    /// Print one JSON document on stdout and nothing else
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do instead of opening the dashboard
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done without the dashboard.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Queues, functions and operations as they stand; exits 4 when something is bad
    Status,
    /// Failed events: what sits in dead-letter queues
    #[command(subcommand)]
    Failed(Failed),
    /// Send failed events back to where they failed
    Redrive(Redrive),
    /// Redrives and bursts: list them, or show, pause, resume, cancel or take back one
    Operations(Operations),
    /// Who changed what, why, and what became of it
    Audit {
        /// Only this operation
        #[arg(value_name = "ID")]
        id: Option<String>,
    },
    /// Tasks of a pattern stack
    #[command(subcommand)]
    Task(Task),
    /// Create tasks at a fixed rate
    Burst(Burst),
    /// Check the socket, the versions and what the daemon can see
    Doctor,
}

/// `failed …`
#[derive(Debug, Subcommand)]
pub enum Failed {
    /// List failed events, newest first
    List {
        /// Only this dead-letter queue
        #[arg(value_name = "DLQ")]
        dead_letter_queue: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// List failed events by signature, the largest group first
    Groups {
        /// Only this dead-letter queue
        #[arg(value_name = "DLQ")]
        dead_letter_queue: Option<String>,
    },
    /// Write failed events into a file, whole, one a line (JSONL)
    Export {
        /// Only this dead-letter queue
        #[arg(value_name = "DLQ")]
        dead_letter_queue: Option<String>,
        /// The file; it must not exist
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Send exported events to a dead-letter queue; every line is checked first
    Import {
        /// As `failed export` wrote it
        file: PathBuf,
        /// The dead-letter queue
        #[arg(long, value_name = "DLQ")]
        to: String,
    },
    /// Show one failed event with its payload, attributes, logs and history
    Show {
        /// Its id, or enough leading digits to be the only one
        id: String,
    },
}

/// Which failed events
#[derive(Debug, Default, Args)]
pub struct Which {
    /// Only those with these words and fields, such as: refused body.orderId:123
    #[arg(long, value_name = "QUERY")]
    pub query: Option<String>,
    /// Only those with this signature, as `failed groups` shows it
    #[arg(long, value_name = "SIGNATURE")]
    pub group: Option<String>,
    /// Only those that failed at this queue or function
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// Only those sent then or later, such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// Only those sent before
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
}

impl From<Which> for Filter {
    fn from(which: Which) -> Self {
        Self {
            group: which.group,
            origin: which.origin,
            query: which.query,
            from: which.from,
            until: which.until,
        }
    }
}

/// `redrive …`
#[derive(Debug, Args)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub struct Redrive {
    /// The dead-letter queue to empty
    #[arg(value_name = "DLQ")]
    pub dead_letter_queue: String,
    /// Only these events
    #[arg(
        long,
        value_name = "ID,…",
        value_delimiter = ',',
        conflicts_with_all = ["query", "group", "origin", "from", "until"]
    )]
    pub ids: Vec<String>,
    #[command(flatten)]
    pub which: Which,
    /// Where to, when several origins are possible: a queue or a function; or any other queue
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
    /// How fast and how carefully
    #[command(flatten)]
    pub manner: Manner,
    /// What is changed in the payloads
    #[command(flatten)]
    pub change: Change,
    /// Why, for the audit
    #[arg(long, value_name = "TEXT", conflicts_with = "dry_run")]
    pub reason: Option<String>,
    /// Start it though something stops it that can be forced
    #[arg(long)]
    pub force: bool,
    /// Print the plan with what speaks against it, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Wait until every event is settled or returned; exits 1 when one failed, returned or is in doubt
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
}

/// How `redrive` goes about it.
#[derive(Debug, Args)]
pub struct Manner {
    /// Events per second at most
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// One event at a time; pauses where one may have been sent already, instead of sending it again
    #[arg(long)]
    pub careful: bool,
    /// Without the steps that more than 20 events go in, each when those before it are proven processed
    #[arg(long)]
    pub all_at_once: bool,
    /// Let a message move task of SQS do it: the whole queue as it is, at most 500 a second, and nothing is known of any event
    #[arg(
        long,
        conflicts_with_all = [
            "all_at_once", "careful", "ids", "query", "group", "origin", "from", "until", "patch", "body"
        ]
    )]
    pub native: bool,
}

/// What `redrive` changes in the payloads.
#[derive(Debug, Args)]
pub struct Change {
    /// A JSON Patch (RFC 6902) for the payload of every event; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "body")]
    pub patch: Option<PathBuf>,
    /// Exactly this text instead of the payload of every event; - is standard input
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,
}

/// `operations …`
#[derive(Debug, Args)]
pub struct Operations {
    /// What to do with one of them; lists the newest without
    #[command(subcommand)]
    pub command: Option<OperationCommand>,
}

/// `operations COMMAND ID`
#[derive(Debug, Subcommand)]
pub enum OperationCommand {
    /// Show one as it stands
    Show {
        /// Its id
        id: String,
    },
    /// Let a redrive stop after the batches under way
    Pause {
        /// Its id
        id: String,
    },
    /// Let a paused redrive go on
    Resume {
        /// Its id
        id: String,
    },
    /// End a redrive after the batches under way; what was not reached stays in the dead-letter queue
    Cancel {
        /// Its id
        id: String,
    },
    /// Take back into the dead-letter queue what a redrive has sent and nobody has received yet
    Return {
        /// Its id
        id: String,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Start it although something speaks against it that can be forced
        #[arg(long)]
        force: bool,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// What became of each event of a redrive
    Outcomes {
        /// Its id
        id: String,
    },
}

/// `task …`
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Create a task
    Create {
        /// 1 to 100 characters
        #[arg(long)]
        title: String,
        /// At most 1000 characters
        #[arg(long)]
        detail: Option<String>,
        /// When it is due, such as 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        due_at: Option<Timestamp>,
        /// The pattern stack; needed when several are configured
        #[arg(long)]
        pattern: Option<String>,
    },
    /// List tasks, newest first
    List {
        /// The pattern stack; needed when several are configured
        #[arg(long)]
        pattern: Option<String>,
    },
}

/// `burst …`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("length").required(true).args(["duration", "count"]))]
pub struct Burst {
    /// The pattern stack; needed when several are configured
    #[arg(long)]
    pub pattern: Option<String>,
    /// Tasks per second
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub rate: f64,
    /// For how long, such as 5s or 2m
    #[arg(long = "for", value_name = "DURATION")]
    pub duration: Option<SignedDuration>,
    /// Tasks in all
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Wait until it ended; exits 1 when a request failed
    #[arg(long)]
    pub wait: bool,
}

/// Parses, starts a runtime and runs; the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to stdout. A closed pipe there is no reason to complain.
            let code = if error.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            let _ = error.print();
            return code;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            let problem = Problem::new(
                ProblemKind::Internal,
                "cannot start",
                error.to_string(),
                "check the limits on open files and processes (ulimit -a)",
            );
            return print::problem(&problem, cli.json);
        }
    };
    let socket = paths::socket_to_connect(cli.socket.as_deref());
    let json = cli.json;
    let ended = runtime.block_on(async {
        match cli.command {
            Some(command) => command::run(command, socket, json).await,
            None => dashboard(socket, json).await,
        }
    });
    match ended {
        Ok(code) => code,
        Err(problem) => print::problem(&problem, json),
    }
}

async fn dashboard(socket: PathBuf, json: bool) -> Result<u8, Problem> {
    let why = if json {
        "the dashboard draws a screen and prints no JSON"
    } else if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return app::run(socket).await;
    } else {
        "standard input or output is not a terminal"
    };
    Err(Problem::new(
        ProblemKind::Usage,
        "cannot open the dashboard",
        why,
        "for scripts use\n  patterns-tui status --json",
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn code(args: &[&str]) -> u8 {
        run(std::iter::once("patterns-tui")
            .chain(args.iter().copied())
            .map(OsString::from))
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_negative_rate_is_a_number_and_no_option() {
        let args = ["patterns-tui", "burst", "--rate", "-1", "--count", "1"];
        assert!(Cli::try_parse_from(args).is_ok());
    }

    #[test]
    fn a_take_back_can_be_forced() {
        let args = [
            "patterns-tui",
            "operations",
            "return",
            "redrive-1",
            "--force",
        ];
        let command = Cli::try_parse_from(args).unwrap().command;
        let Some(Command::Operations(Operations {
            command: Some(OperationCommand::Return { force, .. }),
        })) = command
        else {
            panic!("{command:?}");
        };
        assert!(force);
    }

    #[test]
    fn wrong_usage_is_2_and_an_absent_daemon_is_3() {
        assert_eq!(code(&["no-such-command"]), exit::USAGE);
        assert_eq!(code(&["burst", "--rate", "10"]), exit::USAGE);
        assert_eq!(code(&["--json"]), exit::USAGE);
        assert_eq!(code(&["--help"]), exit::OK);
        assert_eq!(
            code(&["status", "--socket", "/nonexistent/daemon.sock"]),
            exit::UNREACHABLE
        );
        assert_eq!(
            code(&["doctor", "--json", "--socket", "/nonexistent/daemon.sock"]),
            exit::UNREACHABLE
        );
    }
}
