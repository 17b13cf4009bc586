//! Does from a queue what orders wait for.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("fulfil-orders")
}
