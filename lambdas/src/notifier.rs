//! How a task function tells of what happened. Which way is the stack's choice, by environment variables.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_sqs::types::MessageAttributeValue;
use jiff::Timestamp;

use crate::controller::request::{Call, request};
use crate::envelope::{Action, Envelope};
use crate::invoker::{InvokeError, Invoker};
use crate::outbox::Pending;
use crate::settings::Settings;

/// The way an event leaves.
#[derive(Clone, Debug)]
pub enum Notifier {
    /// `NOTIFIER=none`: nobody is told anything.
    Nobody,
    /// `NOTIFIER=lambda`: the function `SEND_NOTIFICATION_FUNCTION_NAME` is invoked asynchronously.
    Lambda {
        /// Invokes it.
        invoker: Invoker,
        /// Name or ARN of the function.
        function: String,
    },
    /// `NOTIFIER=controller`: the [controller](crate::controller) `CONTROLLER_FUNCTION_NAME` is invoked asynchronously.
    Controller {
        /// Invokes it.
        invoker: Invoker,
        /// Name or ARN of the function.
        function: String,
    },
    /// `NOTIFIER=sqs`: a message to the queue `NOTIFICATION_QUEUE_URL`; an urgent one to `PRIORITY_QUEUE_URL`, if there is one.
    Sqs {
        /// Client of SQS.
        client: aws_sdk_sqs::Client,
        /// URL of the queue.
        queue_url: String,
        /// URL of the queue for urgent events.
        priority_url: Option<String>,
    },
}

/// Which way the environment chose.
pub enum Choice {
    /// See [`Notifier::Nobody`].
    Nobody,
    /// See [`Notifier::Lambda`].
    Lambda(String),
    /// See [`Notifier::Controller`].
    Controller(String),
    /// See [`Notifier::Sqs`].
    Sqs(String, Option<String>),
}

impl Choice {
    /// Reads the choice; `None` with a problem noted when there is none.
    pub fn read(settings: &mut Settings) -> Option<Self> {
        match settings.required("NOTIFIER").as_str() {
            "lambda" => Some(Self::Lambda(
                settings.required("SEND_NOTIFICATION_FUNCTION_NAME"),
            )),
            "controller" => Some(Self::Controller(
                settings.required("CONTROLLER_FUNCTION_NAME"),
            )),
            "sqs" => {
                let queue_url = settings.required("NOTIFICATION_QUEUE_URL");
                let priority_url = std::env::var("PRIORITY_QUEUE_URL").ok();
                let priority_url = priority_url.filter(|url| !url.is_empty());
                Some(Self::Sqs(queue_url, priority_url))
            }
            "none" => Some(Self::Nobody),
            "" => None,
            other => {
                settings.problem(format!(
                    "NOTIFIER is {other:?}, and must be lambda, controller, sqs or none"
                ));
                None
            }
        }
    }
}

/// Why an event did not leave.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Lambda did not take it.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// SQS refused or did not answer.
    #[error("the notification was not sent to its queue")]
    Send(#[source] Box<aws_sdk_sqs::Error>),
    /// It took too long; it may have left all the same.
    #[error("the notification was not handed over within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The message could not be built.
    #[error("the notification cannot be written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Notifier {
    /// Makes the client for `choice`.
    #[must_use]
    pub fn new(choice: Choice, config: &SdkConfig) -> Self {
        match choice {
            Choice::Nobody => Self::Nobody,
            Choice::Lambda(function) => Self::Lambda {
                invoker: Invoker::new(config),
                function,
            },
            Choice::Controller(function) => Self::Controller {
                invoker: Invoker::new(config),
                function,
            },
            Choice::Sqs(queue_url, priority_url) => Self::Sqs {
                client: aws_sdk_sqs::Client::new(config),
                queue_url,
                priority_url,
            },
        }
    }

    /// Whether the stack tells of `action`. Those who are called directly want to hear of what needs a person; changes in between
    /// are for those who read a queue.
    #[must_use]
    pub fn tells_of(&self, action: Action) -> bool {
        match self {
            Self::Nobody => false,
            Self::Lambda { .. } | Self::Controller { .. } => action != Action::TaskUpdated,
            Self::Sqs { .. } => true,
        }
    }

    /// `envelope` as whoever is told wants to have it.
    pub fn pending(&self, envelope: &Envelope) -> Result<Pending, serde_json::Error> {
        match self {
            Self::Nobody | Self::Lambda { .. } | Self::Sqs { .. } => Pending::of(envelope),
            Self::Controller { .. } => {
                let correlation_id = &envelope.correlation_id;
                let request = request(&Call::sending(envelope)?, correlation_id)?;
                let (id, word) = (envelope.id.clone(), envelope.action.word());
                Pending::new(id, word, correlation_id, &request)
            }
        }
    }

    /// Hands an event over; returns once AWS has taken it, not once it is delivered. The SDK may retry and so tell it
    /// twice: its id makes the second delivery a duplicate.
    pub async fn tell(&self, pending: &Pending) -> Result<(), NotifyError> {
        let body = pending.body.clone();
        match self {
            Self::Nobody => Ok(()),
            Self::Lambda { invoker, function } | Self::Controller { invoker, function } => {
                Ok(invoker.tell(function, body).await?)
            }
            Self::Sqs {
                client,
                queue_url,
                priority_url,
            } => {
                let urgent = priority_url.as_ref().filter(|_| pending.urgent);
                client
                    .send_message()
                    .queue_url(urgent.unwrap_or(queue_url))
                    .set_delay_seconds(pending.delay_seconds(Timestamp::now()))
                    .message_body(body)
                    .message_attributes("event", text(&pending.action)?)
                    .message_attributes("correlationId", text(&pending.correlation_id)?)
                    .send()
                    .await
                    .map_err(|error| NotifyError::Send(Box::new(error.into())))?;
                Ok(())
            }
        }
    }
}

fn text(value: &str) -> Result<MessageAttributeValue, NotifyError> {
    MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value)
        .build()
        .map_err(|error| NotifyError::Write(error.into()))
}
