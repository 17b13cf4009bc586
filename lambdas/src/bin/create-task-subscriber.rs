//! Rows of a batch.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("create-task-subscriber")
}
