//! `DELETE /tasks/{taskId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("delete-task", patterns_lambdas::task::delete::run())
}
