//! One way to make SDK clients: with explicit timeouts, because the SDK sets none for a whole operation.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;

/// A caller of ours waits 10 s at most (the functions' timeout), so one call with its retries gets 3 s.
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
