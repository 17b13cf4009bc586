//! `patterns-daemon`: see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_daemon::cli(std::env::args_os())
}
