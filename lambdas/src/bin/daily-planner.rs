//! `GET /planner/daily`.

use std::process::ExitCode;

fn main() -> ExitCode {
    patterns_lambdas::run_one("daily-planner", patterns_lambdas::planner::run())
}
