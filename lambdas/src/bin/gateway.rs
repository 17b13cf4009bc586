//! One address for all services.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("gateway", patterns_lambdas::gateway::run())
}
