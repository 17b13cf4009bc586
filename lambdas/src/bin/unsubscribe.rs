//! Tells somebody no more of a trade's leeds.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("unsubscribe")
}
