//! `DELETE /tasks/{taskId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("delete-task")
}
