//! The keeper: a small process between the emulator and one program, which sees to it that nothing the program starts outlives
//! it or the emulator, whatever it forks and whatever sessions it opens.
//!
//! It is a child subreaper (`prctl(2)`, `PR_SET_CHILD_SUBREAPER`): the kernel makes it the parent of every descendant whose own
//! parent has ended, so that it always finds all of them. It lives until the program ends, or until the pipe on its stdin is
//! closed, which the kernel does even when the emulator was killed. It is no match for a program that kills it on purpose.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, kill_process,
    pidfd_open, pidfd_send_signal, set_child_subreaper, setrlimit, wait,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// Runs `program` until it or the pipe on stdin ends, ends all it has left behind, and ends the way the program did. Must be called
/// before the process has other children or threads.
///
/// # Errors
///
/// The program could not be started, or not be watched, and does not run.
pub fn keep(program: &OsStr, arguments: &[OsString]) -> io::Result<ExitCode> {
    set_child_subreaper(Some(getpid()))?;
    // What asks the emulator to end may reach us too, and a program may signal its whole group, of which we are. We end last. Handlers,
    // unlike ignored signals, are not inherited by the program.
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()?;
    let kept = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let kept = kept.ok_or(io::ErrorKind::InvalidData)?;
    if let Err(error) = kill_at_end_of_stdin(kept) {
        end_descendants();
        return Err(error);
    }
    let status = loop {
        if let Some((pid, status)) = retry_on_intr(|| wait(WaitOptions::empty()))?
            && pid == kept
        {
            break status;
        }
    };
    end_descendants();
    Ok(end_like(status))
}

fn kill_at_end_of_stdin(kept: Pid) -> io::Result<()> {
    // Unlike its number, a file descriptor never names another process.
    let kept = pidfd_open(kept, PidfdFlags::empty())?;
    let read = move || {
        // Nobody writes: it returns at the end. An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // An error means that it has ended already.
        let _ = pidfd_send_signal(kept, Signal::KILL);
    };
    std::thread::Builder::new().spawn(read).map(drop)
}

/// Kills and reaps until there is no child any more: then there is no descendant either, for each would have become a child.
fn end_descendants() {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => {
                kill_descendants();
                // A pass can miss what was forked during it, but it reaches at least one child, whose end this waits for.
                let _ = wait(WaitOptions::empty());
            }
            Err(_) => return,
        }
    }
}

fn kill_descendants() {
    let processes = processes();
    let mut family = vec![getpid().as_raw_pid()];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        next += 1;
        for (pid, _) in processes.iter().filter(|(_, of)| *of == parent) {
            family.push(*pid);
            if let Some(pid) = Pid::from_raw(*pid) {
                // An error means that it has ended already, or runs as another user.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

/// Every process and its parent, from `/proc/PID/stat`: `PID (NAME) STATE PARENT …` (`proc_pid_stat(5)`).
fn processes() -> Vec<(i32, i32)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut text = Vec::new();
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            text.clear();
            let mut stat = File::open(entry.path().join("stat")).ok()?;
            stat.read_to_end(&mut text).ok()?;
            Some((pid, parent(&text)?))
        })
        .collect()
}

fn parent(stat: &[u8]) -> Option<i32> {
    // A name may hold anything, but what follows it holds no parenthesis.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let rest = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Exits with the same code, or is ended by the same signal.
fn end_like(status: WaitStatus) -> ExitCode {
    if let Some(signal) = status.terminating_signal() {
        // A core of ours would tell nobody anything.
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        let _ = setrlimit(Resource::Core, none);
        // It returns for signals that it does not know, such as real-time signals: then as shells report them.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        return ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX));
    }
    let code = status.exit_status().unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent(b"7 (sh) S 3 7 7 0"), Some(3));
        assert_eq!(parent(b"7 (a) R 9 (\xff) S 3 7"), Some(3));
        assert_eq!(parent(b"7 (sh"), None);
        assert_eq!(parent(b""), None);
    }

    #[test]
    fn this_process_and_its_parent_are_listed() {
        let parent = rustix::process::getppid().map(Pid::as_raw_pid);
        let own = (getpid().as_raw_pid(), parent.unwrap());
        assert!(processes().contains(&own));
    }
}
