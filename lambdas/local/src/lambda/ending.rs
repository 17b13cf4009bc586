//! How a process ended, in the words of Lambda: those of Go, in which its runtime interface is written
//! (aws/aws-lambda-runtime-interface-emulator, `Runtime exited with error: signal: killed`).

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

/// What `Runtime.ExitError` says. `None`: the status is not known.
pub fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.code(), status.signal())) {
        Some((Some(0), _) | (None, None)) | None => {
            "Runtime exited without providing a reason".to_owned()
        }
        Some((Some(code), _)) => format!("Runtime exited with error: exit status {code}"),
        Some((None, Some(signal))) => {
            format!("Runtime exited with error: signal: {}", name(signal))
        }
    }
}

fn name(signal: i32) -> String {
    let name = match signal {
        1 => "hangup",
        2 => "interrupt",
        3 => "quit",
        4 => "illegal instruction",
        5 => "trace/breakpoint trap",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        10 => "user defined signal 1",
        11 => "segmentation fault",
        12 => "user defined signal 2",
        13 => "broken pipe",
        14 => "alarm clock",
        15 => "terminated",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}
