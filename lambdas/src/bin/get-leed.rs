//! Shows a leed.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("get-leed", patterns_lambdas::leed::get::run())
}
