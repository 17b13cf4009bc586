//! The one-shot commands: ask the daemon, print the answer, end with an exit code.

mod audit;
mod burst;
mod change;
mod copy;
mod doctor;
mod failed;
mod operations;
mod redrive;
mod status;
mod task;
mod wait;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use patterns_core::problem::{Problem, ProblemKind};
use patterns_core::protocol::REASON_MAX;
use patterns_core::text::visible_lines;

use crate::cli::{Command, Failed};
use crate::client::{Client, Strings};

/// Runs `command` against the daemon at `socket`; the exit code.
pub async fn run(command: Command, socket: PathBuf, json: bool) -> Result<u8, Problem> {
    let strings = if json {
        Strings::Exact
    } else {
        Strings::Visible
    };
    let client = Client::new(socket, strings)?;
    if let Command::Doctor = command {
        return doctor::run(&client, json).await;
    }
    match &command {
        Command::Failed(Failed::Import { file, .. }) => copy::check(file)?,
        Command::Redrive(redrive) => redrive::check(redrive)?,
        Command::Operations(args) => operations::check(args)?,
        Command::Burst(burst) => burst::check(burst)?,
        Command::Task(task) => task::check(task)?,
        Command::Status | Command::Failed(_) | Command::Audit { .. } | Command::Doctor => {}
    }
    // Read before anybody is asked for anything: standard input can be read once.
    let edit = match &command {
        Command::Redrive(redrive) => change::read(&redrive.change)?,
        _ => None,
    };
    // Says within a second when nobody is there, or when it is another version.
    client.hello().await?;
    match command {
        Command::Status => status::run(&client, json).await,
        Command::Failed(failed) => failed::run(&client, failed, json).await,
        Command::Redrive(redrive) => redrive::run(&client, redrive, edit, json).await,
        Command::Operations(operations) => operations::run(&client, operations, json).await,
        Command::Audit { id } => audit::run(&client, id, json).await,
        Command::Task(task) => task::run(&client, task, json).await,
        Command::Burst(burst) => burst::run(&client, burst, json).await,
        Command::Doctor => doctor::run(&client, json).await,
    }
}

/// A reply of another kind than the request asks for.
fn unexpected() -> Problem {
    Problem::new(
        ProblemKind::Unreachable,
        "cannot understand the daemon",
        "it answered another request than the one it was asked",
        "install the daemon and this program from the same version",
    )
}

/// Refuses to change something without `--yes` where nobody can be asked.
fn require_yes_or_terminal(yes: bool) -> Result<(), Problem> {
    if yes || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Problem::new(
        ProblemKind::Usage,
        "will not change anything without being told to",
        "standard input is not a terminal, so nobody can be asked",
        "add --yes",
    ))
}

/// Refuses a reason that the audit does not take.
fn require_short(reason: Option<&str>) -> Result<(), Problem> {
    match reason {
        Some(reason) if reason.len() > REASON_MAX => Err(Problem::new(
            ProblemKind::Usage,
            "the reason is not valid",
            format!(
                "it has {} bytes, and the audit takes {REASON_MAX}",
                reason.len()
            ),
            "say it in fewer words",
        )),
        _ => Ok(()),
    }
}

/// States what will happen and asks; only `y` and `yes` agree. On stderr, because stdout belongs to the result.
fn agreed(statement: &str) -> Result<bool, Problem> {
    let ask = || -> io::Result<bool> {
        let mut out = io::stderr().lock();
        write!(out, "{}Do it? [y/N] ", visible_lines(statement))?;
        out.flush()?;
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    };
    ask().map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            "cannot ask",
            error.to_string(),
            "add --yes",
        )
    })
}

/// What is said when the answer was no.
fn declined() -> Problem {
    Problem::new(
        ProblemKind::Conflict,
        "nothing was done",
        "the question was not answered with y",
        "",
    )
}
