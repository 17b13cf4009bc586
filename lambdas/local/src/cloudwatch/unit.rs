//! Units of figures ("Amazon CloudWatch API Reference: `MetricDatum`").

use super::refusal::invalid;
use crate::error::AwsError;

const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    NONE,
];

/// The unit of a figure that was published without one.
pub(super) const NONE: &str = "None";

/// The unit in which a service publishes a metric ("Available CloudWatch metrics for Amazon SQS", "Types of metrics for
/// Lambda functions").
pub(super) fn of_service(metric: &str) -> &'static str {
    match metric {
        "Duration" | "AsyncEventAge" => "Milliseconds",
        "ApproximateAgeOfOldestMessage" => "Seconds",
        "SentMessageSize" => "Bytes",
        _ => "Count",
    }
}

/// The unit of that name, or AWS's refusal.
pub(super) fn checked(text: &str) -> Result<&'static str, AwsError> {
    let unit = UNITS.into_iter().find(|unit| *unit == text);
    unit.ok_or_else(|| invalid(format!("The value {text} for parameter Unit is invalid.")))
}
