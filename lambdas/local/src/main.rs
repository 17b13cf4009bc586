//! `patterns-local`: AWS on this machine, the pattern stacks in it, the daemon that watches them, and the dashboard.
//!
//! The only file that links the emulator with the product. It starts itself again for each child, so that one binary is
//! enough for the first minute.

use std::ffi::OsString;
use std::process::ExitCode;

use patterns_local::process;
use rustix::process::Signal;

mod program;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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

/// `exec --parent PID -- PROGRAM ARGS…`: PROGRAM is killed when its parent dies; `--terminate PID` asks it to end instead. `--keep`:
/// PROGRAM and all it starts are killed when stdin ends.
fn exec(args: &[OsString]) -> ExitCode {
    const USAGE: &str = "exec (--parent PID | --terminate PID | --keep) -- PROGRAM ARGS…: PROGRAM ends when PID does, or when stdin ends";
    let dashes = args.iter().position(|arg| arg == "--");
    let (flags, command) = args.split_at(dashes.unwrap_or(args.len()));
    let [_, program, arguments @ ..] = command else {
        return usage(USAGE);
    };
    let flags: Vec<&str> = flags.iter().filter_map(|flag| flag.to_str()).collect();
    let become_child = |parent: &str, signal| match parent.parse() {
        Ok(parent) => Err(process::exec(parent, signal, program, arguments)),
        Err(_) => Ok(usage(USAGE)),
    };
    let ended = match *flags {
        ["--parent", parent] => become_child(parent, Signal::KILL),
        ["--terminate", parent] => become_child(parent, Signal::TERM),
        ["--keep"] => process::keeper::keep(program, arguments),
        _ => return usage(USAGE),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("cannot start {}: {error}", program.display());
        ExitCode::FAILURE
    })
}

fn usage(text: &str) -> ExitCode {
    eprintln!("usage: patterns-local {text}");
    ExitCode::from(patterns_core::problem::exit::USAGE)
}
