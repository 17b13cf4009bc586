//! A program and everything it starts, which end together.

use std::ffi::{OsStr, OsString};
use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

/// A command that starts `program` under a keeper, in a new process group and with an empty environment.
pub fn command(
    exec_command: &[OsString],
    program: &OsStr,
    arguments: &[OsString],
) -> io::Result<Command> {
    let mut command = super::exec_step(exec_command)?;
    command
        .arg("--keep")
        .arg("--")
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped());
    Ok(command)
}

/// A running program with all its descendants. They end when the program does, when this is dropped, and when our own process ends
/// in whatever way.
#[derive(Debug)]
pub struct Tree {
    keeper: Child,
    /// While it is open, the keeper lets the program run. It is closed on exec, so that only this process holds it.
    hold: Option<ChildStdin>,
    group: Option<Pid>,
}

impl Tree {
    /// Starts `command`, which must come from [`command`].
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut keeper = command.spawn()?;
        Ok(Self {
            hold: keeper.stdin.take(),
            group: keeper
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw),
            keeper,
        })
    }

    /// The program's output, where its command asked for pipes; once.
    pub fn output(&mut self) -> (Option<ChildStdout>, Option<ChildStderr>) {
        (self.keeper.stdout.take(), self.keeper.stderr.take())
    }

    /// Waits until the program has ended with all it started; answers how the program ended. Cancel safe.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.keeper.wait().await;
        self.kill();
        status
    }

    /// Whether all have already ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.keeper.try_wait(), Ok(None))
    }

    /// Kills all; their keeper does it, at once.
    pub fn kill(&mut self) {
        self.hold = None;
        // Once is enough: when the keeper is gone, its number may belong to another group.
        let Some(group) = self.group.take() else {
            return;
        };
        // A program that stopped its whole group stopped its keeper too; one that killed it left the group.
        let signal = if self.has_ended() {
            Signal::KILL
        } else {
            Signal::CONT
        };
        // An error means that nobody is left in the group.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.kill();
    }
}
