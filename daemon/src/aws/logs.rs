//! CloudWatch Logs: the lines that name one event.

use jiff::Timestamp;
use patterns_core::failed::LogLine;
use patterns_core::problem::Problem;

use super::{Aws, has_code, problem};

/// One page of the service searches about this many lines at most; it is plenty for one event.
const LINES_MAX: i32 = 100;

/// Pages to look through: an empty page does not mean there is nothing behind it.
const PAGES_MAX: usize = 5;

impl Aws {
    /// Lines of the log group since `since` that contain `id`, oldest first.
    pub async fn log_lines(
        &self,
        group: &str,
        id: &str,
        since: Timestamp,
    ) -> Result<Vec<LogLine>, Problem> {
        // A quoted pattern matches the exact phrase. (CloudWatch Logs User Guide, "Filter pattern syntax".)
        let pattern = format!("\"{}\"", id.replace('"', ""));
        let mut pages = self
            .logs
            .filter_log_events()
            .log_group_name(group)
            .filter_pattern(pattern)
            .start_time(since.as_millisecond())
            .limit(LINES_MAX)
            .into_paginator()
            .send();
        let mut lines = Vec::new();
        for _ in 0..PAGES_MAX {
            let Some(page) = pages.next().await else {
                break;
            };
            let page = match page {
                Ok(page) => page,
                // A function that never ran has no log group.
                Err(error) if has_code(&error, "ResourceNotFoundException") => break,
                Err(error) => {
                    return Err(problem(
                        "cannot read the logs",
                        "logs:FilterLogEvents",
                        &error,
                    ));
                }
            };
            for event in page.events() {
                let at = event
                    .timestamp()
                    .and_then(|at| Timestamp::from_millisecond(at).ok());
                if let (Some(at), Some(message)) = (at, event.message()) {
                    lines.push(LogLine {
                        at,
                        message: message.trim_end().to_owned(),
                    });
                }
            }
        }
        lines.sort_by_key(|line| line.at);
        Ok(lines)
    }
}
