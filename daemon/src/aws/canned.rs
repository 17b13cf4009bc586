//! AWS in tests: a server on loopback that gives canned answers.

use std::sync::Arc;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Aws;

/// What a call is answered with.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    body: Value,
}

impl From<Value> for Answer {
    fn from(body: Value) -> Self {
        Self { status: 200, body }
    }
}

impl Answer {
    /// A refusal with that error code.
    pub fn error(status: u16, code: &str) -> Self {
        Self {
            status,
            body: json!({"__type": code, "message": "as the test wants it"}),
        }
    }
}

/// The credentials may not do it.
pub fn denied() -> Answer {
    Answer::error(403, "AccessDeniedException")
}

/// Too many calls.
pub fn throttled() -> Answer {
    Answer::error(429, "ThrottlingException")
}

/// A queue.
pub struct Queue {
    name: String,
    /// What calls about it name.
    pub url: String,
    redrive_policy: Option<String>,
    in_flight: u32,
    fifo: bool,
}

/// The queue of that name in the account 123456789012.
pub fn queue(name: &str) -> Queue {
    Queue {
        name: name.to_owned(),
        url: format!("http://127.0.0.1/123456789012/{name}"),
        redrive_policy: None,
        in_flight: 0,
        fifo: false,
    }
}

impl Queue {
    /// Its messages go there after three receives.
    pub fn with_dead_letter_queue(self, name: &str) -> Self {
        let arn = format!("arn:aws:sqs:eu-west-1:123456789012:{name}");
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 3});
        Self {
            redrive_policy: Some(policy.to_string()),
            ..self
        }
    }

    /// It has no message but that many, which somebody hides.
    pub fn with_in_flight(self, in_flight: u32) -> Self {
        Self { in_flight, ..self }
    }

    /// It keeps the order of its groups.
    pub fn with_fifo(self) -> Self {
        Self { fifo: true, ..self }
    }

    /// What `GetQueueAttributes` answers for it.
    pub fn answer(&self) -> Answer {
        let mut attributes = json!({
            "QueueArn": format!("arn:aws:sqs:eu-west-1:123456789012:{}", self.name),
            "ApproximateNumberOfMessages": "0",
            "ApproximateNumberOfMessagesNotVisible": self.in_flight.to_string(),
            "ApproximateNumberOfMessagesDelayed": "0",
        });
        if self.fifo {
            attributes["FifoQueue"] = "true".into();
        }
        if let Some(policy) = &self.redrive_policy {
            attributes["RedrivePolicy"] = policy.as_str().into();
        }
        json!({"Attributes": attributes}).into()
    }
}

/// A function's configuration.
pub fn function(name: &str) -> Value {
    json!({
        "FunctionName": name,
        "FunctionArn": format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}"),
    })
}

/// Clients for an AWS that gives these answers: to an SQS operation by its name, to Lambda's by method and path, with the
/// request's JSON. STS always tells the account 123456789012.
pub async fn aws(answer: impl Fn(&str, &Value) -> Answer + Send + Sync + 'static) -> Aws {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    let router = Router::new().fallback(
        move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
            respond(&*answer, &method, &uri, &headers, &body)
        },
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    let credentials = Credentials::new("any", "any", None, None, "test");
    let shared = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        // Whoever tests what happens then need not wait for retries.
        .retry_config(RetryConfig::disabled())
        .build();
    Aws::with(&shared, "eu-west-1".to_owned())
}

fn respond(
    answer: &dyn Fn(&str, &Value) -> Answer,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    if body.starts_with(b"Action=GetCallerIdentity") {
        let identity = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
                        </GetCallerIdentityResult></GetCallerIdentityResponse>";
        return identity.into_response();
    }
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok()?.strip_prefix("AmazonSQS."));
    let operation = target.map_or_else(
        || format!("{method} {}", uri.path().trim_end_matches('/')),
        str::to_owned,
    );
    let Answer { status, body } = answer(
        &operation,
        &serde_json::from_slice(body).unwrap_or_default(),
    );
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}
