//! The mirror: a copy of what is in the dead-letter queues, so that listing, searching and reading never touch them.
//!
//! One task decides when to look again; it is told every reading of a dead-letter queue. A queue is scanned when its count
//! is not the one of the last scan, when that scan was not complete (ever more rarely), after a redrive, and on demand.

pub mod decode;
pub mod scan;
pub mod store;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::{FailedEvent, FailedList};
use patterns_core::problem::{Problem, ProblemKind};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::Aws;
use crate::claim::Claims;
use crate::database::DatabaseError;
use crate::origin::{Evidence, resolve};
use crate::state::{Reading, Source, State};
use crate::topology::{Depth, QueueFacts, Topology, name_of};
use scan::{Scanned, scan};
use store::{Mirrored, Store};

/// Queues looked at at once.
const SCANS: usize = 4;

/// Wait after the first incomplete scan; doubles up to the longest.
const RETRY: Duration = Duration::from_secs(10);
const RETRY_LONGEST: Duration = Duration::from_mins(5);

/// Something the keeper should know.
enum Notice {
    Reading(Arc<QueueFacts>, Depth),
    Again(Option<String>),
    Scanned(String, u64, Result<Scanned, Problem>),
}

/// What is known about one queue's mirror.
#[derive(Default)]
struct Memory {
    /// The queue's count when it was last scanned.
    total: Option<u64>,
    scanning: bool,
    again: bool,
    retry: Option<(Instant, Duration)>,
}

impl Memory {
    fn due(&self, total: u64, now: Instant) -> bool {
        !self.scanning
            && (self.again
                || self.total != Some(total)
                || self.retry.is_some_and(|(at, _)| at <= now))
    }

    fn ended(&mut self, total: u64, complete: bool, now: Instant) {
        self.scanning = false;
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
    notices: mpsc::Sender<Notice>,
}

/// What the keeper works with.
pub struct Keeper {
    /// Receives and releases.
    pub aws: Aws,
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
        let mirror = Self { store, notices };
        let tracker = keeper.tracker.clone();
        tracker.spawn(keep(mirror.clone(), keeper, inbox));
        mirror
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
            Notice::Again(Some(queue)) => memories.entry(queue).or_default().again = true,
            Notice::Again(None) => {
                for memory in memories.values_mut() {
                    memory.again = true;
                }
            }
            Notice::Reading(queue, depth) => {
                if let Some(problem) = untouchable(&queue) {
                    let source = Source::Mirror(queue.name.clone());
                    keeper
                        .state
                        .report(Reading::Problem(source, Some(problem)))
                        .await;
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
                memory.scanning = true;
                memory.again = false;
                let (mirror, aws, stop) = (mirror.clone(), keeper.aws.clone(), keeper.stop.clone());
                keeper.tracker.spawn(async move {
                    let scanned = scan(&aws, &mirror.store, &queue, &claim, &stop).await;
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

/// Why a dead-letter queue must not be looked at.
pub fn untouchable(queue: &QueueFacts) -> Option<Problem> {
    let why = if queue.fifo {
        "it is a FIFO queue: a received message blocks its group, so looking would stop its consumers"
    } else if queue.redrive.is_some() {
        "it has a dead-letter queue itself: each look counts as a receive and could push messages on"
    } else {
        return None;
    };
    Some(Problem::new(
        ProblemKind::Conflict,
        format!("the failed events in {} are not shown", queue.name),
        why,
        "",
    ))
}

/// A failure of the mirror's own file.
pub fn disk(error: DatabaseError) -> Problem {
    Problem::new(
        ProblemKind::Internal,
        "cannot use history.db in the state directory",
        error,
        "check free space and permissions; with the daemon stopped the file may be deleted, it fills itself again",
    )
}

/// A mirrored message as a list shows it.
pub fn event(mirrored: &Mirrored, topology: &Topology) -> FailedEvent {
    let decoded = &mirrored.decoded;
    let retention = topology
        .queue_by_arn(&mirrored.queue_arn)
        .map(|queue| SignedDuration::from_secs(queue.retention_seconds));
    let moved_after = match &decoded.evidence {
        Evidence::SourceQueue { arn } => topology
            .queue_by_arn(arn)
            .and_then(|source| source.redrive.as_ref())
            .map(|(_, receives)| *receives),
        _ => None,
    };
    FailedEvent {
        id: mirrored.id.clone(),
        message_id: mirrored.message_id.clone(),
        dead_letter_queue: name_of(&mirrored.queue_arn).to_owned(),
        origin: resolve(&decoded.evidence, &mirrored.queue_arn, topology).known(),
        correlation_id: decoded.correlation_id.clone(),
        error_type: decoded.error_type.clone(),
        error_message: decoded.error_message.clone(),
        sent_at: decoded.sent_at,
        expires_at: retention.and_then(|retention| decoded.enqueued_at.checked_add(retention).ok()),
        // Whatever was tried at all was tried once.
        receive_count: decoded
            .attempts
            .or(moved_after)
            .unwrap_or(mirrored.receives.max(1)),
        seen_at: mirrored.seen_at,
    }
}

/// The newest failed events of one dead-letter queue or all.
pub async fn list(
    mirror: &Mirror,
    state: &State,
    queue: Option<String>,
    limit: u32,
) -> Result<FailedList, Problem> {
    let topology = state.topology();
    let snapshot = state.snapshot();
    let asked: Vec<&QueueFacts> = match &queue {
        Some(name) => vec![known(&topology, name)?],
        None => topology
            .queues
            .keys()
            .filter_map(|name| topology.dead_letter_queue(name))
            .collect(),
    };
    let arns = asked.iter().map(|queue| queue.arn.clone()).collect();
    let rows = mirror.store.list(arns, limit).await.map_err(disk)?;
    let mut mirrored = 0;
    let mut approximate_total = 0;
    for queue in &asked {
        mirrored += mirror.store.count(&queue.arn).await.map_err(disk)?;
        approximate_total += snapshot
            .queue(&queue.name)
            .map_or(0, patterns_core::queue::Queue::depth);
    }
    let events: Vec<_> = rows.iter().map(|row| event(row, &topology)).collect();
    let origins: BTreeSet<_> = events.iter().map(|event| event.origin.clone()).collect();
    let shared = match (queue.is_some(), origins.len(), origins.into_iter().next()) {
        (true, 1, Some(origin)) => origin,
        _ => None,
    };
    Ok(FailedList {
        dead_letter_queue: queue,
        origin: shared,
        mirrored,
        approximate_total,
        events,
    })
}

/// The dead-letter queue of that name, or a problem that names those that exist.
pub fn known<'a>(topology: &'a Topology, name: &str) -> Result<&'a QueueFacts, Problem> {
    topology.dead_letter_queue(name).ok_or_else(|| {
        let names: Vec<_> = topology
            .queues
            .keys()
            .filter(|name| topology.dead_letter_queue(name).is_some())
            .map(String::as_str)
            .collect();
        Problem::new(
            ProblemKind::NotFound,
            format!("there is no dead-letter queue {name}"),
            if topology.queues.contains_key(name) {
                "no queue and no function sends its failures to it"
            } else {
                "no queue of that name is known"
            },
            if names.is_empty() {
                "no dead-letter queue is known at all".to_owned()
            } else {
                format!("name one of: {}", names.join(", "))
            },
        )
    })
}

/// One minute before the event was sent: clocks of AWS's services differ a little.
pub fn logs_since(event: &FailedEvent) -> Timestamp {
    event
        .sent_at
        .checked_sub(SignedDuration::from_mins(1))
        .unwrap_or(event.sent_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::tests::letter;
    use crate::topology::tests::{queue, topology};

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
        memory.scanning = true;
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
    fn a_moved_message_was_tried_as_often_as_its_source_allows() {
        let topology = topology([queue("orders", Some("dlq")), queue("dlq", None)], []);
        let mut moved = letter("m", "{}");
        moved.system.insert(
            "DeadLetterQueueSourceArn".to_owned(),
            topology.queues["orders"].arn.clone(),
        );
        let mut mirrored = Mirrored {
            queue_arn: topology.queues["dlq"].arn.clone(),
            message_id: "m".to_owned(),
            id: "0123456789ab".to_owned(),
            seen_at: Timestamp::UNIX_EPOCH,
            receives: 9,
            decoded: decode::decode(&moved),
        };
        assert_eq!(event(&mirrored, &topology).receive_count, 3);
        let expires = event(&mirrored, &topology).expires_at.unwrap();
        assert_eq!(expires.as_second(), 1_209_600);
        mirrored.decoded.evidence = Evidence::Nothing;
        assert_eq!(event(&mirrored, &topology).receive_count, 9);
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
