//! Counts for `CloudWatch`, in the embedded metric format: a line of JSON on stdout that `CloudWatch` Logs turns into a metric.
//! (Amazon `CloudWatch` User Guide, "Specification: Embedded metric format".)
//!
//! The line goes past the log's own format: wrapped in another JSON object it would not be recognised.

use std::io::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

/// An event was delivered.
pub const DELIVERED: &str = "Delivered";
/// An event had been delivered before.
pub const DUPLICATE: &str = "Duplicate";
/// An event was not delivered; it is tried again or ends in a dead-letter queue.
pub const DELIVERY_FAILED: &str = "DeliveryFailed";
/// An event was not handed over; it stays in the outbox.
pub const HANDOFF_FAILED: &str = "HandoffFailed";

/// Counts one, with the stack's name (`PATTERN`) and the function's as dimensions.
pub fn count(metric: &'static str) {
    let name = |variable| std::env::var(variable).unwrap_or_default();
    let line = line(
        metric,
        &name("PATTERN"),
        &name("AWS_LAMBDA_FUNCTION_NAME"),
        Timestamp::now(),
    );
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn line(metric: &str, service: &str, function: &str, at: Timestamp) -> Value {
    // An empty dimension would make CloudWatch refuse the whole line.
    let or_unknown = |name: &str| {
        if name.is_empty() {
            "unknown".to_owned()
        } else {
            name.to_owned()
        }
    };
    let mut line = json!({
        "_aws": {
            "Timestamp": at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": "patterns",
                "Dimensions": [["Service", "Function"]],
                "Metrics": [{"Name": metric, "Unit": "Count"}],
            }],
        },
        "Service": or_unknown(service),
        "Function": or_unknown(function),
    });
    if let Some(line) = line.as_object_mut() {
        line.insert(metric.to_owned(), json!(1));
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]

    use super::*;

    #[test]
    fn a_metric_and_its_dimensions_are_members_of_the_line() {
        let line = line(
            HANDOFF_FAILED,
            "internal-handoff",
            "",
            Timestamp::UNIX_EPOCH,
        );
        let declared = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(line[HANDOFF_FAILED], 1);
        assert_eq!(declared["Metrics"][0]["Name"], HANDOFF_FAILED);
        for dimension in declared["Dimensions"][0].as_array().into_iter().flatten() {
            assert!(line[dimension.as_str().unwrap_or_default()].is_string());
        }
        assert_eq!(line["Function"], "unknown");
    }
}
