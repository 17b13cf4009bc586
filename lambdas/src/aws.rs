//! One way to make SDK clients: with explicit timeouts, because the SDK sets none for a whole operation.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;

/// One call with its retries gets 3 s. Several in a row end in time for an answer all the same: see [`crate::http::serve`].
pub(crate) async fn config() -> SdkConfig {
    aws_config::from_env()
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(1))
                .operation_attempt_timeout(Duration::from_millis(900))
                .operation_timeout(Duration::from_secs(3))
                .build(),
        )
        .load()
        .await
}
