//! How many batches of one event source mapping run at once. The count outlives a change of the mapping, so that batches of its old
//! settings count against the limit of the new ones.

use tokio::sync::watch;

/// The running batches of one mapping. Clones are the same count.
#[derive(Clone, Debug)]
pub struct Turns(watch::Sender<u32>);

/// One batch's place, until it is dropped.
#[derive(Debug)]
pub struct Turn(watch::Sender<u32>);

impl Turns {
    /// Nothing runs.
    pub fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Waits until fewer than `most` batches run. Cancel safe.
    pub async fn take(&self, most: u32) -> Turn {
        let mut changes = self.0.subscribe();
        loop {
            let free = self.0.send_if_modified(|running| {
                let free = *running < most;
                *running += u32::from(free);
                free
            });
            if free {
                return Turn(self.0.clone());
            }
            // It cannot fail: we hold a sender.
            let _ = changes.changed().await;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_lower_limit_counts_what_runs_already() {
        let turns = Turns::new();
        // Tried once, without waiting.
        let now = |most| tokio::time::timeout(Duration::ZERO, turns.take(most));
        let first = turns.take(3).await;
        let second = turns.take(3).await;
        assert!(now(2).await.is_err());
        drop(first);
        let third = now(2).await;
        assert!(third.is_ok());
        assert!(now(2).await.is_err());
        drop((second, third));
        assert!(now(1).await.is_ok());
    }
}
