//! `patterns-local`: AWS on this machine, the pattern stacks in it, the daemon that watches them, and the dashboard.
//!
//! The only file that links the emulator with the product. It starts itself again for each child, so that one binary is
//! enough for the first minute.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use rustix::process::Signal;

mod program;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let Some(word) = args
        .get(1)
        .and_then(|word| word.to_str())
        .map(str::to_owned)
    else {
        return program::run(args);
    };
    match word.as_str() {
        "tui" => patterns_tui::cli(as_own_program(args)),
        "daemon" => patterns_daemon::cli(as_own_program(args)),
        "function" => match args.get(2).and_then(|name| name.to_str()) {
            Some(name) => patterns_lambdas::run(name),
            None => usage("function NAME: runs one of our functions on the Lambda Runtime API"),
        },
        "exec" => exec(args.get(2..).unwrap_or_default()),
        _ => program::run(args),
    }
}

/// The arguments that a separate binary would get; its help names it by the two words that start it here.
fn as_own_program(args: Vec<OsString>) -> Vec<OsString> {
    let mut args = args.into_iter().skip(1);
    let word = args.next().unwrap_or_default();
    let mut name = OsString::from("patterns-local ");
    name.push(word);
    std::iter::once(name).chain(args).collect()
}

/// `exec --parent PID -- PROGRAM ARGS…`: PROGRAM is killed when its parent dies; `--terminate PID` asks it to end instead.
fn exec(args: &[OsString]) -> ExitCode {
    const USAGE: &str = "exec --parent|--terminate PID -- PROGRAM ARGS…: becomes PROGRAM, which then ends when PID does";
    let [flag, parent, dashes, program, arguments @ ..] = args else {
        return usage(USAGE);
    };
    let signal = match flag.to_str() {
        Some("--parent") => Signal::KILL,
        Some("--terminate") => Signal::TERM,
        _ => return usage(USAGE),
    };
    match parent.to_str().and_then(|pid| pid.parse().ok()) {
        Some(parent) if dashes == OsStr::new("--") => {
            let error = patterns_local::process::exec(parent, signal, program, arguments);
            eprintln!("cannot start {}: {error}", program.display());
            ExitCode::FAILURE
        }
        _ => usage(USAGE),
    }
}

fn usage(text: &str) -> ExitCode {
    eprintln!("usage: patterns-local {text}");
    ExitCode::from(patterns_core::problem::exit::USAGE)
}
