//! Offers a leed.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("create-leed", patterns_lambdas::leed::create::run())
}
