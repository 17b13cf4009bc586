//! Child processes whose life is tied to ours: each in a process group of its own, and dead when we are, even after `kill -9`.
//!
//! A child is started through the *exec step*: this program again. It asks the kernel for its parent's death signal, which only a
//! process can ask for itself, and then becomes the program ([`exec`]). That signal reaches no process further down; so for a
//! function, which may start what it likes, the step stays as the [`keeper`] of a [`tree`] of processes.

pub mod keeper;
pub mod tree;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;

use rustix::process::Signal;
use tokio::process::Command;

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
    let mut command = exec_step(exec_command)?;
    command
        .arg("--parent")
        .arg(std::process::id().to_string())
        .arg("--")
        .arg(program)
        .args(arguments);
    Ok(command)
}

fn exec_step(exec_command: &[OsString]) -> io::Result<Command> {
    let [step, leading @ ..] = exec_command else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no exec step is configured: name the program that carries it out",
        ));
    };
    let mut command = Command::new(step);
    command.args(leading).env_clear().process_group(0);
    Ok(command)
}
