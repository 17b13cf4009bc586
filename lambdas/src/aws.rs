//! One way to make SDK clients: with explicit timeouts, because the SDK sets none for a whole operation.
//!
//! The SDK's own loader would also look into profiles and ask the services that hand out credentials to machines and containers.
//! A function finds all of it in its environment variables, and what it does not need makes its start slower and its zip larger.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{
    ConfigBag, HttpClient, RuntimeComponents, RuntimeComponentsBuilder, SharedCredentialsProvider,
    SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpConnectorSettings, SharedHttpConnector};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

/// A connection that takes longer to be made will not be made.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// From the environment variables. One call with its retries gets 3 s. Several in a row end in time for an answer all the same:
/// see [`crate::http::serve`].
#[must_use]
pub fn config() -> SdkConfig {
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let is_set = |name| variable(name).map(|value| value.eq_ignore_ascii_case("true"));
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region.map(Region::new))
        .credentials_provider(SharedCredentialsProvider::new(
            EnvironmentVariableCredentialsProvider::new(),
        ))
        .identity_cache(IdentityCache::lazy().build())
        .service_config(Variables)
        .http_client(Transport::new())
        .retry_config(RetryConfig::standard())
        // An answer that stalls is over with its attempt; to watch each body would only take time.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(Duration::from_millis(900))
                .operation_timeout(Duration::from_secs(3))
                .build(),
        );
    config.set_use_fips(is_set("AWS_USE_FIPS_ENDPOINT"));
    config.set_use_dual_stack(is_set("AWS_USE_DUALSTACK_ENDPOINT"));
    config.build()
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

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What a service finds under its own name, or under that of all: `AWS_ENDPOINT_URL_DYNAMODB`, `AWS_ENDPOINT_URL`.
#[derive(Debug)]
struct Variables;

impl LoadServiceConfig for Variables {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        of_service(&key, variable)
    }
}

fn of_service(
    key: &ServiceConfigKey<'_>,
    variable: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let service = key.service_id().to_uppercase().replace(' ', "_");
    variable(&format!("{}_{service}", key.env())).or_else(|| variable(key.env()))
}

/// The SDK's usual way to the network, shared by all clients: each of its own would read the roots of trust again at its start, and
/// make connections of its own to the same service.
#[derive(Debug)]
struct Transport {
    client: SharedHttpClient,
    is_ready: AtomicBool,
}

impl Transport {
    fn new() -> Self {
        let client = Builder::new().build_with_connector_fn(|settings, components| {
            let mut connector = ConnectorBuilder::default()
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .proxy_config(ProxyConfig::from_env());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector.build()
        });
        Self {
            client,
            is_ready: AtomicBool::new(false),
        }
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.client.http_connector(settings, components)
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        // This is what reads the roots of trust.
        if self.is_ready.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.client.validate_base_client_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.client.connector_metadata()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_service_has_an_endpoint_of_its_own_or_that_of_all() {
        let endpoint = |service| {
            let key = ServiceConfigKey::builder()
                .service_id(service)
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url");
            of_service(&key.build().unwrap(), |name| match name {
                "AWS_ENDPOINT_URL" => Some("http://all".to_owned()),
                "AWS_ENDPOINT_URL_SQS" => Some("http://sqs".to_owned()),
                _ => None,
            })
        };
        assert_eq!(endpoint("SQS").as_deref(), Some("http://sqs"));
        assert_eq!(endpoint("DynamoDB").as_deref(), Some("http://all"));
    }
}
