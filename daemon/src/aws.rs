//! Everything that talks to AWS. This folder alone imports `aws_sdk_*`; what leaves it are words of ours.

pub mod dead_letters;
pub mod discovery;
pub mod functions;
pub mod logs;
pub mod metrics;
pub mod queues;

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use patterns_core::config::Config;
use patterns_core::problem::{Problem, ProblemKind};

/// The clients for one account and region.
#[derive(Clone, Debug)]
pub struct Aws {
    /// Region that is asked.
    pub region: String,
    /// Where AWS is, when it is not AWS's own address.
    pub endpoint_url: Option<String>,
    sqs: aws_sdk_sqs::Client,
    lambda: aws_sdk_lambda::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    logs: aws_sdk_cloudwatchlogs::Client,
    sts: aws_sdk_sts::Client,
    /// One attempt only: a retry of the SDK's would make duplicates that the ledger never sees.
    sqs_once: aws_sdk_sqs::Client,
    /// One attempt only, for the same reason.
    lambda_once: aws_sdk_lambda::Client,
}

/// To an open connection; beyond it the network is not there.
const CONNECT: Duration = Duration::from_secs(2);

/// For one attempt, long polls of ours (at most 2 s) included.
const ATTEMPT: Duration = Duration::from_secs(10);

impl Aws {
    /// Clients with profile, region and endpoint of the configuration, and credentials wherever the SDK finds them.
    /// Asks nothing of AWS yet.
    pub async fn connect(config: &Config) -> Result<Self, Problem> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ATTEMPT)
                .build(),
        );
        if let Some(profile) = &config.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &config.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let shared = loader.load().await;
        let region = shared.region().ok_or_else(|| {
            Problem::new(
                ProblemKind::Usage,
                "no AWS region is known",
                "neither the configuration, a flag, the environment nor the profile names one",
                "start with --region REGION, set AWS_REGION, or write region = \"REGION\" into the configuration",
            )
        })?;
        let once = RetryConfig::disabled();
        Ok(Self {
            region: region.to_string(),
            endpoint_url: shared.endpoint_url().map(str::to_owned),
            sqs: aws_sdk_sqs::Client::new(&shared),
            lambda: aws_sdk_lambda::Client::new(&shared),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&shared),
            logs: aws_sdk_cloudwatchlogs::Client::new(&shared),
            sts: aws_sdk_sts::Client::new(&shared),
            sqs_once: aws_sdk_sqs::Client::from_conf(
                aws_sdk_sqs::config::Builder::from(&shared)
                    .retry_config(once.clone())
                    .build(),
            ),
            lambda_once: aws_sdk_lambda::Client::from_conf(
                aws_sdk_lambda::config::Builder::from(&shared)
                    .retry_config(once)
                    .build(),
            ),
        })
    }

    /// The account the credentials belong to.
    pub async fn account_id(&self) -> Result<String, Problem> {
        let identity = self
            .sts
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| problem("cannot ask AWS which account this is", &error))?;
        identity.account().map(str::to_owned).ok_or_else(|| {
            Problem::new(
                ProblemKind::Upstream,
                "cannot ask AWS which account this is",
                "the answer names no account",
                "",
            )
        })
    }
}

/// Whether the service said so with this error code.
fn has_code<E: ProvideErrorMetadata>(error: &SdkError<E>, code: &str) -> bool {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .is_some_and(|actual| actual.ends_with(code))
}

/// What AWS or the way to it said, on one line.
fn reason<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let Some(service) = error.as_service_error()
        && let Some(code) = service.code()
    {
        return match service.message() {
            Some(message) => format!("{code}: {message}"),
            None => code.to_owned(),
        };
    }
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let text = inner.to_string();
        // Wrappers often repeat what they wrap.
        if !why.ends_with(&text) {
            why.push_str(": ");
            why.push_str(&text);
        }
        source = inner.source();
    }
    why
}

/// A failed call as a problem that says what to do.
fn problem<E>(what: impl Into<String>, error: &SdkError<E>) -> Problem
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default();
    let fix = if code.contains("Expired") || code.contains("InvalidClientToken") {
        "sign in again, for example with `aws sso login`"
    } else if code.contains("AccessDenied") || code.contains("NotAuthorized") {
        "allow this call in the IAM policy of the daemon's credentials"
    } else if matches!(
        error,
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)
    ) {
        "check the network, the endpoint and the credentials"
    } else {
        ""
    };
    Problem::new(ProblemKind::Upstream, what, reason(error), fix)
}
