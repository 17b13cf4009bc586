//! Delivers events from a queue, in batches.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one(
        "send-queued-notification",
        patterns_lambdas::send_queued_notification::run(),
    )
}
