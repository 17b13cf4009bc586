//! What one function tells another: an event with an id that stays the same however often it is told.

use jiff::Timestamp;
use patterns_core::task::Task;
use serde::{Deserialize, Serialize};

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
        }
    }
}

/// An event on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payload {
    /// The task as it is after the event; as it was before, when it was deleted.
    pub task: Task,
}

impl Envelope {
    /// Tells that `action` happened to `task`. The id is a function of both, so telling it again is recognised.
    #[must_use]
    pub fn new(action: Action, task: Task, correlation_id: String, source: &str) -> Self {
        let word = action.word();
        let id = match action {
            // A task can be changed and completed more than once; the time of the change tells these apart.
            Action::TaskUpdated | Action::TaskCompleted => {
                format!("{word}-{}-{}", task.id, task.updated_at)
            }
            Action::TaskCreated | Action::TaskDeleted => format!("{word}-{}", task.id),
        };
        Self {
            id,
            action,
            correlation_id,
            occurred_at: task.updated_at,
            source: source.to_owned(),
            payload: Payload { task },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_has_the_same_id() {
        let task = Task {
            id: "7".to_owned(),
            title: "x".to_owned(),
            detail: None,
            due_at: None,
            is_complete: false,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let tell = |action| Envelope::new(action, task.clone(), "c".to_owned(), "create-task");
        assert_eq!(tell(Action::TaskCreated).id, "task_created-7");
        assert_eq!(
            tell(Action::TaskUpdated).id,
            "task_updated-7-1970-01-01T00:00:00Z"
        );
        let json = serde_json::to_value(tell(Action::TaskCreated)).unwrap();
        assert_eq!(json["action"], "task_created");
        assert_eq!(json["correlationId"], "c");
        assert_eq!(
            serde_json::from_value::<Envelope>(json).unwrap(),
            tell(Action::TaskCreated)
        );
    }
}
