//! Delivers one event, invoked asynchronously.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("send-notification")
}
