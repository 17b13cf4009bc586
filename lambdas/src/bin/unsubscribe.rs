//! Tells somebody no more of a trade's leeds.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one(
        "unsubscribe",
        patterns_lambdas::subscription::unsubscribe::run(),
    )
}
