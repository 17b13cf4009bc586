//! `GET /tasks/batches/{batchId}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("get-batch", patterns_lambdas::batch::get::run())
}
