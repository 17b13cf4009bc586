//! Accounts, passwords and tokens.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("auth", patterns_lambdas::auth::run())
}
