//! Functions as the operator sees them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Counters cover this many seconds before `as_of`.
pub const WINDOW_SECONDS: u32 = 300;

/// The tag that marks a function as part of one of our pattern stacks; its value is the pattern's name.
/// Only functions that carry it may be broken and healed.
pub const PATTERN_TAG: &str = "patterns:pattern";

/// The environment variable that breaks deliveries on purpose: a share from `0` to `1`.
pub const FAIL_RATE_VARIABLE: &str = "DELIVERY_FAIL_RATE";

/// One function, with its figures of the last [`WINDOW_SECONDS`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// The function's name.
    pub name: String,
    /// Its ARN without a qualifier.
    pub arn: String,
    /// Times it ran, retries included.
    pub invocations: u64,
    /// Runs that ended in an error.
    pub errors: u64,
    /// Requests that were refused for lack of concurrency.
    pub throttles: u64,
    /// 95th percentile of a run in milliseconds; `None` when it did not run.
    pub duration_p95_ms: Option<f64>,
    /// The most runs at once.
    pub concurrent: u64,
    /// Length of the window in seconds.
    pub window_seconds: u32,
    /// The pattern whose stack it belongs to ([`PATTERN_TAG`]), when it is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The value of [`FAIL_RATE_VARIABLE`], when it is ours and has that variable: it can be broken and healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_fail_rate: Option<String>,
    /// Name of the queue that its failed asynchronous invocations go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_queue: Option<String>,
    /// When CloudWatch was asked; `None` before the first answer.
    pub as_of: Option<Timestamp>,
}

impl Function {
    /// Whether its deliveries are broken on purpose, when that can be said.
    #[must_use]
    pub fn broken(&self) -> Option<bool> {
        let rate = self.delivery_fail_rate.as_ref()?;
        Some(rate.trim().parse::<f64>().is_ok_and(|rate| rate > 0.0))
    }
}
