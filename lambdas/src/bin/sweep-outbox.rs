//! What stayed behind in the outbox, every minute.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("sweep-outbox", patterns_lambdas::outbox::sweep::run())
}
