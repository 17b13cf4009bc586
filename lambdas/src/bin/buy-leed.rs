//! Sells a leed to the first who asks.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("buy-leed", patterns_lambdas::leed::buy::run())
}
