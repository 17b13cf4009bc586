//! Messages that a run has received: which worker deals with them, which are left alone, which are deleted.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::point::reach;
use super::run::{Message, Run, lock};
use crate::database::DatabaseError;
use crate::ledger::{Outcome, Step};
use crate::letter::Letter;
use crate::state::Reading;

/// Messages met and left alone, that are kept hidden until the end. SQS allows 120 000 in flight.
pub const HELD_MAX: usize = 100_000;

/// How long they are hidden, so that a crash does not hide them for longer than necessary.
pub const HELD_SECONDS: i32 = 120;

/// The same where consumers wait for them, in seconds: long enough for a sweep over a queue of some thousand messages. They
/// become visible by themselves then, and a consumer may have them.
const HELD_BRIEFLY_SECONDS: i32 = 5;

impl Run {
    /// Whether this run takes back what another one sent, out of a queue that has consumers.
    pub(super) fn takes_back(&self) -> bool {
        self.task.plan.takes_back.is_some()
    }

    /// Remembers which messages were met in a queue that lives; whether one of these is new.
    pub(super) fn meet(&self, letters: &[Letter]) -> bool {
        let mut met = lock(&self.met);
        let before = met.len();
        met.extend(letters.iter().map(|letter| letter.message_id.clone()));
        let new = met.len() > before;
        if new {
            *lock(&self.new_at) = Instant::now();
        }
        new
    }

    /// Takes messages in hand; answers with those that no worker has already. A stalled worker's messages become visible
    /// and are received by another, which must not deal with them a second time.
    pub(super) fn take_in_hand(&self, letters: Vec<Letter>) -> Vec<Letter> {
        let mut in_hand = lock(&self.in_hand);
        letters
            .into_iter()
            .filter(|letter| {
                in_hand
                    .insert(letter.message_id.clone(), letter.receipt_handle.clone())
                    .is_none()
            })
            .collect()
    }

    /// Those of the messages that were not let go.
    pub(super) fn still_in_hand(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let in_hand = lock(&self.in_hand);
        messages.retain(|(id, _)| in_hand.contains_key(id));
        messages
    }

    /// Handles of those of the messages that were not let go.
    pub(super) fn newest_handles(&self, messages: &[Message]) -> Vec<String> {
        let in_hand = lock(&self.in_hand);
        messages
            .iter()
            .filter_map(|(id, _)| in_hand.get(id).cloned())
            .collect()
    }

    /// Lets messages go; answers with the newest receipt handle of each, for only that one deletes reliably.
    fn let_go(&self, messages: Vec<Message>) -> Vec<Message> {
        let mut in_hand = lock(&self.in_hand);
        messages
            .into_iter()
            .map(|(id, handle)| {
                let newest = in_hand.remove(&id).unwrap_or(handle);
                (id, newest)
            })
            .collect()
    }

    /// Leaves messages alone, hidden, until the run ends.
    pub(super) async fn hold(&self, messages: Vec<Message>) {
        let messages = self.let_go(messages);
        // Many others may be met on the way to a few chosen ones; the later they come back, the fewer are met twice.
        if !self.everything() {
            let handles: Vec<_> = messages.iter().map(|(_, handle)| handle.clone()).collect();
            let aws = &self.engine.aws;
            let seconds = if self.takes_back() {
                HELD_BRIEFLY_SECONDS
            } else {
                HELD_SECONDS
            };
            aws.hide(&self.queue.url, &handles, seconds).await;
            if self.takes_back() {
                return;
            }
        }
        let mut held = lock(&self.held);
        held.extend(messages);
        if held.len() >= HELD_MAX {
            self.over.store(true, Ordering::SeqCst);
        }
    }

    /// Makes messages visible again.
    pub(super) async fn put_back(&self, messages: Vec<Message>) {
        {
            // Before it is let go: see `perhaps_met_all`.
            let mut met = lock(&self.met);
            for (id, _) in &messages {
                met.remove(id);
            }
        }
        let messages = self.let_go(messages);
        self.release(messages.into_iter().map(|(_, handle)| handle).collect())
            .await;
    }

    /// Makes messages visible that are in no worker's hand.
    pub(super) async fn release(&self, handles: Vec<String>) {
        if handles.is_empty() {
            return;
        }
        reach("before_release");
        self.engine.aws.hide(&self.queue.url, &handles, 0).await;
        reach("after_release");
    }

    /// Deletes messages that are *sent* in the ledger. What fails stays *sent*.
    pub(super) async fn delete(&self, messages: Vec<Message>) -> Vec<String> {
        if messages.is_empty() {
            return Vec::new();
        }
        let call = self.room.deletes.acquire().await;
        let (ids, handles): (Vec<_>, Vec<_>) = self.let_go(messages).into_iter().unzip();
        reach("before_delete");
        let results = self.engine.aws.delete(&self.queue.url, &handles).await;
        reach("after_delete");
        drop(call);
        let mut gone = Vec::new();
        for (message_id, result) in ids.into_iter().zip(results) {
            match result {
                Ok(()) => gone.push(message_id),
                Err(why) => {
                    tracing::warn!(
                        message_id,
                        why,
                        "sent, but not deleted; it will be when met again"
                    );
                }
            }
        }
        lock(&self.deleted).extend(gone.iter().map(|message_id| Outcome {
            message_id: message_id.clone(),
            step: Step::Deleted,
        }));
        lock(&self.gone).extend(gone.iter().cloned());
        gone
    }

    /// Takes what was deleted out of the mirror; no batch waits for that.
    pub(super) async fn forget_gone(&self) {
        let gone = std::mem::take(&mut *lock(&self.gone));
        if gone.is_empty() || self.takes_back() {
            return;
        }
        let store = &self.engine.mirror.store;
        match store.remove(&self.queue.arn, &gone).await {
            Ok(count) => {
                let queue = self.queue.name.clone();
                let reading = Reading::Mirrored { queue, count };
                self.engine.state.report(reading).await;
            }
            Err(error) => {
                tracing::debug!(%error, "the mirror shows deleted events until it can be written");
                lock(&self.gone).extend(gone);
            }
        }
    }

    /// Deletions that wait to be written down.
    pub(super) fn take_deleted(&self) -> Vec<Outcome> {
        std::mem::take(&mut lock(&self.deleted))
    }

    /// Writes down the deletions that wait.
    pub(super) async fn write_deleted(&self) -> Result<(), DatabaseError> {
        let outcomes = self.take_deleted();
        if outcomes.is_empty() {
            return Ok(());
        }
        reach("before_deleted");
        self.engine.ledger.settle(self.id(), outcomes).await?;
        reach("after_deleted");
        Ok(())
    }
}
