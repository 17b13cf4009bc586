//! `GET /tasks`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("list-tasks")
}
