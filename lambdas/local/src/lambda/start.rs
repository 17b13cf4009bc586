//! When another process of a function is started. On AWS that is whenever none is free; on one machine a start costs as much as many
//! invocations, and a burst of starts would leave no time for the work itself.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// This many processes start at the same time; more would only slow each other down on a small machine.
const AT_ONCE: usize = 2;

/// What a start is thought to take before the first was seen.
const GUESS: Duration = Duration::from_millis(500);

/// An invocation waits for a process to become free as long as starting one took last, because that costs at most twice what the
/// better choice would have cost; but never less or more than this.
const PATIENCE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// It waits for its turn to start one no longer than an environment may take to start; then it starts one all the same, because
/// whoever holds the turns may hang.
const TURN: Duration = Duration::from_secs(10);

/// Who may start a process now. Clones are the same.
#[derive(Clone)]
pub(super) struct Starts {
    turns: Arc<Semaphore>,
    took: Arc<Mutex<Duration>>,
}

/// The start of one process, until it has started and this is dropped.
pub(super) struct Start {
    began: Instant,
    took: Arc<Mutex<Duration>>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Starts {
    pub fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            took: Arc::new(Mutex::new(GUESS)),
        }
    }

    /// Waits until a process is to be started: after a while, if `others` run the same function and one of them may be free soon.
    pub async fn turn(self, others: bool) -> Start {
        let asked = Instant::now();
        // Again, because a start may have ended meanwhile that took longer.
        while others && asked.elapsed() < self.patience() {
            tokio::time::sleep_until(asked + self.patience()).await;
        }
        let turn = tokio::time::timeout(TURN, self.turns.acquire_owned()).await;
        Start {
            began: Instant::now(),
            took: self.took,
            _turn: turn.ok().and_then(Result::ok),
        }
    }

    fn patience(&self) -> Duration {
        let took = *self.took.lock().unwrap_or_else(PoisonError::into_inner);
        let [least, most] = PATIENCE;
        took.clamp(least, most)
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        *self.took.lock().unwrap_or_else(PoisonError::into_inner) = self.began.elapsed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_for_a_free_process_than_a_start_takes() {
        let starts = Starts::new();
        let waited = async |others| {
            let asked = Instant::now();
            let start = starts.clone().turn(others).await;
            (asked.elapsed(), start)
        };
        let (wait, start) = waited(false).await;
        assert_eq!(wait, Duration::ZERO);
        tokio::time::sleep(2 * SECOND).await;
        drop(start);
        let (wait, start) = waited(true).await;
        assert_eq!(wait, 2 * SECOND);
        drop(start);
        let (wait, _start) = waited(true).await;
        assert_eq!(wait, PATIENCE[0], "the last one took no time");
    }

    #[tokio::test(start_paused = true)]
    async fn starts_that_hang_hold_others_up_for_a_while_only() {
        let starts = Starts::new();
        let mut hanging = Vec::new();
        for _ in 0..AT_ONCE {
            hanging.push(starts.clone().turn(false).await);
        }
        let asked = Instant::now();
        starts.turn(false).await;
        assert_eq!(asked.elapsed(), TURN);
    }
}
