//! Shows a leed.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("get-leed")
}
