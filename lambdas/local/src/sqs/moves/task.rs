//! One message move task: how fast it goes and how it ends. It takes the time and does nothing by itself.

use serde_json::{Map, Value};

/// Most messages that a task moves in a second, and what one without a rate of its own moves ("`StartMessageMoveTask`").
pub(in super::super) const MAX_RATE: u32 = 500;

/// How long a task may run ("Configure a dead-letter queue redrive").
const MAX_RUN_MS: i64 = 36 * 60 * 60 * 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Status {
    Running,
    Completed,
    Cancelled,
    Failed(&'static str),
}

#[derive(Debug)]
pub(in super::super) struct Task {
    pub handle: String,
    /// Without it messages go back to where their redrive policy took them from.
    pub destination_arn: Option<String>,
    /// Messages a second, if the caller set it.
    pub rate: Option<u32>,
    /// Messages that were visible when the task began; it ends with them, whatever arrives meanwhile.
    pub to_move: usize,
    pub moved: usize,
    pub status: Status,
    /// Epoch milliseconds.
    pub started_at: i64,
}

impl Task {
    /// How many messages are to be moved now, and the milliseconds until the next one after them.
    pub fn due(&self, now: i64) -> (usize, u64) {
        let rate = i64::from(self.rate.unwrap_or(MAX_RATE));
        let elapsed = (now - self.started_at).max(0);
        // The first at once, the others evenly after it.
        let due = 1 + elapsed * rate / 1000;
        let next_at = (due * 1000 + rate - 1) / rate;
        let due = usize::try_from(due).unwrap_or(usize::MAX).min(self.to_move);
        let wait = u64::try_from(next_at - elapsed).unwrap_or(1);
        (due.saturating_sub(self.moved), wait)
    }

    /// Whether it has run for as long as a task may.
    pub fn is_overdue(&self, now: i64) -> bool {
        now - self.started_at >= MAX_RUN_MS
    }

    /// As `ListMessageMoveTasks` shows it; a handle is of use only while the task runs.
    pub fn shown(&self, source_arn: &str) -> Value {
        let mut fields = Map::new();
        let status = match self.status {
            Status::Running => "RUNNING",
            Status::Completed => "COMPLETED",
            Status::Cancelled => "CANCELLED",
            Status::Failed(_) => "FAILED",
        };
        fields.insert("Status".to_owned(), status.into());
        fields.insert("SourceArn".to_owned(), source_arn.into());
        if self.status == Status::Running {
            fields.insert("TaskHandle".to_owned(), self.handle.clone().into());
        }
        if let Status::Failed(reason) = self.status {
            fields.insert("FailureReason".to_owned(), reason.into());
        }
        if let Some(destination) = &self.destination_arn {
            fields.insert("DestinationArn".to_owned(), destination.clone().into());
        }
        if let Some(rate) = self.rate {
            fields.insert("MaxNumberOfMessagesPerSecond".to_owned(), rate.into());
        }
        for (name, count) in [
            ("ApproximateNumberOfMessagesMoved", self.moved),
            ("ApproximateNumberOfMessagesToMove", self.to_move),
        ] {
            fields.insert(name.to_owned(), count.into());
        }
        fields.insert("StartedTimestamp".to_owned(), self.started_at.into());
        fields.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(rate: Option<u32>, moved: usize) -> Task {
        Task {
            handle: "handle".to_owned(),
            destination_arn: None,
            rate,
            to_move: 1000,
            moved,
            status: Status::Running,
            started_at: 5_000,
        }
    }

    #[test]
    fn messages_are_due_evenly_at_the_rate() {
        assert_eq!(task(Some(1), 0).due(5_000), (1, 1_000));
        assert_eq!(task(Some(1), 1).due(5_400), (0, 600));
        assert_eq!(task(Some(1), 1).due(6_000), (1, 1_000));
        assert_eq!(task(Some(3), 0).due(5_500), (2, 167));
        assert_eq!(task(None, 100).due(6_000), (401, 2));
        assert_eq!(
            task(None, 100).due(605_000).0,
            900,
            "never more than there were"
        );
        assert_eq!(
            task(Some(1), 0).due(4_000),
            (1, 1_000),
            "the clock went back"
        );
    }

    #[test]
    fn a_task_may_run_for_36_hours() {
        assert!(!task(None, 0).is_overdue(5_000 + 36 * 3_600_000 - 1));
        assert!(task(None, 0).is_overdue(5_000 + 36 * 3_600_000));
    }
}
