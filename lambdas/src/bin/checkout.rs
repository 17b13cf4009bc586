//! Orders: `POST /checkout` and `GET /checkout/{id}`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("checkout", patterns_lambdas::checkout::run())
}
