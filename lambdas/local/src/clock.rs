//! The emulator's one source of time, which a test can move.
//!
//! What AWS decides by time (visibility, delays, retries, retention, batching windows) asks this clock. What bounds real
//! work on this machine (a function's timeout, how long a connection may be silent) counts real time.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// Furthest that the clock can be ahead in all: 100 years, so that every time stays one that clients can read.
pub const FURTHEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Reads the time and waits for it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// How far this clock is ahead of the system's. It only grows.
    ahead: Arc<watch::Sender<Duration>>,
}

/// The clock would be further ahead than [`FURTHEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock can be moved 100 years ahead in all, and this would be more; start patterns-local anew for the present time"
)]
pub struct TooFar;

impl Default for Clock {
    fn default() -> Self {
        Self {
            ahead: Arc::new(watch::Sender::new(Duration::ZERO)),
        }
    }
}

impl Clock {
    /// The present instant, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        now.checked_add(self.ahead()).unwrap_or(now)
    }

    /// How far this clock is ahead of the system's.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        *self.ahead.borrow()
    }

    /// Moves the clock forward and wakes whoever waits for a time that is now past. Time never goes back.
    pub fn advance(&self, by: Duration) -> Result<(), TooFar> {
        let mut outcome = Err(TooFar);
        self.ahead.send_if_modified(|ahead| {
            if let Some(further) = ahead.checked_add(by).filter(|further| *further <= FURTHEST) {
                *ahead = further;
                outcome = Ok(());
            }
            outcome.is_ok()
        });
        outcome
    }

    /// Waits until `duration` has passed on this clock.
    pub async fn sleep(&self, duration: Duration) {
        let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        let until = self.now().checked_add(duration).unwrap_or(Timestamp::MAX);
        self.sleep_until(until).await;
    }

    /// Waits until the clock shows `until`.
    pub async fn sleep_until(&self, until: Timestamp) {
        let mut moves = self.ahead.subscribe();
        loop {
            let left = until.duration_since(self.now());
            let Ok(left) = Duration::try_from(left) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // The sender lives as long as this clock does.
                _ = moves.changed() => {}
            }
        }
    }
}

/// Expiry of items is decided by the same clock.
impl dynoxide::storage_backend::Clock for Clock {
    fn now_unix_secs(&self) -> u64 {
        self.since_epoch().as_secs()
    }

    fn now_unix_secs_f64(&self) -> f64 {
        self.since_epoch().as_secs_f64()
    }
}

impl Clock {
    fn since_epoch(&self) -> Duration {
        SystemTime::from(self.now())
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FORTNIGHT: Duration = Duration::from_hours(14 * 24);

    #[tokio::test]
    async fn a_move_ends_the_waits_it_passes_and_no_others() {
        let clock = Clock::default();
        let before = clock.now();
        let wait_for = |duration: Duration| {
            let (clock, until) = (clock.clone(), before.checked_add(duration).unwrap());
            tokio::spawn(async move { clock.sleep_until(until).await })
        };
        let (waiting, longer) = (wait_for(FORTNIGHT), wait_for(FORTNIGHT * 3));
        clock.advance(FORTNIGHT).unwrap();
        waiting.await.unwrap();
        assert!(clock.now().duration_since(before).unsigned_abs() >= FORTNIGHT);
        assert!(!longer.is_finished());
        // Moves add up.
        clock.advance(FORTNIGHT * 2).unwrap();
        longer.await.unwrap();
        assert_eq!(clock.ahead(), FORTNIGHT * 3);
    }

    #[test]
    fn a_move_beyond_a_century_is_refused_and_changes_nothing() {
        let clock = Clock::default();
        clock.advance(FURTHEST).unwrap();
        for by in [Duration::from_nanos(1), Duration::MAX] {
            assert_eq!(clock.advance(by), Err(TooFar));
        }
        assert_eq!(clock.ahead(), FURTHEST);
        assert!(clock.now() > Timestamp::now());
    }
}
