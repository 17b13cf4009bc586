//! Takes notifications and tells where they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("notifications")
}
