//! `GET /tasks/batches/{batchId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("get-batch")
}
