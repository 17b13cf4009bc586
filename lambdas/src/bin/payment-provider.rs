//! A payment provider, simulated.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("payment-provider", patterns_lambdas::payment::run())
}
