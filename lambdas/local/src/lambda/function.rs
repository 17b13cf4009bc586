//! One function: what it was configured to be, and what of it is running.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::code::Code;
use super::environment::Environment;
use super::event_config::EventConfig;
use crate::account;

/// What `UpdateFunctionConfiguration` and `UpdateFunctionCode` change. Never altered in place: an environment belongs to the
/// configuration it was started with, and is retired when another one takes its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Configuration {
    /// Name, unique in the account.
    pub name: String,
    /// `provided.al2` or `provided.al2023`.
    pub runtime: String,
    /// The role's ARN. Nothing here asks for it.
    pub role: String,
    /// Arrives in the function as `_HANDLER`.
    pub handler: String,
    /// In the user's words.
    pub description: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// In MB. Reported and passed on, not enforced.
    pub memory_mb: u32,
    /// The function's own variables.
    pub variables: BTreeMap<String, String>,
    /// Where an event goes that failed for good, besides a destination.
    pub dead_letter_target: Option<String>,
    /// `Text` or `JSON`.
    pub log_format: String,
    /// The log group, by default `/aws/lambda/NAME`.
    pub log_group: String,
    /// As named by the user; nothing here depends on it.
    pub architectures: Vec<String>,
    /// `Active` or `PassThrough`. Nothing is traced here.
    pub tracing_mode: String,
    /// The program, which is kept across runs in a file of its own.
    #[serde(skip)]
    pub code: Code,
    /// New with each change, so that two writers cannot overwrite each other unseen.
    pub revision_id: String,
    /// When it was changed last, ISO 8601.
    pub last_modified: String,
}

impl Configuration {
    /// The ARN without qualifier.
    pub fn arn(&self) -> String {
        account::function_arn(&self.name)
    }

    /// `FunctionConfiguration` of the AWS Lambda API reference. It is active at once: there is nothing to prepare.
    pub fn view(&self) -> Value {
        let (size, digest) = match &self.code {
            Code::Zip { size, digest, .. } => (*size, digest.as_str()),
            Code::Path(_) | Code::Handler => (0, ""),
        };
        let mut view = json!({
            "FunctionName": self.name,
            "FunctionArn": self.arn(),
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "CodeSize": size,
            "CodeSha256": digest,
            "Description": self.description,
            "Timeout": self.timeout.as_secs(),
            "MemorySize": self.memory_mb,
            "LastModified": self.last_modified,
            "Version": "$LATEST",
            "TracingConfig": {"Mode": self.tracing_mode},
            "RevisionId": self.revision_id,
            "State": "Active",
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": self.architectures,
            "EphemeralStorage": {"Size": 512},
            "LoggingConfig": {"LogFormat": self.log_format, "LogGroup": self.log_group},
        });
        if let Value::Object(fields) = &mut view {
            if !self.variables.is_empty() {
                fields.insert(
                    "Environment".to_owned(),
                    json!({"Variables": self.variables}),
                );
            }
            if let Some(target) = &self.dead_letter_target {
                fields.insert("DeadLetterConfig".to_owned(), json!({"TargetArn": target}));
            }
        }
        view
    }
}

/// A function and its running environments.
pub struct Function {
    /// Present configuration.
    pub configuration: Arc<Configuration>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// How asynchronous invocations are retried and where they end, if set.
    pub event_config: Option<EventConfig>,
    /// Concurrency kept for this function, which is its limit too.
    pub reserved_concurrency: Option<u32>,
    /// Each invocation that runs now holds a clone, so that it is counted until it ends in whatever way.
    pub running: Arc<()>,
    /// Warm environments of the present configuration; the one used last is at the end.
    pub idle: Vec<Environment>,
    /// Told when an environment becomes idle.
    pub freed: Arc<Notify>,
}

impl Function {
    /// A function that has not run yet.
    pub fn new(configuration: Configuration, tags: BTreeMap<String, String>) -> Self {
        Self {
            configuration: Arc::new(configuration),
            tags,
            event_config: None,
            reserved_concurrency: None,
            running: Arc::new(()),
            idle: Vec::new(),
            freed: Arc::new(Notify::new()),
        }
    }

    /// Invocations that run now.
    pub fn in_use(&self) -> u32 {
        u32::try_from(Arc::strong_count(&self.running) - 1).unwrap_or(u32::MAX)
    }

    /// Puts `configuration` in place and retires the warm environments of the old one. Busy ones retire when they are done.
    pub fn reconfigure(&mut self, configuration: Configuration) {
        self.configuration = Arc::new(configuration);
        self.idle.clear();
        self.freed.notify_waiters();
    }
}
