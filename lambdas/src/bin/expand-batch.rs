//! Chunks of rows.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("expand-batch", patterns_lambdas::batch::expand::run())
}
