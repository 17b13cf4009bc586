//! Does from a queue what orders wait for.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("fulfil-orders", patterns_lambdas::checkout::fulfil::run())
}
