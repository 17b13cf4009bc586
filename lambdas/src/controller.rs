//! One function for many: what it does is the request's `function`, with arguments of its own.
//!
//! | `function` | arguments | does |
//! |---|---|---|
//! | `notifyUsers` | `id, trade, seller, date?, place?` | [tells every subscriber](notify) of the trade, each once |
//! | `sendNotification` | `id?, action, payload` | delivers one [event](crate::envelope) once |
//! | `audit` | `id, event, leed, actor, at` | [notes down](audit) what happened, once |
//! | `listTasks` | `limit?, nextToken?` | asks the function `list-tasks`, and answers when that has answered |
//!
//! It is invoked asynchronously, by those who do not wait for it, and synchronously, by those who need its answer; it cannot tell
//! and need not. Success is `{"cd": 1, "msg": …}` with what the function found. A failure is a failure of the invocation: so
//! Lambda retries it and then keeps it in the failure queue, and a caller who waits sees a `FunctionError`.

use std::time::Duration;

use lambda_runtime::{Context, Diagnostic, Error, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tracing::Instrument;

use crate::delivery::{Delivery, DeliveryError, Outcome};
use crate::envelope::{Arrived, Envelope};
use crate::idempotency::{Log, LogError};
use crate::invoker::{InvokeError, Invoker};
use crate::settings::Settings;
use crate::subscription::store::SubscriptionStore;
use crate::table::TableError;
use crate::{aws, correlation, deadline, unreadable};
use audit::Audit;
use request::{Call, RequestError, request};

pub mod audit;
pub mod notify;
pub mod request;

/// Another function has so long to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// One delivery takes no longer than this: so long does an event stay claimed when an environment ends half-way.
const ONE_WITHIN: Duration = Duration::from_secs(5);

/// Until an event is looked at again that another environment has claimed.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// It is not one.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Some were told, and these were not.
    #[error("{failed} of {all} recipients were not told of {id}; the first because {cause}")]
    NotAllTold {
        /// The leed.
        id: String,
        /// How many were not told.
        failed: usize,
        /// How many it was tried for.
        all: usize,
        /// Why the first of them was not.
        cause: DeliveryError,
    },
    /// The time ended before this part got as far as an earlier attempt of it; the next attempt gets further.
    #[error("the time to tell of {0} is used up")]
    OutOfTime(String),
    /// An event was not delivered.
    #[error(transparent)]
    Delivery(#[from] DeliveryError),
    /// The subscribers are not known.
    #[error("the subscribers cannot be listed")]
    Subscribers(#[from] TableError),
    /// It was not noted down.
    #[error("the entry was not noted down")]
    Audit(#[source] TableError),
    /// Another function gave no answer.
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    /// Whether the work was handed on is not known.
    #[error("the log of what was handed on is not available")]
    Log(#[from] LogError),
    /// A request to another function cannot be written.
    #[error("a request cannot be written")]
    Write(#[source] serde_json::Error),
}

impl ControllerError {
    /// The `errorType` that an operator reads in the failure record. The first three do not go away by themselves.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Request(RequestError::UnknownFunction(_)) => "UnknownFunction",
            Self::Request(RequestError::NotAnObject(_) | RequestError::NoFunction) => {
                "InvalidRequest"
            }
            Self::Request(RequestError::InvalidArguments { .. }) => "InvalidArguments",
            Self::NotAllTold { .. } | Self::OutOfTime(_) => "NotAllTold",
            Self::Delivery(error) => error.kind(),
            Self::Subscribers(_) => "SubscribersUnavailable",
            Self::Audit(_) => "AuditUnavailable",
            Self::Invoke(_) => "FunctionUnavailable",
            Self::Log(_) => "LogUnavailable",
            Self::Write(_) => "RequestNotWritten",
        }
    }
}

/// The controller. One per environment.
struct Controller {
    delivery: Delivery,
    subscriptions: SubscriptionStore,
    audit: Audit,
    parts: Log,
    invoker: Invoker,
    list_tasks: String,
}

/// Takes requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let controller = &Controller::start()?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Box<RawValue>>| async move {
        controller.handle(event).await
    }))
    .await
}

impl Controller {
    /// From the tables' names, `LIST_TASKS_FUNCTION_NAME`, and the variables of [`Delivery`].
    fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let subscriptions = settings.required("SUBSCRIPTIONS_TABLE");
        let audit = settings.required("AUDIT_TABLE");
        let list_tasks = settings.required("LIST_TASKS_FUNCTION_NAME");
        let parts = settings.required("PARTS_TABLE");
        let config = aws::config();
        let delivery = Delivery::start(settings, &config)?;
        Ok(Self {
            delivery,
            subscriptions: SubscriptionStore::new(&config, subscriptions),
            audit: Audit::new(&config, audit),
            parts: Log::new(&config, parts, notify::PART),
            invoker: Invoker::new(&config),
            list_tasks,
        })
    }

    async fn handle(&self, event: LambdaEvent<Box<RawValue>>) -> Result<Value, Diagnostic> {
        let json = event.payload.get();
        let correlation_id = correlation_id(json, &event.context);
        let span = tracing::info_span!("call", correlationId = correlation_id);
        async {
            self.call(json, &correlation_id, &event.context)
                .await
                .map_err(|error| {
                    tracing::error!(cause = format!("{error:?}"), "{error}");
                    Diagnostic {
                        error_type: error.kind().to_owned(),
                        error_message: error.to_string(),
                    }
                })
        }
        .instrument(span)
        .await
    }

    async fn call(
        &self,
        json: &str,
        correlation_id: &str,
        context: &Context,
    ) -> Result<Value, ControllerError> {
        let call = Call::read(json)?;
        let mut answer =
            json!({"cd": 1, "msg": format!("Mail handler invoked: {}", call.function())});
        let found = match &call {
            Call::NotifyUsers(told) => self.notify_users(told, correlation_id, context).await?,
            Call::SendNotification(event) => {
                self.send_notification(event, correlation_id, context)
                    .await?
            }
            Call::Audit(entry) => {
                let noted = self.audit.note(entry, correlation_id).await;
                json!({"duplicate": !noted.map_err(ControllerError::Audit)?})
            }
            Call::ListTasks(_) => self.list_tasks(&call, correlation_id, context).await?,
        };
        if let (Some(answer), Value::Object(found)) = (answer.as_object_mut(), found) {
            answer.extend(found);
        }
        Ok(answer)
    }

    async fn send_notification(
        &self,
        event: &Map<String, Value>,
        correlation_id: &str,
        context: &Context,
    ) -> Result<Value, ControllerError> {
        let invalid = |cause| RequestError::InvalidArguments {
            function: "sendNotification",
            cause,
        };
        let arrived = Arrived {
            request_id: correlation_id,
            ..Arrived::default()
        };
        let json = serde_json::to_vec(event).map_err(ControllerError::Write)?;
        let envelope = Envelope::read(&json, arrived).map_err(invalid)?;
        let outcome = self.deliver(&envelope, context).await?;
        Ok(json!({"duplicate": outcome == Outcome::Duplicate}))
    }

    /// Delivers one event. Waits where another environment is delivering it: that one may have ended, and its claim ends soon.
    async fn deliver(
        &self,
        envelope: &Envelope,
        context: &Context,
    ) -> Result<Outcome, DeliveryError> {
        loop {
            let within = ONE_WITHIN.min(deadline::usable(context));
            let delivered = self.delivery.deliver(envelope, within);
            match tokio::time::timeout(within, delivered).await {
                Ok(Err(DeliveryError::InProgress(_))) if deadline::usable(context) > ONE_WITHIN => {
                    tokio::time::sleep(PAUSE).await;
                }
                Ok(outcome) => return outcome,
                Err(_) => return Err(DeliveryError::OutOfTime),
            }
        }
    }

    /// Asks and waits: whoever asked for the tasks has no use for an answer without them.
    async fn list_tasks(
        &self,
        call: &Call,
        correlation_id: &str,
        context: &Context,
    ) -> Result<Value, ControllerError> {
        let question = request(call, correlation_id).map_err(ControllerError::Write)?;
        let within = ANSWER_WITHIN.min(deadline::usable(context));
        let answer = self
            .invoker
            .ask(&self.list_tasks, question.to_string(), within)
            .await?;
        Ok(answer)
    }
}

/// The request's own, or the invocation's name where it has none that can be passed on.
fn correlation_id(json: &str, context: &Context) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        correlation_id: Option<String>,
    }
    let named: Option<Named> = unreadable::object(json.as_bytes()).ok();
    named
        .and_then(|named| named.correlation_id)
        .filter(|id| correlation::is_valid(id))
        .unwrap_or_else(|| context.request_id.clone())
}
