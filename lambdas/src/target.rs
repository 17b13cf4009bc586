//! Another service, called synchronously: a function of this account, or an address.
//!
//! A function gets the event that an HTTP API would give it, so a service is the same code behind an HTTP API, behind the
//! gateway, and called by another service.
//!
//! Calls are made once: a second attempt of a `POST` could do twice what was asked once.

use std::str::FromStr;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_sdk_lambda::primitives::Blob;
use lambda_http::http::{HeaderMap, HeaderValue, Method, Response};
use reqwest::Url;

use crate::settings::Settings;

mod event;
mod reply;

/// A function neither takes nor gives more than 6 MB (AWS Lambda developer guide, "Lambda quotas").
pub const MAX_BYTES: usize = 6 * 1024 * 1024;

/// A connection that takes longer to be made will not be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `lambda://<name>`: a function of this account and region.
    Lambda(String),
    /// `http://…` or `https://…`; a path in it comes before that of each request.
    Http(Url),
}

/// What a target looks like, for messages.
pub const EXPECTED: &str = "lambda://<function>, http://<host> or https://<host>";

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not {EXPECTED}");
        if let Some(function) = text.strip_prefix("lambda://") {
            let named = !function.is_empty()
                && function
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(&byte));
            return named
                .then(|| Self::Lambda(function.to_owned()))
                .ok_or_else(wrong);
        }
        match Url::parse(text) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.query().is_none()
                    && url.fragment().is_none() =>
            {
                Ok(Self::Http(url))
            }
            _ => Err(wrong()),
        }
    }
}

impl Target {
    /// The target that the variable `name` holds, which must be set.
    pub fn read(settings: &mut Settings, name: &str) -> Option<Self> {
        let value = settings.required(name);
        if value.is_empty() {
            return None;
        }
        value
            .parse()
            .map_err(|wrong| settings.problem(format!("{name}: {wrong}")))
            .ok()
    }
}

/// A request to a service.
#[derive(Clone, Debug)]
pub struct Call {
    /// `GET`, `POST`, …
    pub method: Method,
    /// With its leading `/`, percent-encoded as the client sent it.
    pub path: String,
    /// Without `?`; empty if there is none.
    pub query: String,
    /// All that are to arrive.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Vec<u8>,
}

impl Call {
    /// A call without a body, on behalf of the request named by `correlation_id`.
    #[must_use]
    pub fn get(path: &str, correlation_id: &str) -> Self {
        let mut headers = HeaderMap::new();
        if let Ok(id) = HeaderValue::from_str(correlation_id) {
            headers.insert(crate::correlation::HEADER, id);
        }
        Self {
            method: Method::GET,
            path: path.to_owned(),
            query: String::new(),
            headers,
            body: Vec::new(),
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody is there, or what is there broke.
    #[error("the service cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not answer in time. What it was asked may be done or not.
    #[error("the service did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The request is more than a function takes.
    #[error("the request is larger than 6 MB")]
    TooLarge,
}

impl CallError {
    fn unreachable(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unreachable(cause.into())
    }
}

/// Calls services. One per environment.
#[derive(Clone, Debug)]
pub struct Caller {
    lambda: aws_sdk_lambda::Client,
    http: reqwest::Client,
}

impl Caller {
    /// `config` brings the credentials; attempts and timeouts are the caller's own.
    pub fn new(config: &SdkConfig) -> Result<Self, reqwest::Error> {
        let once = aws_sdk_lambda::config::Builder::from(config)
            .retry_config(aws_sdk_lambda::config::retry::RetryConfig::disabled())
            .timeout_config(
                aws_sdk_lambda::config::timeout::TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .build(),
            )
            .build();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // An answer that leads elsewhere is the client's to follow.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            lambda: aws_sdk_lambda::Client::from_conf(once),
            http,
        })
    }

    /// The answer of `target`, whatever its status, within `timeout`.
    pub async fn call(
        &self,
        target: &Target,
        call: Call,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, CallError> {
        let answered = async {
            match target {
                Target::Lambda(function) => self.invoke(function, &call, timeout).await,
                Target::Http(base) => self.request(base, call).await,
            }
        };
        tokio::time::timeout(timeout, answered)
            .await
            .unwrap_or(Err(CallError::TimedOut(timeout)))
    }

    async fn invoke(
        &self,
        function: &str,
        call: &Call,
        timeout: Duration,
    ) -> Result<Response<Vec<u8>>, CallError> {
        let event = event::event(call).to_string();
        if event.len() > MAX_BYTES {
            return Err(CallError::TooLarge);
        }
        let invoked = self
            .lambda
            .invoke()
            .function_name(function)
            .payload(Blob::new(event))
            .send()
            .await
            .map_err(|error| match error {
                SdkError::TimeoutError(_) => CallError::TimedOut(timeout),
                error => CallError::unreachable(aws_sdk_lambda::Error::from(
                    error as SdkError<InvokeError>,
                )),
            })?;
        let payload = invoked.payload().map(AsRef::as_ref).unwrap_or_default();
        if let Some(kind) = invoked.function_error() {
            let what = String::from_utf8_lossy(payload);
            return Err(CallError::unreachable(format!("{kind} error: {what}")));
        }
        reply::response(payload).map_err(CallError::unreachable)
    }

    async fn request(&self, base: &Url, call: Call) -> Result<Response<Vec<u8>>, CallError> {
        let mut url = base.clone();
        url.set_path(&format!(
            "{}{}",
            base.path().trim_end_matches('/'),
            call.path
        ));
        url.set_query((!call.query.is_empty()).then_some(&call.query));
        let mut answer = self
            .http
            .request(call.method, url)
            .headers(call.headers)
            .body(call.body)
            .send()
            .await
            .map_err(CallError::unreachable)?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        while let Some(chunk) = answer.chunk().await.map_err(CallError::unreachable)? {
            let body = response.body_mut();
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(CallError::unreachable("its answer is larger than 6 MB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_function_or_an_address() {
        let target = |text: &str| text.parse::<Target>();
        assert_eq!(
            target("lambda://stack-auth"),
            Ok(Target::Lambda("stack-auth".to_owned()))
        );
        assert!(matches!(
            target("https://auth.example/v1"),
            Ok(Target::Http(_))
        ));
        for wrong in [
            "",
            "lambda://",
            "lambda://a b",
            "ftp://x",
            "auth",
            "http://x/?a=b",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
