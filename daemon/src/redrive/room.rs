//! How much of a redrive is under way at once: calls of each kind, and bytes.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::aws::dead_letters::BATCH;
use crate::letter::Letter;

/// Calls of one kind in flight: receives, sends, deletes.
pub const CALLS: usize = 16;

/// Events that may be sent and not yet be known to be: a crash makes at most this many duplicates.
pub const IN_HAND_MAX: usize = CALLS * BATCH;

/// Messages in memory have at most this many bytes together, as far as they can be foreseen; counted in KiB.
const BYTES_KIB: u32 = 64 * 1024;

/// What a receive is expected to bring until the first has answered: ten messages of 100 KiB.
const EXPECTED_KIB: u32 = 1024;

/// What a receive may bring at most: ten messages of 1 MiB. (SQS API Reference, `ReceiveMessage`.)
const LARGEST_KIB: u32 = 10 * 1024;

/// The limits.
pub struct Room {
    pub(super) receives: Semaphore,
    /// Held from the intent until *sent* is durable: a crash leaves no more than this many batches in doubt. There are more of
    /// them than `sends`, so that intents are written down while other batches are sent.
    pub(super) intents: Semaphore,
    /// Held from the call until *sent* is durable: a crash makes no more than this many batches go twice. Closed when *sent*
    /// cannot be written down.
    pub(super) sends: Semaphore,
    pub(super) deletes: Semaphore,
    bytes: Semaphore,
    expected: AtomicU32,
}

impl Room {
    /// For batches of which so many may be sent at once. Where the time from an intent to its send counts, none is `ahead`.
    pub fn new(sends: usize, ahead: bool) -> Self {
        Self {
            receives: Semaphore::new(CALLS),
            intents: Semaphore::new(if ahead { 2 * sends } else { sends }),
            sends: Semaphore::new(sends),
            deletes: Semaphore::new(CALLS),
            bytes: Semaphore::new(usize::try_from(BYTES_KIB).unwrap_or(0)),
            expected: AtomicU32::new(EXPECTED_KIB),
        }
    }

    /// Waits until a receive may bring as much as the largest so far.
    pub async fn reserve(&self) -> Option<SemaphorePermit<'_>> {
        let expected = self.expected.load(Ordering::SeqCst);
        self.bytes.acquire_many(expected).await.ok()
    }

    /// Corrects a reservation to what was received. Where that is more than there is room for it is here already, and the
    /// next receives wait for it.
    pub fn correct<'a>(&'a self, reserved: &mut Option<SemaphorePermit<'a>>, letters: &[Letter]) {
        let bytes: usize = letters.iter().map(Letter::size).sum();
        let kib = u32::try_from(bytes.div_ceil(1024))
            .unwrap_or(u32::MAX)
            .min(LARGEST_KIB);
        let Some(permit) = reserved else { return };
        let reserved = u32::try_from(permit.num_permits()).unwrap_or(u32::MAX);
        if kib > reserved {
            self.expected.fetch_max(kib, Ordering::SeqCst);
            if let Ok(more) = self.bytes.try_acquire_many(kib - reserved) {
                permit.merge(more);
            }
        } else {
            let spare = usize::try_from(reserved - kib).unwrap_or(0);
            drop(permit.split(spare));
        }
    }
}

/// How many batches are worked on at once: enough to keep [`CALLS`] of each of the three kinds of call in flight, and no
/// more than there is to do. A cap asks for few: a batch takes far less than a second.
pub fn workers(planned: u64, chosen: bool, cap: Option<f64>, careful: bool) -> usize {
    const FEWEST: usize = 3;
    if careful {
        return 1;
    }
    let batches = usize::try_from(planned)
        .unwrap_or(usize::MAX)
        .div_ceil(BATCH);
    // Many others may be met on the way to a few chosen ones.
    let most = if chosen {
        CALLS
    } else {
        batches.clamp(FEWEST, 3 * CALLS)
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast saturates, and a cap is above 0"
    )]
    let needed = cap.map_or(most, |cap| (cap / 10.0).ceil() as usize);
    most.min(needed.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::letter;

    #[tokio::test]
    async fn large_messages_leave_room_for_few_receives() {
        let room = Room::new(CALLS, true);
        let large = vec![letter("m", &"x".repeat(1_048_576)); 10];
        let mut held = Vec::new();
        let mut first = room.reserve().await;
        room.correct(&mut first, &large);
        held.push(first);
        let now = || {
            room.bytes
                .try_acquire_many(room.expected.load(Ordering::SeqCst))
        };
        while let Ok(permit) = now() {
            held.push(Some(permit));
        }
        assert_eq!(held.len(), 6, "of 10 MiB each");
        held.clear();
        let mut small = room.reserve().await;
        room.correct(&mut small, &[letter("m", "{}")]);
        assert_eq!(small.unwrap().num_permits(), 1);
    }

    #[test]
    fn there_are_no_more_workers_than_there_is_work() {
        assert_eq!(workers(1_000_000, false, None, false), 48);
        assert_eq!(workers(100, false, None, false), 10);
        assert_eq!(workers(1, false, None, false), 3);
        assert_eq!(workers(1, true, None, false), 16);
        assert_eq!(workers(1_000_000, false, Some(25.0), false), 3);
        assert_eq!(workers(1_000_000, false, Some(0.1), false), 1);
        assert_eq!(workers(1_000_000, false, None, true), 1);
    }
}
