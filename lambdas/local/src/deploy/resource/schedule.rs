//! Events of the types `Schedule` and `ScheduleV2` (AWS SAM developer guide). Rates run; `cron(…)` and `at(…)` are noted and do not.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::deploy::error::Problem;
use crate::deploy::property::Properties;
use crate::lambda::Schedule;

/// Reads a schedule; `None` if it does not run.
pub fn read(
    mut given: Properties<'_>,
    kind: &str,
    notes: &mut BTreeSet<String>,
) -> Result<Option<Schedule>, Problem> {
    let line = given.line();
    let own_retries = "retries and dead letters of a schedule: only the function's own are kept";
    let no_difference = "schedules run to the second, and nobody checks permissions";
    let ignored = [
        ("Name", no_difference),
        ("Description", no_difference),
        ("OmitName", no_difference),
        ("FlexibleTimeWindow", no_difference),
        ("ScheduleExpressionTimezone", no_difference),
        ("RoleArn", no_difference),
        ("PermissionsBoundary", no_difference),
        ("RetryPolicy", own_retries),
        ("DeadLetterConfig", own_retries),
    ];
    given.ignored(&ignored, notes);
    let (property, source) = if kind == "Schedule" {
        ("Schedule", "aws.events")
    } else {
        ("ScheduleExpression", "aws.scheduler")
    };
    let expression = given.required(property)?;
    let input = given.text("Input")?.map(str::to_owned);
    let state = given.text("State")?;
    let enabled = match given.parsed::<bool>("Enabled", "true or false")? {
        Some(enabled) => enabled,
        None => state != Some("DISABLED"),
    };
    if expression.starts_with("cron(") || expression.starts_with("at(") {
        notes.insert(format!(
            "{kind} events with cron(…) or at(…): they do not run; invoke the function instead"
        ));
        given.finish()?;
        return Ok(None);
    }
    let every = rate(expression)
        .ok_or_else(|| given.wrong(line, property, "such as rate(1 minute) or rate(5 minutes)"))?;
    given.finish()?;
    Ok(enabled.then_some(Schedule {
        every,
        input,
        source,
    }))
}

/// `rate(1 minute)`, `rate(5 minutes)`, `rate(2 hours)`, `rate(1 day)`.
fn rate(expression: &str) -> Option<Duration> {
    let inner = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (value, unit) = inner.trim().split_once(' ')?;
    let seconds = match unit.trim() {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    let value: u64 = value.parse().ok().filter(|value| *value > 0)?;
    value.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_with_its_unit() {
        assert_eq!(rate("rate(1 minute)"), Some(Duration::from_mins(1)));
        assert_eq!(rate("rate(2 hours)"), Some(Duration::from_hours(2)));
        for wrong in [
            "often",
            "rate(0 minutes)",
            "rate(5)",
            "rate(5 fortnights)",
            "rate(99999999999999999999 days)",
            "rate(18446744073709551615 days)",
        ] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }
}
