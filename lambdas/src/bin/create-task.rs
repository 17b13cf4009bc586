//! `POST /tasks`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("create-task", patterns_lambdas::task::create::run())
}
