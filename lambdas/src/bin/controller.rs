//! Many functions in one, called by name.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("controller", patterns_lambdas::controller::run())
}
