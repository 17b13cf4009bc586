//! Who may receive from a dead-letter queue: one at a time, and a redrive before a look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// One [`Claim`] for each queue, by name.
#[derive(Clone, Default)]
pub struct Claims {
    queues: Arc<Mutex<HashMap<String, Arc<Claim>>>>,
}

/// The right to receive from one queue.
#[derive(Default)]
pub struct Claim {
    lock: Arc<tokio::sync::Mutex<()>>,
    waiting: AtomicUsize,
    held: AtomicU64,
}

impl Claims {
    /// The claim on that queue.
    pub fn of(&self, queue: &str) -> Arc<Claim> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(queue.to_owned()).or_default().clone()
    }
}

impl Claim {
    /// Waits for the queue; a look under way sees [`Self::wanted`] and ends early.
    pub async fn take(&self) -> OwnedMutexGuard<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let guard = self.lock.clone().lock_owned().await;
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        guard
    }

    /// The queue, when nobody has it.
    pub fn try_take(&self) -> Option<OwnedMutexGuard<()>> {
        self.lock.clone().try_lock_owned().ok()
    }

    /// Whether someone waits for the queue.
    pub fn wanted(&self) -> bool {
        self.waiting.load(Ordering::SeqCst) > 0
    }

    /// How many messages a look hides at this moment. They are in flight for SQS, and waiting for everyone else.
    pub fn held(&self) -> u64 {
        self.held.load(Ordering::SeqCst)
    }

    /// Sets what [`Self::held`] answers.
    pub fn hold(&self, messages: u64) {
        self.held.store(messages, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_seen_and_comes_next() {
        let claims = Claims::default();
        let look = claims.of("q").try_take().unwrap();
        assert!(claims.of("q").try_take().is_none());
        assert!(claims.of("other").try_take().is_some());
        let waiting = tokio::spawn({
            let claim = claims.of("q");
            async move { claim.take().await }
        });
        while !claims.of("q").wanted() {
            tokio::task::yield_now().await;
        }
        drop(look);
        let redrive = waiting.await.unwrap();
        assert!(!claims.of("q").wanted());
        assert!(claims.of("q").try_take().is_none());
        drop(redrive);
    }
}
