//! Delivers events from a queue, in batches.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("send-queued-notification")
}
