//! `PUT /tasks/{taskId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("update-task", patterns_lambdas::task::update::run())
}
