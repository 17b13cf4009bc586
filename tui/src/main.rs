//! The `patterns-tui` program; everything is in the library, because `patterns-local tui` is the same program.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_tui::cli(std::env::args_os())
}
