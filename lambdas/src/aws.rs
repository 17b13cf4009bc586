//! One way to make SDK clients: with explicit timeouts, because the SDK sets none for a whole operation.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::config::retry::RetryConfig;

/// A connection that takes longer to be made will not be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One call with its retries gets 3 s. Several in a row end in time for an answer all the same: see [`crate::http::serve`].
pub(crate) async fn config() -> SdkConfig {
    aws_config::from_env()
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(Duration::from_millis(900))
                .operation_timeout(Duration::from_secs(3))
                .build(),
        )
        .load()
        .await
}

/// A client that asks functions once, because a second attempt could do twice what was asked once. Each call has a time of its
/// own, which may be longer than those of `config`.
pub(crate) fn asking(config: &SdkConfig) -> aws_sdk_lambda::Client {
    let once = aws_sdk_lambda::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .disable_operation_attempt_timeout()
                .disable_operation_timeout()
                .build(),
        )
        .build();
    aws_sdk_lambda::Client::from_conf(once)
}
