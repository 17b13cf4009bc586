//! Rows of a batch.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one(
        "create-task-subscriber",
        patterns_lambdas::batch::create::run(),
    )
}
