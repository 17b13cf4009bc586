//! How much of a function's time is left. Whoever waits for the answer gets one before the environment is cut off.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;

/// Kept free at the end of the function's time, for the answer itself.
const RESERVE: Duration = Duration::from_millis(500);

/// Until Lambda ends the invocation.
#[must_use]
pub fn time_left(context: &Context) -> Duration {
    context
        .deadline()
        .duration_since(SystemTime::now())
        .unwrap_or_default()
}

/// What work may take of it, so that there is still time to answer.
#[must_use]
pub fn usable(context: &Context) -> Duration {
    time_left(context).saturating_sub(RESERVE)
}
