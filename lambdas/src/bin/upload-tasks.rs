//! `POST /tasks/upload`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("upload-tasks", patterns_lambdas::batch::upload::run())
}
