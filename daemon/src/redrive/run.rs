//! One run of an operation: workers that each take one batch at a time, and how it ends.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::OriginKind;
use patterns_core::operation::{Operation, Redrive, Selection};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Engine;
use super::batch::VISIBILITY_SECONDS;
use super::hand::{HELD_MAX, HELD_SECONDS};
use super::pace::Pace;
use super::room::{CALLS, Room, workers};
use crate::aws::dead_letters::BATCH;
use crate::database::DatabaseError;
use crate::ledger::{Outcome, Task};
use crate::state::Reading;
use crate::topology::QueueFacts;

/// A queue counts as empty after this many receives in a row without a message.
const EMPTY_RECEIVES: u32 = 3;

/// A run of chosen events that meets nothing new for this long ends: what it misses is hidden by someone else, or gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// A run of everything waits longer: what a run that was killed left alone stays hidden for [`HELD_SECONDS`].
const PATIENCE_EVERYTHING: Duration =
    PATIENCE.saturating_add(Duration::from_secs(1).saturating_mul(HELD_SECONDS.unsigned_abs()));

/// One that takes back ends sooner: each look at what it leaves alone is a receive that the consumers lack. Since that is
/// hidden for 5 s each time, it is met no third time meanwhile.
const PATIENCE_BRIEF: Duration = Duration::from_secs(9);

/// Wait after a receive of messages that were all met before.
const MET_BEFORE: Duration = Duration::from_secs(1);

/// A run without any success for this long, though it tries, fails.
pub(super) const FAILING: Duration = Duration::from_mins(10);

/// Between two reports of progress.
const REPORT: Duration = Duration::from_millis(250);

/// A message: its id and a receipt handle.
pub type Message = (String, String);

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Everything in the plan was dealt with.
    Complete,
    /// Nothing more can be done, for this reason.
    Failed(String),
    /// It was asked to stop.
    Stopped,
    /// The operator is to decide, for this reason.
    Asks(String),
    /// The ledger cannot be written.
    Ledger(DatabaseError),
}

/// A run.
pub struct Run {
    pub(super) engine: Engine,
    pub(super) task: Task,
    pub(super) queue: QueueFacts,
    /// Ends it between two batches: the daemon stops, or someone wants the operation to.
    pub(super) stop: CancellationToken,
    /// How many events may still be taken; of a ramp, in this step.
    open: AtomicU64,
    /// Set when the run is to end.
    pub(super) over: AtomicBool,
    ended: Mutex<Option<Ended>>,
    empty: AtomicU32,
    /// Newest receipt handles of messages that a worker deals with just now, by message id.
    pub(super) in_hand: Mutex<HashMap<String, String>>,
    pub(super) new_at: Mutex<Instant>,
    /// Ids of all messages that a run which takes back has met, and how many there were to meet.
    pub(super) met: Mutex<HashSet<String>>,
    there: AtomicUsize,
    success_at: Mutex<Instant>,
    /// Receipt handles of messages left alone, by message id.
    pub(super) held: Mutex<HashMap<String, String>>,
    /// What limits how much is under way.
    pub(super) room: Room,
    pub(super) pace: Mutex<Pace>,
    /// Message groups of a FIFO queue of which nothing more is sent.
    pub(super) stuck: Mutex<HashSet<String>>,
    /// Deleted messages that the mirror still shows.
    pub(super) gone: Mutex<Vec<String>>,
    /// Deletions to write down with the next commit.
    pub(super) deleted: Mutex<Vec<Outcome>>,
    pub(super) progress: Mutex<Option<Redrive>>,
}

/// Batches that are sent at once. Each event for a function is a call of its own.
fn sends(task: &Task) -> usize {
    match task.plan.target.kind {
        _ if task.plan.manner.careful => 1,
        OriginKind::Queue => CALLS,
        OriginKind::Function => CALLS.div_ceil(BATCH),
    }
}

/// A mutex of ours; no panic happens while it is held, so a poisoned one holds nothing half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    /// A run of `task`, which has the claim on `queue`.
    pub fn new(engine: Engine, task: Task, queue: QueueFacts, stop: CancellationToken) -> Self {
        let now = Instant::now();
        let room = Room::new(sends(&task), !queue.fifo);
        let pace = Pace::new(task.plan.manner.rate, now);
        Self {
            engine,
            task,
            queue,
            stop,
            open: AtomicU64::new(0),
            over: AtomicBool::new(false),
            ended: Mutex::new(None),
            empty: AtomicU32::new(0),
            in_hand: Mutex::new(HashMap::new()),
            new_at: Mutex::new(now),
            met: Mutex::new(HashSet::new()),
            there: AtomicUsize::new(usize::MAX),
            success_at: Mutex::new(now),
            held: Mutex::new(HashMap::new()),
            room,
            pace: Mutex::new(pace),
            stuck: Mutex::new(HashSet::new()),
            gone: Mutex::new(Vec::new()),
            deleted: Mutex::new(Vec::new()),
            progress: Mutex::new(None),
        }
    }

    /// Runs to the end.
    pub async fn carry_out(self) -> Ended {
        let run = Arc::new(self);
        let ended = run.to_its_end().await;
        run.forget_gone().await;
        ended
    }

    async fn to_its_end(self: &Arc<Self>) -> Ended {
        if let Err(error) = self.take_up().await {
            return Ended::Ledger(error);
        }
        if self.task.plan.steps.is_empty() {
            self.take(self.left()).await;
        } else {
            self.climb().await;
        }
        self.release_held().await;
        if let Err(error) = self.write_deleted().await {
            return Ended::Ledger(error);
        }
        if let Err(error) = self.doubt_undeleted().await {
            return Ended::Ledger(error);
        }
        let ended = lock(&self.ended).take();
        match ended {
            Some(ended) => ended,
            None if self.stop.is_cancelled() => Ended::Stopped,
            None => match self.delete_leftover().await {
                Ok(()) => Ended::Complete,
                Err(error) => Ended::Ledger(error),
            },
        }
    }

    /// Deals with that many events of the plan, or with as many as there are.
    pub(super) async fn take(self: &Arc<Self>, events: u64) {
        let now = Instant::now();
        *lock(&self.new_at) = now;
        *lock(&self.success_at) = now;
        self.empty.store(0, Ordering::SeqCst);
        self.open.store(events, Ordering::SeqCst);
        let manner = &self.task.plan.manner;
        let workers = workers(events, !self.everything(), manner.rate, manner.careful);
        let worker = |_| {
            let run = Arc::clone(self);
            async move { run.work().await }
        };
        let mut workers: JoinSet<()> = (0..workers).map(worker).collect();
        let done = CancellationToken::new();
        // Side by side: what is told, and taken out of the mirror, takes its time.
        tokio::join!(
            async {
                while let Some(ended) = workers.join_next().await {
                    if let Err(error) = ended {
                        // Resumed, it finds in the ledger what was under way.
                        self.end(Ended::Asks(format!(
                            "a defect of this program ended a part of the redrive: {error}"
                        )));
                    }
                }
                done.cancel();
            },
            self.report_regularly(&done),
        );
        self.forget_gone().await;
        // Before the next step others may want to read the file. Whoever writes next is told when that failed.
        let _ = self.engine.ledger.flush().await;
    }

    /// How many events of the plan were not dealt with yet.
    pub(super) fn left(&self) -> u64 {
        let done = lock(&self.progress)
            .as_ref()
            .map_or(0, |redrive| redrive.sent + redrive.failed + redrive.skipped);
        self.task.plan.planned.saturating_sub(done)
    }

    /// Makes everything visible again that was left alone.
    pub(super) async fn release_held(&self) {
        let handles: Vec<_> = lock(&self.held).drain().map(|(_, handle)| handle).collect();
        self.release(handles).await;
    }

    /// Continues where the last run ended, if there was one: what was sent is deleted, what may have been sent is made
    /// visible and will be met again.
    async fn take_up(&self) -> Result<(), DatabaseError> {
        let ledger = &self.engine.ledger;
        self.doubt_undeleted().await?;
        self.delete_leftover().await?;
        // Sent again in time, an event of a FIFO queue is stored once.
        if !self.queue.fifo {
            ledger.doubt_intents(self.id()).await?;
        }
        let since = if self.takes_back() {
            // What is older has become visible by itself, and a consumer may have it.
            let hidden = SignedDuration::from_secs(VISIBILITY_SECONDS.into());
            self.measure().await;
            Timestamp::now() - hidden
        } else {
            Timestamp::UNIX_EPOCH
        };
        let left = ledger.leftover(self.id(), since).await?;
        let handles: Vec<_> = left.intent.into_iter().map(|(_, handle)| handle).collect();
        self.release(handles).await;
        *lock(&self.progress) = ledger.redrive(self.id()).await?;
        Ok(())
    }

    /// Where copies that were sent have consumers, one that is not known to be deleted may be processed twice.
    async fn doubt_undeleted(&self) -> Result<(), DatabaseError> {
        if self.takes_back() {
            self.engine.ledger.doubt_undeleted(self.id()).await?;
        }
        Ok(())
    }

    /// Finds out how many messages there are to meet. SQS's counts may be wrong, so there are at least those looked for.
    async fn measure(&self) {
        if let Ok(Some(depth)) = self.engine.aws.depth(&self.queue.url).await {
            let there = depth.total().max(self.task.plan.planned);
            self.there.store(
                usize::try_from(there).unwrap_or(usize::MAX),
                Ordering::SeqCst,
            );
        }
    }

    /// Deletes copies of events that were sent, where that is not known to be done. One that fails is deleted when it is
    /// met again, by this operation or a later one.
    async fn delete_leftover(&self) -> Result<(), DatabaseError> {
        let ledger = &self.engine.ledger;
        let left = ledger.leftover(self.id(), Timestamp::UNIX_EPOCH).await?;
        self.delete(left.sent).await;
        self.write_deleted().await
    }

    async fn work(&self) {
        let mut failures = 0_u32;
        loop {
            let call = self.room.receives.acquire().await;
            let taken = self.reserve();
            if self.is_over() || taken == 0 {
                return;
            }
            match self.batch(taken, call.ok()).await {
                Ok(dealt) => {
                    self.account(taken, dealt.done);
                    if dealt.received == 0 {
                        self.perhaps_empty().await;
                    } else {
                        self.empty.store(0, Ordering::SeqCst);
                    }
                    if dealt.done > 0 {
                        *lock(&self.new_at) = Instant::now();
                    }
                    if self.takes_back() {
                        self.perhaps_met_all();
                        if dealt.received > 0 && !dealt.new {
                            // The next receive would bring the same messages once more.
                            let wait = tokio::time::sleep(MET_BEFORE);
                            self.stop.run_until_cancelled(wait).await;
                        }
                    }
                    // Where some events of a batch went, the others need no wait but the pace.
                    let failed = dealt.postponed && dealt.done == 0;
                    failures = if failed { failures + 1 } else { 0 };
                    if !failed && dealt.received > 0 {
                        *lock(&self.success_at) = Instant::now();
                    }
                }
                Err(Trouble::Ledger(error)) => self.end(Ended::Ledger(error)),
                Err(Trouble::Target(why)) => self.end(Ended::Failed(why)),
                Err(Trouble::Asks(why)) => self.end(Ended::Asks(why)),
                Err(Trouble::Aws(why)) => {
                    self.account(taken, 0);
                    failures += 1;
                    self.complain(why);
                    if let Ok(None) = self.engine.aws.depth(&self.queue.url).await {
                        let why = "the dead-letter queue does not exist any more";
                        self.end(Ended::Failed(why.to_owned()));
                    }
                }
            }
            if failures > 0 {
                self.pause(failures).await;
            }
        }
    }

    /// How many messages a worker may receive now: no more than are planned, where each one counts, so that no event is
    /// taken beyond the plan.
    fn reserve(&self) -> u64 {
        let most = if self.task.plan.manner.careful {
            1
        } else {
            u64::try_from(BATCH).unwrap_or(1)
        };
        let batch = lock(&self.pace).batch().min(most);
        if !self.everything() {
            return batch * u64::from(self.open.load(Ordering::SeqCst) > 0);
        }
        let before = self
            .open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| {
                Some(open.saturating_sub(batch))
            })
            .unwrap_or(0);
        before.min(batch)
    }

    /// Accounts for what came of a reservation.
    fn account(&self, taken: u64, done: u64) {
        if self.everything() {
            self.open
                .fetch_add(taken.saturating_sub(done), Ordering::SeqCst);
        }
    }

    /// How many of that many chosen events may be dealt with now. Only what was received tells which are chosen, so they
    /// count here, and not when they are received.
    pub(super) fn grant(&self, chosen: usize) -> usize {
        if self.everything() {
            return chosen;
        }
        let wanted = u64::try_from(chosen).unwrap_or(u64::MAX);
        let before = self
            .open
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| {
                Some(open.saturating_sub(wanted))
            })
            .unwrap_or(0);
        usize::try_from(before.min(wanted)).unwrap_or(chosen)
    }

    /// Gives back what was granted and not used.
    pub(super) fn give_back(&self, chosen: u64) {
        if !self.everything() {
            self.open.fetch_add(chosen, Ordering::SeqCst);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) || self.stop.is_cancelled()
    }

    pub(super) fn end(&self, ended: Ended) {
        lock(&self.ended).get_or_insert(ended);
        self.over.store(true, Ordering::SeqCst);
    }

    /// Ends the run when the queue is proven empty, or when it had enough time to be.
    async fn perhaps_empty(&self) {
        let in_a_row = self.empty.fetch_add(1, Ordering::SeqCst) + 1;
        // A batch under way may put messages back.
        if in_a_row < EMPTY_RECEIVES || !lock(&self.in_hand).is_empty() {
            return;
        }
        // What its consumers have in their hands is theirs.
        if self.takes_back() {
            return;
        }
        let held = lock(&self.held).len();
        let empty = match self.engine.aws.depth(&self.queue.url).await {
            Ok(Some(depth)) => {
                // In a FIFO queue what is visible may wait behind what is held.
                let waits = self.queue.fifo && held > 0;
                (depth.visible + depth.delayed == 0 || waits)
                    && usize::try_from(depth.in_flight).is_ok_and(|in_flight| in_flight <= held)
            }
            Ok(None) => true,
            Err(_) => false,
        };
        if empty || held >= HELD_MAX || lock(&self.new_at).elapsed() > self.patience() {
            self.over.store(true, Ordering::SeqCst);
        }
    }

    /// Ends a run that takes back when it has met as many messages as there were, or nothing new for some time.
    fn perhaps_met_all(&self) {
        let most = HELD_MAX.min(self.there.load(Ordering::SeqCst));
        // A batch under way may put messages back. One that it will is in its hand as long as it counts as met.
        let all = {
            let met = lock(&self.met);
            met.len() >= most && lock(&self.in_hand).is_empty()
        };
        if all || lock(&self.new_at).elapsed() > self.patience() {
            self.over.store(true, Ordering::SeqCst);
        }
    }

    fn patience(&self) -> Duration {
        if self.takes_back() {
            PATIENCE_BRIEF
        } else if self.everything() {
            PATIENCE_EVERYTHING
        } else {
            PATIENCE
        }
    }

    /// Waits before the next try, longer with each failure in a row; gives up when nothing succeeded for very long.
    async fn pause(&self, failures: u32) {
        if lock(&self.success_at).elapsed() > FAILING {
            let why = lock(&self.progress)
                .as_ref()
                .and_then(|redrive| redrive.error.clone())
                .unwrap_or_default();
            self.end(Ended::Failed(format!(
                "nothing succeeded for 10 minutes: {why}"
            )));
            return;
        }
        let wait = Duration::from_millis(250) * (1 << failures.min(5));
        let wait = tokio::time::sleep(wait);
        self.stop.run_until_cancelled(wait).await;
    }

    /// Waits until that many events may be sent; whether they still may.
    pub(super) async fn turn(&self, events: usize) -> bool {
        let turn = lock(&self.pace).turn(events, Instant::now());
        let wait = tokio::time::sleep_until(turn);
        self.stop.run_until_cancelled(wait).await.is_some()
    }

    /// The operation's id.
    pub(super) fn id(&self) -> &str {
        &self.task.operation_id
    }

    /// Whether messages without a row in the ledger are meant, too.
    pub(super) fn everything(&self) -> bool {
        self.task.plan.selection == Selection::Everything
    }

    /// Changes the progress that is shown; the ledger's word replaces it at the end.
    pub(super) fn count(&self, change: impl FnOnce(&mut Redrive)) {
        if let Some(progress) = lock(&self.progress).as_mut() {
            change(progress);
        }
    }

    /// Shows what keeps the run from going on.
    pub(super) fn complain(&self, why: String) {
        self.count(|redrive| redrive.error = Some(why));
    }

    async fn report_regularly(&self, done: &CancellationToken) {
        let wait = || tokio::time::sleep(REPORT);
        while done.run_until_cancelled(wait()).await.is_some() {
            self.report().await;
        }
    }

    pub(super) async fn report(&self) {
        self.forget_gone().await;
        // Whoever asked it to stop has told what it is now.
        if self.stop.is_cancelled() {
            return;
        }
        let Some(mut redrive) = lock(&self.progress).clone() else {
            return;
        };
        if let Ok((first, count)) = self.engine.ledger.doubts(self.id()).await {
            redrive.in_doubt = first;
            redrive.in_doubt_count = count;
        }
        if self.stop.is_cancelled() {
            return;
        }
        self.engine
            .state
            .report(Reading::Operation(Operation::Redrive(redrive)))
            .await;
    }
}

/// What one batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dealt {
    /// Messages received.
    pub received: u64,
    /// Whether one of them was not met before, where that matters.
    pub new: bool,
    /// Events of the plan that were dealt with: sent, failed or skipped.
    pub done: u64,
    /// Whether something is to be tried again later.
    pub postponed: bool,
}

/// What stops a batch.
#[derive(Debug)]
pub enum Trouble {
    /// The ledger cannot be written.
    Ledger(DatabaseError),
    /// Nothing can be sent to the target.
    Target(String),
    /// Something may have been sent already, and the operator wants to decide about that.
    Asks(String),
    /// AWS did not answer; to be tried again.
    Aws(String),
}

impl From<DatabaseError> for Trouble {
    fn from(error: DatabaseError) -> Self {
        Self::Ledger(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::canned::{aws, queue};
    use crate::redrive::tests::{account, daemon, plan};
    use crate::topology;

    /// Whether a run that has met nothing for that many seconds, while somebody hides a message, is over.
    async fn over(selection: Selection, seconds: u64) -> bool {
        let dir = tempfile::tempdir().unwrap();
        let aws = aws(|operation, body| match operation {
            "GetQueueAttributes" => queue("dlq").with_in_flight(1).answer(),
            _ => account(operation, body),
        })
        .await;
        let stop = CancellationToken::new();
        let engine = daemon(dir.path(), aws, true, &stop).await.engine;
        let task = Task {
            operation_id: "op".to_owned(),
            plan: patterns_core::operation::Plan {
                selection,
                ..plan("plan")
            },
        };
        let facts = topology::tests::queue("dlq", None);
        let run = Run::new(engine, task, facts, stop.clone());
        *lock(&run.new_at) = Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .unwrap();
        for _ in 0..EMPTY_RECEIVES {
            run.perhaps_empty().await;
        }
        stop.cancel();
        run.over.load(Ordering::SeqCst)
    }

    #[tokio::test]
    async fn everything_waits_for_what_a_killed_run_left_hidden() {
        let held = u64::from(HELD_SECONDS.unsigned_abs());
        assert!(!over(Selection::Everything, held + 10).await);
        assert!(over(Selection::Everything, held + 90).await);
        let chosen = || Selection::Chosen(Vec::new());
        assert!(!over(chosen(), 50).await);
        assert!(over(chosen(), 70).await);
    }
}
