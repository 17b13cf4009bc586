//! What one function tells another: an event with an id that stays the same however often it is told.
//!
//! Read from three shapes: ours, `{action, payload: {task}}`, and `{task}` or `{oldTask, newTask}` with the action in the message
//! attribute `event`. What the two short ones lack follows from the task.

use jiff::Timestamp;
use patterns_core::task::Task;
use serde::{Deserialize, Serialize};

use crate::leed::About;
use crate::notification::Notification;
use crate::unreadable::{self, Unreadable};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A task was stored.
    TaskCreated,
    /// A task was changed, other than by being completed.
    TaskUpdated,
    /// A task was completed that was not before.
    TaskCompleted,
    /// A task was removed.
    TaskDeleted,
    /// Somebody needs a trade's work.
    LeedOffered,
    /// Somebody has bought a leed.
    LeedSold,
    /// Somebody is to be told something.
    SendNotification,
}

impl Action {
    /// The word in JSON and in the `event` message attribute.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::TaskCreated => "task_created",
            Self::TaskUpdated => "task_updated",
            Self::TaskCompleted => "task_completed",
            Self::TaskDeleted => "task_deleted",
            Self::LeedOffered => "leed_offered",
            Self::LeedSold => "leed_sold",
            Self::SendNotification => "send_notification",
        }
    }
}

/// An event on its way.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Names the event itself and guards against delivering it twice. Never the SQS message id: a redriven message gets a
    /// new one.
    pub id: String,
    /// What happened.
    pub action: Action,
    /// From the request that started it all.
    pub correlation_id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The function that tells it.
    pub source: String,
    /// What it happened to.
    pub payload: Payload,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Payload {
    /// A task.
    Task {
        /// As it is after the event; as it was before, when it was deleted.
        task: Task,
    },
    /// A leed that somebody is to be told of.
    Leed {
        /// Which.
        leed: About,
        /// Whom to tell.
        recipient: String,
    },
    /// Something that somebody is to be told.
    Notification {
        /// Whom, what, and how.
        notification: Notification,
    },
}

/// What came with an event, beside it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrived<'a> {
    /// The message attribute `event`.
    pub event: Option<&'a str>,
    /// The message attribute `correlationId`.
    pub correlation_id: Option<&'a str>,
    /// Lambda's name for the invocation or SQS's for the message: the correlation id of an event that came without one.
    pub request_id: &'a str,
}

/// The three shapes in one: everything may be missing but the task.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    id: Option<String>,
    action: Option<Action>,
    correlation_id: Option<String>,
    occurred_at: Option<Timestamp>,
    source: Option<String>,
    payload: Option<Subject>,
    task: Option<Task>,
    new_task: Option<Task>,
}

/// A [`Payload`] on arrival; the action says which it must hold.
#[derive(Default, Deserialize)]
struct Subject {
    task: Option<Task>,
    leed: Option<About>,
    recipient: Option<String>,
    notification: Option<Notification>,
}

impl Envelope {
    /// Tells that `action` happened to `task`. The id is a function of both, so telling it again is recognised.
    #[must_use]
    pub fn new(action: Action, task: Task, correlation_id: String, source: &str) -> Self {
        Self {
            id: id(action, &task),
            action,
            correlation_id,
            occurred_at: task.updated_at,
            source: source.to_owned(),
            payload: Payload::Task { task },
        }
    }

    /// Tells `recipient` of a leed. The id is a function of the action and both, so telling it again is recognised.
    #[must_use]
    pub fn of_leed(
        action: Action,
        leed: About,
        recipient: String,
        at: Timestamp,
        correlation_id: &str,
    ) -> Self {
        let id = match action {
            Action::LeedOffered => format!("{}-{recipient}", leed.id),
            _ => format!("{}-{}", action.word(), leed.id),
        };
        Self {
            id,
            action,
            correlation_id: correlation_id.to_owned(),
            occurred_at: at,
            source: "controller".to_owned(),
            payload: Payload::Leed { leed, recipient },
        }
    }

    /// Asks for `notification` to be sent. Asking again under the same `id` is recognised.
    #[must_use]
    pub fn notification(
        id: String,
        notification: Notification,
        correlation_id: String,
        source: &str,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            action: Action::SendNotification,
            correlation_id,
            occurred_at: now,
            source: source.to_owned(),
            payload: Payload::Notification { notification },
        }
    }

    /// Reads an event in any of its shapes.
    pub fn read(json: &[u8], arrived: Arrived<'_>) -> Result<Self, Unreadable> {
        let shape: Shape = unreadable::object(json)?;
        let lacks = Unreadable::lacks;
        let action = match (shape.action, arrived.event) {
            (Some(action), _) => action,
            (None, Some(word)) => serde_json::from_value(word.into())?,
            (None, None) => return Err(lacks("action")),
        };
        let correlation_id = shape
            .correlation_id
            .or(arrived.correlation_id.map(str::to_owned))
            .unwrap_or_else(|| arrived.request_id.to_owned());
        let subject = shape.payload.unwrap_or_default();
        let plain = match action {
            Action::LeedOffered | Action::LeedSold => {
                let leed = subject.leed.ok_or_else(|| lacks("leed"))?;
                let recipient = subject.recipient.ok_or_else(|| lacks("recipient"))?;
                let at = shape.occurred_at.ok_or_else(|| lacks("occurredAt"))?;
                Self::of_leed(action, leed, recipient, at, &correlation_id)
            }
            Action::SendNotification => {
                let notification = subject.notification.ok_or_else(|| lacks("payload"))?;
                let id = shape.id.clone().ok_or_else(|| lacks("id"))?;
                let now = Timestamp::now();
                Self::notification(id, notification, correlation_id, "unknown", now)
            }
            Action::TaskCreated
            | Action::TaskUpdated
            | Action::TaskCompleted
            | Action::TaskDeleted => {
                let task = subject.task.or(shape.task).or(shape.new_task);
                let task = task.ok_or_else(|| lacks("payload"))?;
                Self::new(action, task, correlation_id, "unknown")
            }
        };
        Ok(Self {
            id: shape.id.unwrap_or(plain.id),
            occurred_at: shape.occurred_at.unwrap_or(plain.occurred_at),
            source: shape.source.unwrap_or(plain.source),
            ..plain
        })
    }
}

fn id(action: Action, task: &Task) -> String {
    let word = action.word();
    match action {
        // A task can be changed and completed more than once; the time of the change tells these apart.
        Action::TaskUpdated | Action::TaskCompleted => {
            format!("{word}-{}-{}", task.id, task.updated_at)
        }
        _ => format!("{word}-{}", task.id),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use serde_json::{Value, json};

    use super::*;

    fn task() -> Task {
        Task {
            id: "7".to_owned(),
            title: "x".to_owned(),
            detail: None,
            due_at: None,
            is_complete: false,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    fn read(json: &Value, arrived: Arrived<'_>) -> Result<Envelope, String> {
        Envelope::read(json.to_string().as_bytes(), arrived).map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_event_has_the_same_id() {
        let tell = |action| Envelope::new(action, task(), "c".to_owned(), "create-task");
        assert_eq!(tell(Action::TaskCreated).id, "task_created-7");
        assert_eq!(
            tell(Action::TaskUpdated).id,
            "task_updated-7-1970-01-01T00:00:00Z"
        );
        let json = serde_json::to_value(tell(Action::TaskCreated)).unwrap();
        assert_eq!(json["action"], "task_created");
        assert_eq!(json["correlationId"], "c");
        assert_eq!(
            read(&json, Arrived::default()).unwrap(),
            tell(Action::TaskCreated)
        );
    }

    #[test]
    fn d12_the_correlation_id_is_in_the_event_itself() {
        let envelope = Envelope::new(Action::TaskCreated, task(), "c-1".to_owned(), "s");
        let json = serde_json::to_value(envelope).unwrap();
        let arrived = Arrived {
            correlation_id: Some("another"),
            request_id: "a new message id",
            ..Arrived::default()
        };
        assert_eq!(read(&json, arrived).unwrap().correlation_id, "c-1");
    }

    #[test]
    fn what_somebody_is_to_be_told_is_an_event_too() {
        let json = json!({"id": "welcome-email-7", "action": "send_notification", "correlationId": "c",
            "occurredAt": "1970-01-01T00:00:00Z", "source": "auth",
            "payload": {"notification": {"to": "a@b.example", "subject": "s", "body": "b", "type": "email"}}});
        let envelope = read(&json, Arrived::default()).unwrap();
        assert_eq!(serde_json::to_value(envelope).unwrap(), json);
    }

    #[test]
    fn the_short_shapes_are_events_too() {
        let arrived = Arrived {
            event: Some("task_updated"),
            correlation_id: None,
            request_id: "request-1",
        };
        let handoff = json!({"action": "task_created", "payload": {"task": task()}});
        let read_from = |json| read(&json, arrived).unwrap();
        assert_eq!(read_from(handoff).id, "task_created-7");
        let both = json!({"oldTask": task(), "newTask": task()});
        for leveling in [json!({"task": task()}), both] {
            let envelope = read_from(leveling);
            assert_eq!(envelope.action, Action::TaskUpdated);
            assert_eq!(envelope.correlation_id, "request-1");
        }
    }

    #[test]
    fn an_event_of_a_leed_names_its_recipient_in_its_id() {
        let about = json!({"id": "7", "trade": "clowns", "seller": "ada"});
        let about: About = serde_json::from_value(about).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let offered = Envelope::of_leed(Action::LeedOffered, about, "bob".to_owned(), at, "c-1");
        assert_eq!(offered.id, "7-bob");
        let json = serde_json::to_value(&offered).unwrap();
        assert_eq!(
            read(&json, Arrived::default()).unwrap(),
            Envelope {
                source: "controller".to_owned(),
                ..offered
            }
        );
    }

    #[test]
    fn what_cannot_be_told_is_an_error_and_says_why() {
        for (json, arrived, part) in [
            (json!({"payload": {"task": task()}}), None, "action"),
            (
                json!({"action": 5, "payload": {"task": task()}}),
                None,
                "expected value",
            ),
            (
                json!({"action": "task_eaten", "payload": {"task": task()}}),
                None,
                "task_eaten",
            ),
            (json!({"task": task()}), Some("task_eaten"), "task_eaten"),
            (json!({"action": "task_created"}), None, "payload"),
            (
                json!({"action": "leed_sold", "payload": {"task": task()}}),
                None,
                "leed",
            ),
            (
                json!({"id": "a", "action": "send_notification", "payload": {"task": task()}}),
                None,
                "payload",
            ),
            (
                json!({"action": "send_notification", "payload": {"notification":
                    {"to": "a@b.example", "subject": "s", "body": "b", "type": "email"}}}),
                None,
                "id",
            ),
            (json!("task_created"), None, "object"),
        ] {
            let arrived = Arrived {
                event: arrived,
                ..Arrived::default()
            };
            let error = read(&json, arrived).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
