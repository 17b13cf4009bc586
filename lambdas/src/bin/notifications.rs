//! Takes notifications and tells where they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("notifications", patterns_lambdas::notification::run())
}
