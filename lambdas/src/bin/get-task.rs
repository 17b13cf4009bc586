//! `GET /tasks/{taskId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("get-task", patterns_lambdas::task::get::run())
}
