//! One look at everything in a dead-letter queue.
//!
//! Looking is not free: each receive hides messages and raises their receive count. So a scan meets each message once,
//! hides it until the scan ends, and then makes all of them visible again at once.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use patterns_core::problem::Problem;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::store::Store;
use crate::aws::Aws;
use crate::aws::dead_letters::{BATCH, System};
use crate::claim::Claim;
use crate::ledger::{self, Ledger, World};
use crate::letter::Letter;
use crate::topology::{Depth, QueueFacts};

/// Messages stay hidden this long at most. A scan ends well before, so that it meets none twice.
const VISIBILITY_SECONDS: i32 = 30;
const LONGEST: Duration = Duration::from_secs(20);

/// Messages in one round; with fewer than SQS's 120 000 in flight, consumers and redrives keep room.
const MESSAGES_MAX: usize = 20_000;

/// Receives at once while there is much to meet.
const PARALLEL: usize = 4;

/// What a scan works with.
#[derive(Clone)]
pub struct Looker {
    /// Receives and releases.
    pub aws: Aws,
    /// Keeps what was met.
    pub store: Store,
    /// Recognises what was sent and came back.
    pub ledger: Ledger,
    /// From the configuration: tells two worlds apart that look the same.
    pub instance: String,
    /// Ends scans early.
    pub stop: CancellationToken,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// Messages of the queue in the mirror now.
    pub mirrored: u64,
    /// Whether everything in the queue was met.
    pub complete: bool,
    /// Operations of which an event was met that is back, and was not known to be.
    pub returned: BTreeSet<String>,
}

/// Looks at `queue`, which `claim` gives the right to.
pub async fn scan(looker: &Looker, queue: &QueueFacts, claim: &Claim) -> Result<Scanned, Problem> {
    let aws = &looker.aws;
    let Some(depth) = aws.depth(&queue.url).await? else {
        // Gone; the next discovery will notice.
        return Ok(Scanned {
            mirrored: 0,
            complete: false,
            returned: BTreeSet::new(),
        });
    };
    let world = World::of(aws, &queue.arn, &looker.instance);
    let (world, _) = looker.ledger.enter(world).await.map_err(ledger::disk)?;
    let mut look = Look {
        looker,
        queue,
        world,
        number: jiff::Timestamp::now().as_millisecond(),
        held: HashMap::new(),
        returned: BTreeSet::new(),
    };
    let met = look.meet(claim, depth).await;
    let Look {
        number,
        held,
        returned,
        ..
    } = look;
    let handles: Vec<String> = held.into_values().collect();
    stream::iter(handles.chunks(BATCH).map(<[String]>::to_vec))
        .for_each_concurrent(PARALLEL, async |handles| {
            aws.hide(&queue.url, &handles, 0).await;
        })
        .await;
    claim.hold(0);
    let complete = met?;
    let mirrored = looker
        .store
        .finish(&queue.arn, number, complete)
        .await
        .map_err(super::disk)?;
    Ok(Scanned {
        mirrored,
        complete,
        returned,
    })
}

/// A scan under way.
struct Look<'a> {
    looker: &'a Looker,
    queue: &'a QueueFacts,
    world: i64,
    number: i64,
    /// Receipt handles of what it hides, by message id: to be released, also when it fails.
    held: HashMap<String, String>,
    returned: BTreeSet<String>,
}

impl Look<'_> {
    /// Receives until the queue is proven empty or the round is over; whether it was proven.
    async fn meet(&mut self, claim: &Claim, depth: Depth) -> Result<bool, Problem> {
        let Looker { aws, stop, .. } = self.looker;
        let queue = self.queue;
        let expected = usize::try_from(depth.total()).unwrap_or(usize::MAX);
        let until = Instant::now() + LONGEST;
        let mut empty = 0;
        // A long poll asks all of SQS's servers, and still one alone proves little when messages are missing.
        while empty < if self.held.len() < expected { 2 } else { 1 } {
            if Instant::now() >= until
                || self.held.len() >= MESSAGES_MAX
                || claim.wanted()
                || stop.is_cancelled()
            {
                return Ok(false);
            }
            let parallel = if expected.saturating_sub(self.held.len()) > PARALLEL * BATCH {
                PARALLEL
            } else {
                1
            };
            let receive = || aws.receive(&queue.url, BATCH, VISIBILITY_SECONDS, 1, System::All);
            let receives = (0..parallel).map(|_| receive());
            let (mut letters, mut problem) = (Vec::new(), None);
            // One that fails must not hide what the others received.
            for answer in join_all(receives).await {
                match answer {
                    Ok(some) => letters.extend(some),
                    Err(why) => problem = Some(why),
                }
            }
            for letter in &letters {
                self.held
                    .insert(letter.message_id.clone(), letter.receipt_handle.clone());
            }
            if let Some(problem) = problem {
                return Err(problem);
            }
            if letters.is_empty() {
                empty += 1;
                continue;
            }
            empty = 0;
            claim.hold(u64::try_from(self.held.len()).unwrap_or(u64::MAX));
            self.keep(letters).await?;
        }
        // Messages that someone else has received, or that are delayed, cannot be met now.
        Ok(depth.in_flight + depth.delayed == 0 || self.held.len() >= expected)
    }

    async fn keep(&mut self, letters: Vec<Letter>) -> Result<(), Problem> {
        let Looker { store, ledger, .. } = self.looker;
        let arn = &self.queue.arn;
        let met = store.met(arn, self.number, letters).await;
        let met = met.map_err(super::disk)?;
        let returned = ledger.returned(self.world, arn, met).await;
        self.returned.extend(returned.map_err(ledger::disk)?);
        Ok(())
    }
}
