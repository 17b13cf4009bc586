//! Tells somebody of a trade's leeds from now on.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one(
        "subscribe",
        patterns_lambdas::subscription::subscribe::run(),
    )
}
