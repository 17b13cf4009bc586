//! A payment provider, simulated.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("payment-provider")
}
