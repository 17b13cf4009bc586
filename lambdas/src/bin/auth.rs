//! Accounts, passwords and tokens.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("auth")
}
