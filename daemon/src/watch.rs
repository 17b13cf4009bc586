//! When to ask AWS: one loop for each kind of reading, slower while it fails.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use patterns_core::config;
use patterns_core::problem::Problem;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::aws::discovery::Discovered;
use crate::aws::{Aws, together};
use crate::claim::Claims;
use crate::mirror::Mirror;
use crate::state::{Reading, Source, State};
use crate::topology::{Depth, QueueFacts};

/// Queues asked at once.
const CONCURRENCY: usize = 16;

/// The longest wait after failures.
const LONGEST: Duration = Duration::from_mins(1);

/// What the loops work with.
#[derive(Clone)]
pub struct Watch {
    /// Is asked.
    pub aws: Aws,
    /// Knows how many messages a scan of ours hides.
    pub claims: Claims,
    /// Is told how deep dead-letter queues are.
    pub mirror: Mirror,
    /// Is told everything.
    pub state: State,
    /// Every change asks all loops to ask again now.
    pub refresh: watch::Sender<()>,
}

/// What a round came to: what could not be read, as an error when that was everything.
type Outcome = Result<Option<Problem>, Problem>;

/// The loops.
#[derive(Clone, Copy)]
enum Round {
    Discovery,
    Depths,
    Figures,
}

impl Round {
    fn source(self) -> Source {
        match self {
            Self::Discovery => Source::Discovery,
            Self::Depths => Source::Depths,
            Self::Figures => Source::Figures,
        }
    }
}

impl Watch {
    /// Starts the loops; they end with `stop`.
    pub fn start(&self, every: &config::Watch, stop: &CancellationToken, tracker: &TaskTracker) {
        for (round, seconds) in [
            (Round::Discovery, every.discovery_seconds),
            (Round::Depths, every.queues_seconds),
            (Round::Figures, every.functions_seconds),
        ] {
            let (watch, stop) = (self.clone(), stop.clone());
            let every = Duration::from_secs_f64(seconds);
            tracker.spawn(async move {
                stop.run_until_cancelled(watch.repeat(round, every)).await;
            });
        }
    }

    /// Asks for everything again now.
    pub async fn refresh(&self) {
        self.mirror.again(None).await;
        self.refresh.send_replace(());
    }

    /// Reads one dead-letter queue now, and looks at its messages again.
    pub async fn look_at(&self, queue: &QueueFacts) {
        self.mirror.again(Some(&queue.name)).await;
        if let Ok(Some(depth)) = self.depth(queue).await {
            self.mirror.reading(queue, depth).await;
            self.state
                .report(Reading::Depths(vec![(queue.name.clone(), depth)]))
                .await;
        }
    }

    async fn repeat(self, round: Round, every: Duration) {
        let mut refreshed = self.refresh.subscribe();
        let mut discovered = self.state.topologies();
        let mut failures = 0;
        loop {
            let outcome = match round {
                Round::Discovery => self.discover().await,
                Round::Depths => self.depths().await,
                Round::Figures => self.figures().await,
            };
            failures = if outcome.is_err() { failures + 1 } else { 0 };
            self.state
                .report(Reading::Problem(
                    round.source(),
                    outcome.unwrap_or_else(Some),
                ))
                .await;
            tokio::select! {
                () = tokio::time::sleep(wait(every, failures)) => {}
                _ = refreshed.changed() => {}
                // The first figures need not wait for their time once it is known what exists.
                () = first(&mut discovered), if matches!(round, Round::Figures) => {}
            }
        }
    }

    async fn discover(&self) -> Outcome {
        if self.state.snapshot().account_id.is_empty() {
            let account = self.aws.account_id().await;
            let problem = account.as_ref().err().cloned();
            self.state
                .report(Reading::Problem(Source::Account, problem))
                .await;
            // What exists can be seen even where STS is out of reach.
            if let Ok(account) = account {
                self.state.report(Reading::Account(account)).await;
            }
        }
        let known = self.state.topology();
        let Discovered { topology, problems } = self.aws.discover(&known).await;
        let found = topology.is_some();
        if let Some(topology) = topology {
            let read_now = |queue: &&QueueFacts| {
                known
                    .queues
                    .get(&queue.name)
                    .is_none_or(|before| before.depth.as_of != queue.depth.as_of)
            };
            let queues: Vec<QueueFacts> = topology
                .queues
                .keys()
                .filter_map(|name| topology.dead_letter_queue(name))
                .filter(read_now)
                .cloned()
                .collect();
            let topology = Arc::new(topology);
            self.state.report(Reading::Topology(topology.clone())).await;
            self.mirror.found(topology).await;
            for queue in queues {
                self.mirror.reading(&queue, queue.depth).await;
            }
        }
        outcome(found, problems)
    }

    async fn depths(&self) -> Outcome {
        let topology = self.state.topology();
        // Owned, because a task that borrows from a stream's items is not known to be `Send`.
        let queues: Vec<QueueFacts> = topology.queues.values().cloned().collect();
        let mut answers = stream::iter(queues)
            .map(|queue| async move {
                let depth = self.depth(&queue).await;
                (queue, depth)
            })
            .buffer_unordered(CONCURRENCY);
        let mut depths = Vec::new();
        let mut problems = Vec::new();
        let mut answered = topology.queues.is_empty();
        while let Some((queue, answer)) = answers.next().await {
            answered |= answer.is_ok();
            match answer {
                Ok(Some(depth)) => {
                    if topology.dead_letter_queue(&queue.name).is_some() {
                        self.mirror.reading(&queue, depth).await;
                    }
                    depths.push((queue.name, depth));
                }
                // Deleted meanwhile; the next discovery notices.
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        if !depths.is_empty() {
            self.state.report(Reading::Depths(depths)).await;
        }
        outcome(answered, problems)
    }

    /// The depth for everyone else: what a scan of ours hides is waiting, not in flight.
    async fn depth(&self, queue: &QueueFacts) -> Result<Option<Depth>, Problem> {
        let claim = self.claims.of(&queue.name);
        let depth = self.aws.depth(&queue.url).await?;
        Ok(depth.map(|depth| shown(depth, claim.held())))
    }

    async fn figures(&self) -> Outcome {
        let topology = self.state.topology();
        if topology.queues.is_empty() && topology.functions.is_empty() {
            return Ok(None);
        }
        let functions: Vec<_> = topology.functions.keys().cloned().collect();
        let queues: Vec<_> = topology.queues.keys().cloned().collect();
        let figures = self.aws.figures(&functions, &queues).await?;
        self.state.report(Reading::Figures(figures)).await;
        Ok(None)
    }
}

/// One that cannot be read must not slow the loop down for all others.
fn outcome(something: bool, problems: Vec<Problem>) -> Outcome {
    match together(problems) {
        Some(problem) if !something => Err(problem),
        problem => Ok(problem),
    }
}

fn shown(depth: Depth, held: u64) -> Depth {
    let held = held.min(depth.in_flight);
    Depth {
        visible: depth.visible + held,
        in_flight: depth.in_flight - held,
        ..depth
    }
}

/// Waits until something was found to exist, for the first time.
async fn first(discovered: &mut watch::Receiver<Arc<crate::topology::Topology>>) {
    let was_empty = discovered.borrow_and_update().queues.is_empty();
    if !was_empty || discovered.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The interval, longer with each failure, and 10 % more or less so that many daemons do not ask in step.
fn wait(every: Duration, failures: u32) -> Duration {
    let grown = every
        .saturating_mul(1 << failures.min(6))
        .min(LONGEST.max(every));
    let thousandth = u32::from(uuid::Uuid::new_v4().as_bytes()[0]) * 200 / 255;
    grown * (900 + thousandth) / 1000
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use jiff::Timestamp;

    use super::*;
    use crate::aws::canned;
    use crate::ledger::Ledger;
    use crate::mirror::Keeper;
    use crate::mirror::store::Store;
    use crate::topology::tests::{queue, topology};

    #[tokio::test]
    async fn one_queue_that_cannot_be_read_slows_nothing_down() {
        let all = Arc::new(AtomicBool::new(false));
        let all_denied = all.clone();
        let aws = canned::aws(move |_, body| {
            if all_denied.load(Ordering::SeqCst) || body["QueueUrl"] == canned::queue("secret").url
            {
                canned::denied()
            } else {
                canned::queue("open").answer()
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), "here".to_owned()).await.unwrap();
        let state = State::start(crate::state::beginning("eu-west-1"));
        let keeper = Keeper {
            aws: aws.clone(),
            ledger: Ledger::open(dir.path()).unwrap(),
            instance: String::new(),
            claims: Claims::default(),
            state: state.clone(),
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        };
        let watch = Watch {
            aws,
            claims: Claims::default(),
            mirror: Mirror::start(store, keeper),
            state: state.clone(),
            refresh: watch::Sender::new(()),
        };
        let queues = topology([queue("open", None), queue("secret", None)], []);
        state.report(Reading::Topology(Arc::new(queues))).await;
        let mut snapshots = state.snapshots();
        snapshots
            .wait_for(|snapshot| snapshot.queues.len() == 2)
            .await
            .unwrap();
        // A problem to show, and no reason to wait longer.
        let problem = watch.depths().await.unwrap().unwrap();
        assert!(problem.what.contains("secret"), "{problem}");
        assert!(problem.fix.contains("sqs:GetQueueAttributes"));
        let read = snapshots
            .wait_for(|snapshot| snapshot.queue("open").unwrap().as_of > Timestamp::UNIX_EPOCH)
            .await;
        assert_eq!(
            read.unwrap().queue("secret").unwrap().as_of,
            Timestamp::UNIX_EPOCH
        );
        all.store(true, Ordering::SeqCst);
        let problem = watch.depths().await.unwrap_err();
        assert!(problem.what.contains("open"), "{problem}");
        assert!(problem.what.contains("secret"), "{problem}");
    }

    #[test]
    fn failures_slow_a_loop_down() {
        let every = Duration::from_secs(5);
        for _ in 0..100 {
            let wait_after = |failures| wait(every, failures).as_secs_f64();
            assert!((4.5..=5.5).contains(&wait_after(0)));
            assert!((9.0..=11.0).contains(&wait_after(1)));
            assert!((54.0..=66.0).contains(&wait_after(30)));
        }
        assert!(wait(Duration::from_hours(1), 3) >= Duration::from_mins(54));
    }

    #[test]
    fn what_a_scan_hides_is_shown_as_waiting() {
        let depth = Depth {
            visible: 2,
            in_flight: 5,
            delayed: 1,
            as_of: Timestamp::UNIX_EPOCH,
        };
        let during = shown(depth, 4);
        assert_eq!((during.visible, during.in_flight), (6, 1));
        // SQS may not know yet what was received just now.
        let early = shown(depth, 9);
        assert_eq!((early.visible, early.in_flight), (7, 0));
        assert_eq!(during.total(), depth.total());
    }
}
