//! The emulator's one source of time. Everything that decides by time asks here, so that a test can decide it.

use std::time::Duration;

use jiff::Timestamp;

/// Reads the time and waits for it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The present instant, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
