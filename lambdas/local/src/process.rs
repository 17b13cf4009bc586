//! Child processes whose life is tied to ours: each in a process group of its own, and dead when we are, even after `kill -9`.
//!
//! The kernel sends a child its parent's death signal only if the child asked for it, and only a process can ask for itself.
//! So a child is started through the *exec step*: this program again, which asks and then becomes the real program.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

/// The exec step: asks for `signal` when `parent` dies, then becomes `program`. Returns only if that failed.
///
/// The signal is sent when the *thread* that started us ends, so children are started from tokio's worker threads, which live as
/// long as the runtime, and never from its blocking threads, which do not.
#[must_use = "it returns only when the program could not be started"]
pub fn exec(parent: u32, signal: Signal, program: &OsStr, arguments: &[OsString]) -> io::Error {
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(signal)) {
        return error.into();
    }
    // A parent that died before the line above can no longer send the signal: do not become an orphan.
    let now = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if now != Some(parent) {
        return io::Error::other(format!(
            "process {parent}, which started this one, has ended"
        ));
    }
    std::process::Command::new(program).args(arguments).exec()
}

/// A command that starts `program` through the exec step, in a new process group and with an empty environment.
pub fn command(
    exec_command: &[OsString],
    program: &OsStr,
    arguments: &[OsString],
) -> io::Result<Command> {
    let [step, leading @ ..] = exec_command else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no exec step is configured: name the program that carries it out",
        ));
    };
    let mut command = Command::new(step);
    command
        .args(leading)
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--")
        .arg(program)
        .args(arguments)
        .env_clear()
        .process_group(0);
    Ok(command)
}

/// A running child and everything it started. Dropping it kills the whole group.
#[derive(Debug)]
pub struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Starts `command`, which must come from [`command`].
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let child = command.spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, leader })
    }

    /// The child itself, to take its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the child has ended, and ends what it left behind. Cancel safe.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        self.kill();
        status
    }

    /// Whether the child has already ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills the group. Once is enough: afterwards its number may belong to another group.
    pub fn kill(&mut self) {
        if let Some(leader) = self.leader.take() {
            // An error means that nobody is left in the group.
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
