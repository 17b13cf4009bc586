//! `GET /tasks`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("list-tasks", patterns_lambdas::task::list::run())
}
