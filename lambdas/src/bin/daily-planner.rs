//! `GET /planner/daily`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run("daily-planner")
}
