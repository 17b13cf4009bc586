//! Chunks of rows.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("expand-batch")
}
