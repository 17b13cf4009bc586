//! Delivers one event, invoked asynchronously.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one(
        "send-notification",
        patterns_lambdas::send_notification::run(),
    )
}
