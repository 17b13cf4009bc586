//! Events that must not get lost between storing something and telling of it: each is written in the same transaction as what
//! it tells of, handed over, and then removed. What stays behind, because the handing over failed or the environment ended, is
//! handed over by [`sweep`] within a minute. An event may be told twice that way; its id makes the second time a duplicate.
//!
//! The table holds only what is on its way, so reading all of it costs next to nothing.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

use crate::envelope::Envelope;
use crate::metrics;
use crate::notifier::{Notifier, NotifyError};
use crate::table::TableError;

pub mod sweep;

/// Younger events are still being handed over by the function that wrote them.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// Whoever waits for the answer does not wait for a handoff that is slow, with the SDK's retries and their pauses: the event is
/// safe. Callers behind the gateway have 3 s for everything.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A queue delays a message so long at most (Amazon SQS developer guide, "Amazon SQS delay queues"). What is due later waits here.
const MAX_DELAY: Duration = Duration::from_mins(15);

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// Names the event, however often it is told.
    #[serde(rename = "pk")]
    pub id: String,
    /// What happened; the message attribute `event`.
    pub action: String,
    /// From the request that started it all.
    pub correlation_id: String,
    /// The event itself, as JSON.
    pub body: String,
    /// When it was written, in milliseconds since 1970.
    written_at: i64,
    /// Goes to the queue for urgent events.
    #[serde(default)]
    pub urgent: bool,
    /// Is not to arrive before then, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<i64>,
}

impl Pending {
    /// An event with a body that is not an [`Envelope`].
    pub fn new(
        id: String,
        action: &str,
        correlation_id: &str,
        body: &impl Serialize,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self {
            id,
            action: action.to_owned(),
            correlation_id: correlation_id.to_owned(),
            body: serde_json::to_string(body)?,
            written_at: Timestamp::now().as_millisecond(),
            urgent: false,
            not_before: None,
        })
    }

    /// The same, for the queue of urgent events.
    #[must_use]
    pub fn urgent(self, urgent: bool) -> Self {
        Self { urgent, ..self }
    }

    /// The same, not to arrive before `time`.
    #[must_use]
    pub fn not_before(self, time: Option<Timestamp>) -> Self {
        Self {
            not_before: time.map(Timestamp::as_millisecond),
            ..self
        }
    }

    /// Whether it can leave now: at once, or delayed by its queue.
    #[must_use]
    pub fn is_sendable(&self, now: Timestamp) -> bool {
        self.wait(now) <= MAX_DELAY
    }

    /// How long its queue is to hold it back; `None` if not at all. Rounded up: it does not arrive early.
    #[must_use]
    pub fn delay_seconds(&self, now: Timestamp) -> Option<i32> {
        let wait = self.wait(now).min(MAX_DELAY);
        let seconds = i32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
        (seconds > 0).then_some(seconds)
    }

    fn wait(&self, now: Timestamp) -> Duration {
        let not_before = self.not_before.unwrap_or(i64::MIN);
        let wait = not_before.saturating_sub(now.as_millisecond());
        Duration::from_millis(u64::try_from(wait).unwrap_or(0))
    }

    /// An envelope.
    pub fn of(envelope: &Envelope) -> Result<Self, serde_json::Error> {
        Self::new(
            envelope.id.clone(),
            envelope.action.word(),
            &envelope.correlation_id,
            envelope,
        )
    }

    fn is_left_behind(&self, now: Timestamp) -> bool {
        let age = now.as_millisecond().saturating_sub(self.written_at);
        u64::try_from(age).is_ok_and(|age| Duration::from_millis(age) >= LEFT_BEHIND)
            && self.is_sendable(now)
    }
}

/// The table of events on their way, and the way they go.
#[derive(Clone, Debug)]
pub struct Outbox {
    client: aws_sdk_dynamodb::Client,
    table: String,
    notifier: Notifier,
}

impl Outbox {
    /// The table called `table`, emptied through `notifier`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String, notifier: Notifier) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
            notifier,
        }
    }

    /// Where the events go.
    #[must_use]
    pub fn notifier(&self) -> &Notifier {
        &self.notifier
    }

    /// Keeps `pending`: a part of the transaction that writes what it tells of.
    pub fn keep(&self, pending: &Pending) -> Result<TransactWriteItem, TableError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(serde_dynamo::to_item(pending)?))
            .build()?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// Removes an event that nobody needs to be told any more: a part of the transaction that makes it so.
    pub fn forget(&self, pending: &Pending) -> Result<TransactWriteItem, TableError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pending.id.clone()))
            .build()?;
        Ok(TransactWriteItem::builder().delete(delete).build())
    }

    /// Hands a kept event over and removes it. It is safe by now, so a failure is logged and counted, and left to the sweep.
    /// Answers whether it was handed over.
    pub async fn hand_over(&self, pending: &Pending) -> bool {
        let span = tracing::info_span!(
            "handoff",
            correlationId = pending.correlation_id,
            eventId = pending.id
        );
        self.tell(pending).instrument(span).await
    }

    async fn tell(&self, pending: &Pending) -> bool {
        let told = tokio::time::timeout(PATIENCE, self.notifier.tell(pending)).await;
        if let Err(error) = told.unwrap_or(Err(NotifyError::TimedOut(PATIENCE))) {
            metrics::count(metrics::HANDOFF_FAILED);
            tracing::error!(
                cause = format!("{error:?}"),
                "HandoffFailed: {error}; the event stays in the outbox"
            );
            return false;
        }
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(pending.id.clone()))
            .send()
            .await;
        if let Err(error) = removed {
            let error = aws_sdk_dynamodb::Error::from(error);
            tracing::warn!(
                cause = format!("{error:?}"),
                "an event was handed over and stays in the outbox; it will be told again"
            );
        }
        true
    }

    /// A page of what stayed behind, and where the next page begins.
    async fn left_behind(
        &self,
        from: Option<HashMap<String, AttributeValue>>,
    ) -> Result<(Vec<Pending>, Option<HashMap<String, AttributeValue>>), TableError> {
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .consistent_read(true)
            .set_exclusive_start_key(from)
            .send()
            .await?;
        let now = Timestamp::now();
        let next = page.last_evaluated_key;
        let mut pending: Vec<Pending> = serde_dynamo::from_items(page.items.unwrap_or_default())?;
        pending.retain(|pending| pending.is_left_behind(now));
        pending.sort_by_key(|pending| pending.written_at);
        Ok((pending, next))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_what_is_not_being_handed_over_any_more_was_left_behind() {
        let pending = Pending::new("a".to_owned(), "task_created", "c", &1).unwrap();
        let at =
            |milliseconds| Timestamp::from_millisecond(pending.written_at + milliseconds).unwrap();
        assert!(!pending.is_left_behind(at(-1)));
        assert!(!pending.is_left_behind(at(4_999)));
        assert!(pending.is_left_behind(at(5_000)));
    }

    #[test]
    fn what_is_due_later_waits_here_and_then_in_its_queue() {
        let pending = Pending::new("a".to_owned(), "task_created", "c", &1).unwrap();
        let at =
            |milliseconds| Timestamp::from_millisecond(pending.written_at + milliseconds).unwrap();
        let hour = pending.clone().not_before(Some(at(3_600_000)));
        assert!(!hour.is_sendable(at(0)) && !hour.is_left_behind(at(2_699_999)));
        assert!(hour.is_sendable(at(2_700_000)) && hour.is_left_behind(at(2_700_000)));
        assert_eq!(hour.delay_seconds(at(2_700_000)), Some(900));
        assert_eq!(hour.delay_seconds(at(3_598_500)), Some(2));
        assert_eq!(hour.delay_seconds(at(3_600_000)), None);
        assert_eq!(pending.delay_seconds(at(0)), None);
        assert!(pending.is_sendable(at(0)));
    }
}
