//! The mirror: a copy of what is in the dead-letter queues, so that listing, searching and reading never touch them.
//!
//! One task decides when to look again; it is told every reading of a dead-letter queue. A queue is scanned when its count
//! is not the one of the last scan, when that scan was not complete (ever more rarely), after a redrive, and on demand.

pub mod copy;
pub mod decode;
mod list;
pub mod scan;
pub mod search;
pub mod signature;
pub mod store;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use patterns_core::operation::Operation;
use patterns_core::problem::{Problem, ProblemKind};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::Aws;
use crate::claim::{Claim, Claims};
use crate::database::DatabaseError;
use crate::ledger::Ledger;
use crate::state::{Reading, Source, State};
use crate::topology::{Depth, QueueFacts, Topology};
use scan::{Looker, Scanned, scan};
use store::Store;

pub use list::{asked, condition, groups, known, list, logs_since, shown};

/// Queues looked at at once.
const SCANS: usize = 4;

/// Wait after the first incomplete scan; doubles up to the longest.
const RETRY: Duration = Duration::from_secs(10);
const RETRY_LONGEST: Duration = Duration::from_mins(5);

/// A scan that takes longer than this is followed by a pause of [`PAUSE`] times the excess, or a deep queue to which
/// messages come all the time would be hidden most of the time.
const SHORT: Duration = Duration::from_secs(3);
const PAUSE: u32 = 4;

/// Something the keeper should know.
enum Notice {
    Found(Arc<Topology>),
    Reading(Arc<QueueFacts>, Depth),
    Again(Option<String>),
    Scanned(String, u64, Result<Scanned, Problem>),
}

/// What is known about one queue's mirror.
#[derive(Default)]
struct Memory {
    /// The queue's count when it was last scanned.
    total: Option<u64>,
    /// Since when it is scanned.
    scanning: Option<Instant>,
    again: bool,
    pause_until: Option<Instant>,
    retry: Option<(Instant, Duration)>,
}

impl Memory {
    fn due(&self, total: u64, now: Instant) -> bool {
        let changed = self.total != Some(total) || self.retry.is_some_and(|(at, _)| at <= now);
        let paused = self.pause_until.is_some_and(|until| now < until);
        self.scanning.is_none() && (self.again || changed && !paused)
    }

    fn ended(&mut self, total: u64, complete: bool, now: Instant) {
        let took = self
            .scanning
            .take()
            .map_or(Duration::ZERO, |since| now - since);
        self.pause_until = Some(now + took.saturating_sub(SHORT) * PAUSE);
        self.total = Some(total);
        self.retry = (!complete).then(|| {
            let wait = self
                .retry
                .map_or(RETRY, |(_, wait)| (wait * 2).min(RETRY_LONGEST));
            (now + wait, wait)
        });
    }
}

/// Handle on the mirror.
#[derive(Clone)]
pub struct Mirror {
    /// The table.
    pub store: Store,
    looker: Looker,
    notices: mpsc::Sender<Notice>,
}

/// What the keeper works with.
pub struct Keeper {
    /// Receives and releases.
    pub aws: Aws,
    /// Recognises what was redriven.
    pub ledger: Ledger,
    /// From the configuration: tells two worlds apart that look the same.
    pub instance: String,
    /// Who may receive.
    pub claims: Claims,
    /// Is told how much is mirrored.
    pub state: State,
    /// Ends scans early.
    pub stop: CancellationToken,
    /// Scans run as its tasks, so that what they hide is released before the daemon ends.
    pub tracker: TaskTracker,
}

impl Mirror {
    /// Starts the keeper.
    pub fn start(store: Store, keeper: Keeper) -> Self {
        let (notices, inbox) = mpsc::channel(256);
        let looker = Looker {
            aws: keeper.aws.clone(),
            store: store.clone(),
            ledger: keeper.ledger.clone(),
            instance: keeper.instance.clone(),
            stop: keeper.stop.clone(),
        };
        let mirror = Self {
            store,
            looker,
            notices,
        };
        let tracker = keeper.tracker.clone();
        tracker.spawn(keep(mirror.clone(), keeper, inbox));
        mirror
    }

    /// Tells the mirror what exists: it forgets the rest.
    pub async fn found(&self, topology: Arc<Topology>) {
        self.notify(Notice::Found(topology)).await;
    }

    /// Tells the mirror how deep a dead-letter queue is.
    pub async fn reading(&self, queue: &QueueFacts, depth: Depth) {
        self.notify(Notice::Reading(Arc::new(queue.clone()), depth))
            .await;
    }

    /// Looks again at that queue, or all, at its next reading.
    pub async fn again(&self, queue: Option<&str>) {
        self.notify(Notice::Again(queue.map(str::to_owned))).await;
    }

    /// Looks at everything in a queue now. `claim` gives the right to.
    pub async fn look(&self, queue: &QueueFacts, claim: &Claim) -> Result<Scanned, Problem> {
        scan(&self.looker, queue, claim).await
    }

    /// Knows what was redriven.
    pub fn ledger(&self) -> &Ledger {
        &self.looker.ledger
    }

    async fn notify(&self, notice: Notice) {
        // The keeper ends only with the daemon.
        let _ = self.notices.send(notice).await;
    }
}

async fn keep(mirror: Mirror, keeper: Keeper, mut inbox: mpsc::Receiver<Notice>) {
    let mut memories: HashMap<String, Memory> = HashMap::new();
    let slots = Arc::new(Semaphore::new(SCANS));
    loop {
        let notice = tokio::select! {
            () = keeper.stop.cancelled() => return,
            Some(notice) = inbox.recv() => notice,
        };
        match notice {
            Notice::Found(topology) => {
                // Another queue of that name, created later, begins anew.
                memories.retain(|queue, _| topology.may_exist(queue));
                let forgotten = mirror.store.forget(move |arn| topology.is_gone(arn)).await;
                if let Err(error) = forgotten {
                    tracing::warn!(%error, "deleted queues stay in the mirror until the next discovery");
                }
            }
            Notice::Again(Some(queue)) => memories.entry(queue).or_default().again = true,
            Notice::Again(None) => {
                for memory in memories.values_mut() {
                    memory.again = true;
                }
            }
            Notice::Reading(queue, depth) => {
                if untouchable(&queue).is_some() {
                    continue;
                }
                let total = depth.total();
                let memory = memories.entry(queue.name.clone()).or_default();
                if !memory.due(total, Instant::now()) {
                    continue;
                }
                let claim = keeper.claims.of(&queue.name);
                let (Some(guard), Ok(slot)) = (claim.try_take(), slots.clone().try_acquire_owned())
                else {
                    // A redrive has the queue, or enough others are looked at: the next reading asks again.
                    continue;
                };
                memory.scanning = Some(Instant::now());
                memory.again = false;
                let mirror = mirror.clone();
                keeper.tracker.spawn(async move {
                    let scanned = mirror.look(&queue, &claim).await;
                    drop((guard, slot));
                    mirror
                        .notify(Notice::Scanned(queue.name.clone(), total, scanned))
                        .await;
                });
            }
            Notice::Scanned(queue, total, scanned) => {
                let complete = matches!(scanned, Ok(Scanned { complete: true, .. }));
                memories
                    .entry(queue.clone())
                    .or_default()
                    .ended(total, complete, Instant::now());
                let source = Source::Mirror(queue.clone());
                match scanned {
                    Ok(scanned) => {
                        let count = scanned.mirrored;
                        keeper
                            .state
                            .report(Reading::Mirrored { queue, count })
                            .await;
                        keeper.state.report(Reading::Problem(source, None)).await;
                        for id in scanned.returned {
                            show(&keeper, &id).await;
                        }
                    }
                    Err(problem) => {
                        keeper
                            .state
                            .report(Reading::Problem(source, Some(problem)))
                            .await;
                    }
                }
            }
        }
    }
}

/// Shows how an operation stands, unless somebody works on it, who shows it anyway.
async fn show(keeper: &Keeper, operation_id: &str) {
    if let Ok(Some(redrive)) = keeper.ledger.redrive(operation_id).await
        && redrive.state.ended()
    {
        let operation = Operation::Redrive(redrive);
        keeper.state.report(Reading::Operation(operation)).await;
    }
}

/// Why a dead-letter queue must not be looked at.
pub fn untouchable(queue: &QueueFacts) -> Option<&'static str> {
    let why = if queue.fifo {
        "it is a FIFO queue, where a received message blocks its group, so looking would stop its consumers"
    } else if queue.redrive.is_some() {
        "it has a dead-letter queue itself, and each look counts as a receive and could push messages on"
    } else {
        return None;
    };
    Some(why)
}

/// A failure of the mirror's own file.
pub fn disk(error: DatabaseError) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        "cannot use history.db in the state directory",
        error,
        "check free space and permissions; with the daemon stopped the file may be deleted: it fills itself again, but the originals of edited events, which only it holds, are lost",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::letter;
    use crate::redrive::tests::{account, daemon};
    use crate::topology::tests::queue;

    #[tokio::test]
    async fn deleted_queues_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let aws = crate::aws::canned::aws(account).await;
        let stop = CancellationToken::new();
        let store = daemon(dir.path(), aws, true, &stop).await.mirror.store;
        let (exists, gone) = (queue("orders", None).arn, queue("deleted", None).arn);
        for arn in [&exists, &gone] {
            let letters = vec![letter("m", "{}")];
            store.met(arn, 1, letters).await.unwrap();
        }
        let forgotten = async {
            while store.count(&gone).await.unwrap() > 0 {
                tokio::task::yield_now().await;
            }
        };
        let long = Duration::from_secs(20);
        tokio::time::timeout(long, forgotten).await.unwrap();
        assert_eq!(store.count(&exists).await.unwrap(), 1);
    }

    #[test]
    fn a_queue_is_scanned_when_its_count_changed_or_the_last_scan_was_incomplete() {
        let now = Instant::now();
        let mut memory = Memory::default();
        assert!(memory.due(0, now));
        memory.ended(5, true, now);
        assert!(!memory.due(5, now));
        assert!(memory.due(6, now));
        memory.again = true;
        assert!(memory.due(5, now));
        memory.scanning = Some(now);
        assert!(!memory.due(5, now));
        memory.again = false;
        memory.ended(5, false, now);
        assert!(!memory.due(5, now));
        assert!(memory.due(5, now + RETRY));
        for _ in 0..10 {
            memory.ended(5, false, now);
        }
        assert!(!memory.due(5, now + RETRY_LONGEST - Duration::from_secs(1)));
        assert!(memory.due(5, now + RETRY_LONGEST));
    }

    #[test]
    fn long_scans_are_rare() {
        let now = Instant::now();
        let mut memory = Memory {
            scanning: Some(now),
            ..Memory::default()
        };
        let ended = now + SHORT;
        memory.ended(5, true, ended);
        assert!(memory.due(6, ended));
        memory.scanning = Some(now);
        let ended = now + SHORT + Duration::from_secs(10);
        memory.ended(5, true, ended);
        let rested = ended + Duration::from_secs(40);
        assert!(!memory.due(6, rested - Duration::from_secs(1)));
        assert!(memory.due(6, rested));
        // Whoever asks for it need not wait.
        memory.again = true;
        assert!(memory.due(5, ended));
    }

    #[test]
    fn queues_where_a_look_does_harm_are_left_alone() {
        assert!(untouchable(&queue("dlq", None)).is_none());
        assert!(untouchable(&queue("dlq", Some("next"))).is_some());
        let mut fifo = queue("dlq.fifo", None);
        fifo.fifo = true;
        assert!(untouchable(&fifo).is_some());
    }
}
