//! `POST /tasks/upload`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("upload-tasks")
}
