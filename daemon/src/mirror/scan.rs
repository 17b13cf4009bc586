//! One look at everything in a dead-letter queue.
//!
//! Looking is not free: each receive hides messages and raises their receive count. So a scan meets each message once,
//! hides it until the scan ends, and then makes all of them visible again at once.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use patterns_core::problem::Problem;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::store::Store;
use crate::aws::Aws;
use crate::aws::dead_letters::BATCH;
use crate::claim::Claim;
use crate::topology::{Depth, QueueFacts};

/// Messages stay hidden this long at most. A scan ends well before, so that it meets none twice.
const VISIBILITY_SECONDS: i32 = 30;
const LONGEST: Duration = Duration::from_secs(20);

/// Messages in one round; with fewer than SQS's 120 000 in flight, consumers and redrives keep room.
const MESSAGES_MAX: usize = 20_000;

/// Receives at once while there is much to meet.
const PARALLEL: usize = 4;

/// What a scan found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Messages of the queue in the mirror now.
    pub mirrored: u64,
    /// Whether everything in the queue was met.
    pub complete: bool,
}

/// Looks at `queue`, which `claim` gives the right to.
pub async fn scan(
    aws: &Aws,
    store: &Store,
    queue: &QueueFacts,
    claim: &Claim,
    stop: &CancellationToken,
) -> Result<Scanned, Problem> {
    let Some(depth) = aws.depth(&queue.url).await? else {
        // Gone; the next discovery will notice.
        return Ok(Scanned {
            mirrored: 0,
            complete: false,
        });
    };
    let number = jiff::Timestamp::now().as_millisecond();
    let mut held = HashMap::new();
    let met = meet(aws, store, queue, claim, stop, number, depth, &mut held).await;
    let handles: Vec<String> = held.into_values().collect();
    stream::iter(handles.chunks(BATCH).map(<[String]>::to_vec))
        .for_each_concurrent(PARALLEL, async |handles| {
            aws.hide(&queue.url, &handles, 0).await;
        })
        .await;
    claim.hold(0);
    let complete = met?;
    let mirrored = store
        .finish(&queue.arn, number, complete)
        .await
        .map_err(super::disk)?;
    Ok(Scanned { mirrored, complete })
}

/// Receives until the queue is proven empty or the round is over; whether it was proven. `held` is filled even when it
/// fails, for what was received must be released.
#[allow(clippy::too_many_arguments)] // One loop with its surroundings; a struct for one caller would hide more than it shows.
async fn meet(
    aws: &Aws,
    store: &Store,
    queue: &QueueFacts,
    claim: &Claim,
    stop: &CancellationToken,
    number: i64,
    depth: Depth,
    held: &mut HashMap<String, String>,
) -> Result<bool, Problem> {
    let expected = usize::try_from(depth.total()).unwrap_or(usize::MAX);
    let until = Instant::now() + LONGEST;
    let mut empty = 0;
    // A long poll asks all of SQS's servers, and still one alone proves little when messages are missing.
    while empty < if held.len() < expected { 2 } else { 1 } {
        if Instant::now() >= until
            || held.len() >= MESSAGES_MAX
            || claim.wanted()
            || stop.is_cancelled()
        {
            return Ok(false);
        }
        let parallel = if expected.saturating_sub(held.len()) > PARALLEL * BATCH {
            PARALLEL
        } else {
            1
        };
        let receives = (0..parallel).map(|_| aws.receive(&queue.url, BATCH, VISIBILITY_SECONDS, 1));
        let (mut letters, mut problem) = (Vec::new(), None);
        // One that fails must not hide what the others received.
        for answer in join_all(receives).await {
            match answer {
                Ok(some) => letters.extend(some),
                Err(why) => problem = Some(why),
            }
        }
        for letter in &letters {
            held.insert(letter.message_id.clone(), letter.receipt_handle.clone());
        }
        if let Some(problem) = problem {
            return Err(problem);
        }
        if letters.is_empty() {
            empty += 1;
            continue;
        }
        empty = 0;
        claim.hold(u64::try_from(held.len()).unwrap_or(u64::MAX));
        store
            .met(&queue.arn, number, letters)
            .await
            .map_err(super::disk)?;
    }
    // Messages that someone else has received, or that are delayed, cannot be met now.
    Ok(depth.in_flight + depth.delayed == 0 || held.len() >= expected)
}
