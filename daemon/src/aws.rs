//! Everything that talks to AWS. This folder alone imports `aws_sdk_*`; what leaves it are words of ours.

#[cfg(test)]
pub mod canned;
pub mod dead_letters;
pub mod discovery;
pub mod functions;
pub mod logs;
pub mod metrics;
pub mod move_tasks;
pub mod queues;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
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
    /// How long Lambda waits before it tries an asynchronous event again.
    pub retry_waits: [Duration; 2],
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

/// The variable in which a local stack tells its daemon how long its Lambda waits before each retry: `1,2`, in seconds.
pub const RETRY_WAITS: &str = "PATTERNS_RETRY_WAITS";

/// (Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".)
const AWS_RETRY_WAITS: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

/// To an open connection; beyond it the network is not there.
const CONNECT: Duration = Duration::from_secs(2);

/// A problem of many names at most this many of them.
const NAMED_MAX: usize = 5;

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
        Ok(Self::with(&shared, region.to_string()))
    }

    fn with(shared: &SdkConfig, region: String) -> Self {
        let once = RetryConfig::disabled();
        Self {
            region,
            endpoint_url: shared.endpoint_url().map(str::to_owned),
            retry_waits: retry_waits(std::env::var(RETRY_WAITS).ok().as_deref()),
            sqs: aws_sdk_sqs::Client::new(shared),
            lambda: aws_sdk_lambda::Client::new(shared),
            cloudwatch: aws_sdk_cloudwatch::Client::new(shared),
            logs: aws_sdk_cloudwatchlogs::Client::new(shared),
            sts: aws_sdk_sts::Client::new(shared),
            sqs_once: aws_sdk_sqs::Client::from_conf(
                aws_sdk_sqs::config::Builder::from(shared)
                    .retry_config(once.clone())
                    .build(),
            ),
            lambda_once: aws_sdk_lambda::Client::from_conf(
                aws_sdk_lambda::config::Builder::from(shared)
                    .retry_config(once)
                    .build(),
            ),
        }
    }

    /// The account the credentials belong to.
    pub async fn account_id(&self) -> Result<String, Problem> {
        let answer = self.sts.get_caller_identity().send().await;
        let identity = answer.map_err(|error| {
            let what = "cannot ask AWS which account this is";
            problem(what, "sts:GetCallerIdentity", &error)
        })?;
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

fn retry_waits(text: Option<&str>) -> [Duration; 2] {
    let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
    text.and_then(|text| {
        let (first, second) = text.split_once(',')?;
        Some([seconds(first)?, seconds(second)?])
    })
    .unwrap_or(AWS_RETRY_WAITS)
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

/// A failed call, which needs that `permission`, as a problem that says what to do.
fn problem<E>(what: impl Into<String>, permission: &str, error: &SdkError<E>) -> Problem
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
        .unwrap_or_default();
    let fix = if code.contains("Expired") || code.contains("InvalidClientToken") {
        "sign in again, for example with `aws sso login`".to_owned()
    } else if code.contains("AccessDenied") || code.contains("NotAuthorized") {
        format!("allow {permission} in the IAM policy of the daemon's credentials")
    } else if matches!(
        error,
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)
    ) {
        "check the network, the endpoint and the credentials".to_owned()
    } else {
        String::new()
    };
    Problem::new(ProblemKind::Upstream, what, reason(error), fix)
}

/// Several failed calls as one problem, always in the same words: which ones, and one reason for each thing to do.
pub fn together(mut problems: Vec<Problem>) -> Option<Problem> {
    problems.sort_by(|a, b| a.what.cmp(&b.what));
    if problems.len() <= 1 {
        return problems.pop();
    }
    let mut what: Vec<_> = problems
        .iter()
        .take(NAMED_MAX)
        .map(|problem| problem.what.clone())
        .collect();
    if problems.len() > NAMED_MAX {
        what.push(format!("and {} more", problems.len() - NAMED_MAX));
    }
    let kind = problems.first()?.kind;
    let mut seen = BTreeSet::new();
    // AWS names the resource in each reason: those that are mended together are alike but for that.
    problems.retain(|problem| seen.insert(problem.fix.clone()));
    let why: Vec<_> = problems
        .iter()
        .map(|problem| problem.why.as_str())
        .collect();
    let fix: Vec<_> = problems
        .iter()
        .map(|problem| problem.fix.as_str())
        .filter(|fix| !fix.is_empty())
        .collect();
    Some(Problem::new(
        kind,
        what.join("; "),
        why.join("; "),
        fix.join("; "),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_problems_are_one_that_names_each() {
        let denied = |name: &str| {
            Problem::new(
                ProblemKind::Upstream,
                format!("cannot read the queue {name}"),
                format!("AccessDenied: not {name}"),
                "allow sqs:GetQueueAttributes",
            )
        };
        let slow = Problem::new(
            ProblemKind::Upstream,
            "cannot list the functions",
            "Throttled",
            "",
        );
        assert_eq!(together(Vec::new()), None);
        assert_eq!(together(vec![denied("a")]), Some(denied("a")));
        let both = together(vec![denied("b"), slow.clone(), denied("a")]).unwrap();
        assert_eq!(
            both.what,
            "cannot list the functions; cannot read the queue a; cannot read the queue b"
        );
        assert_eq!(both.why, "Throttled; AccessDenied: not a");
        assert_eq!(both.fix, "allow sqs:GetQueueAttributes");
        let many = (0..9).map(|number| denied(&number.to_string())).collect();
        assert!(
            together(many)
                .unwrap()
                .what
                .ends_with("queue 4; and 4 more")
        );
    }

    #[test]
    fn a_local_stack_may_wait_less_than_aws() {
        let seconds = |text| retry_waits(text).map(|wait| wait.as_secs());
        assert_eq!(seconds(Some("1,2")), [1, 2]);
        for text in [None, Some(""), Some("1"), Some("1,x")] {
            assert_eq!(seconds(text), [60, 120]);
        }
    }
}
