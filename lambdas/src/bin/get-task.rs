//! `GET /tasks/{taskId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("get-task")
}
