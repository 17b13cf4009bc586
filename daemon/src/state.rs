//! The one writer: folds readings and progress into a snapshot, and publishes it. Everyone else only reads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use patterns_core::function::{Function, WINDOW_SECONDS};
use patterns_core::operation::Operation;
use patterns_core::problem::Problem;
use patterns_core::queue::{Queue, QueueRole};
use patterns_core::snapshot::{OPERATIONS_SHOWN, Snapshot};
use tokio::sync::{mpsc, watch};

use crate::aws::metrics::Figures;
use crate::mirror::untouchable;
use crate::topology::{Depth, FunctionFacts, QueueFacts, Topology, name_of};

/// Where a problem comes from; a later word from the same place replaces it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Which account this is.
    Account,
    /// Which queues and functions exist.
    Discovery,
    /// How deep the queues are.
    Depths,
    /// The functions' metrics.
    Figures,
    /// Operations of the past.
    Resume,
    /// The ledger's file.
    Ledger,
    /// The failed events of that queue.
    Mirror(String),
}

/// Something that was learnt.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time is on its way to the one writer"
)]
pub enum Reading {
    /// Which account this is.
    Account(String),
    /// What exists.
    Topology(Arc<Topology>),
    /// How deep queues are, by name.
    Depths(Vec<(String, Depth)>),
    /// How many messages of a dead-letter queue are mirrored.
    Mirrored {
        /// The queue's name.
        queue: String,
        /// How many.
        count: u64,
    },
    /// Metrics.
    Figures(Figures),
    /// A function was broken or healed just now.
    DeliveryFailRate {
        /// The function's name.
        function: String,
        /// The variable's new value.
        rate: String,
    },
    /// How an operation stands.
    Operation(Operation),
    /// Something is wrong, or right again.
    Problem(Source, Option<Problem>),
}

/// Handle on the state.
#[derive(Clone)]
pub struct State {
    readings: mpsc::Sender<Reading>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    topology: watch::Receiver<Arc<Topology>>,
}

impl State {
    /// Starts the writer. `beginning` holds what never changes: region, endpoint, patterns, whether it is read-only.
    pub fn start(beginning: Snapshot) -> Self {
        let (readings, inbox) = mpsc::channel(1024);
        let (snapshot_sender, snapshot) = watch::channel(Arc::new(beginning.clone()));
        let (topology_sender, topology) = watch::channel(Arc::default());
        let known = Known {
            beginning,
            ..Known::default()
        };
        tokio::spawn(write(known, inbox, snapshot_sender, topology_sender));
        Self {
            readings,
            snapshot,
            topology,
        }
    }

    /// Passes on what was learnt.
    pub async fn report(&self, reading: Reading) {
        // The writer ends only with the last handle.
        let _ = self.readings.send(reading).await;
    }

    /// Everything known now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.borrow().clone()
    }

    /// What exists, as last found.
    pub fn topology(&self) -> Arc<Topology> {
        self.topology.borrow().clone()
    }

    /// Follows the snapshots.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.clone()
    }

    /// Follows what exists.
    pub fn topologies(&self) -> watch::Receiver<Arc<Topology>> {
        self.topology.clone()
    }
}

async fn write(
    mut known: Known,
    mut inbox: mpsc::Receiver<Reading>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    topologies: watch::Sender<Arc<Topology>>,
) {
    while let Some(reading) = inbox.recv().await {
        known.fold(reading);
        // Everything that waits goes into the same snapshot.
        while let Ok(reading) = inbox.try_recv() {
            known.fold(reading);
        }
        if !Arc::ptr_eq(&topologies.borrow(), &known.topology) {
            topologies.send_replace(known.topology.clone());
        }
        snapshots.send_replace(Arc::new(known.snapshot(Timestamp::now())));
    }
}

struct Known {
    beginning: Snapshot,
    account_id: String,
    topology: Arc<Topology>,
    depths: HashMap<String, Depth>,
    mirrored: HashMap<String, u64>,
    figures: Option<Figures>,
    operations: Vec<Operation>,
    problems: BTreeMap<Source, Problem>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            beginning: beginning(""),
            account_id: String::new(),
            topology: Arc::default(),
            depths: HashMap::new(),
            mirrored: HashMap::new(),
            figures: None,
            operations: Vec::new(),
            problems: BTreeMap::new(),
        }
    }
}

/// A snapshot of nothing in that region.
pub fn beginning(region: &str) -> Snapshot {
    Snapshot {
        as_of: Timestamp::now(),
        account_id: String::new(),
        region: region.to_owned(),
        endpoint_url: None,
        read_only: false,
        patterns: Vec::new(),
        queues: Vec::new(),
        functions: Vec::new(),
        operations: Vec::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    }
}

impl Known {
    fn fold(&mut self, reading: Reading) {
        match reading {
            Reading::Account(id) => self.account_id = id,
            Reading::Topology(topology) => {
                self.depths
                    .retain(|name, _| topology.queues.contains_key(name));
                self.mirrored
                    .retain(|name, _| topology.queues.contains_key(name));
                self.problems.retain(|source, _| match source {
                    Source::Mirror(name) => topology
                        .dead_letter_queue(name)
                        .is_some_and(|queue| untouchable(queue).is_none()),
                    _ => true,
                });
                self.topology = topology;
            }
            Reading::Depths(depths) => self.depths.extend(depths),
            Reading::Mirrored { queue, count } => {
                self.mirrored.insert(queue, count);
            }
            Reading::Figures(figures) => self.figures = Some(figures),
            Reading::DeliveryFailRate { function, rate } => {
                if let Some(function) = Arc::make_mut(&mut self.topology)
                    .functions
                    .get_mut(&function)
                {
                    function.delivery_fail_rate = Some(rate);
                }
            }
            Reading::Operation(operation) => self.operation(operation),
            Reading::Problem(source, Some(problem)) => {
                if self.problems.get(&source) != Some(&problem) {
                    tracing::warn!(%problem, "something keeps the daemon from its work");
                }
                self.problems.insert(source, problem);
            }
            Reading::Problem(source, None) => {
                self.problems.remove(&source);
            }
        }
    }

    /// Newest first; what runs is never dropped.
    fn operation(&mut self, operation: Operation) {
        match self
            .operations
            .iter_mut()
            .find(|known| known.id() == operation.id())
        {
            Some(known) => *known = operation,
            None => self.operations.push(operation),
        }
        self.operations.sort_by_key(|operation| {
            std::cmp::Reverse((!operation.state().ended(), operation.started_at()))
        });
        self.operations.truncate(OPERATIONS_SHOWN);
        self.operations
            .sort_by_key(|operation| std::cmp::Reverse(operation.started_at()));
    }

    fn snapshot(&self, as_of: Timestamp) -> Snapshot {
        Snapshot {
            as_of,
            account_id: self.account_id.clone(),
            queues: self
                .topology
                .queues
                .values()
                .map(|queue| self.queue(queue))
                .collect(),
            functions: self
                .topology
                .functions
                .values()
                .map(|function| self.function(function))
                .collect(),
            operations: self.operations.clone(),
            problems: self.problems.values().cloned().collect(),
            notes: self.notes(),
            ..self.beginning.clone()
        }
    }

    fn notes(&self) -> Vec<String> {
        let queues = self.topology.queues.values();
        queues
            .filter(|queue| self.topology.role(queue) == QueueRole::DeadLetter)
            .filter_map(|queue| {
                let why = untouchable(queue)?;
                Some(format!(
                    "the failed events in {} are not shown: {why}",
                    queue.name
                ))
            })
            .collect()
    }

    fn queue(&self, facts: &QueueFacts) -> Queue {
        let depth = self.depths.get(&facts.name).unwrap_or(&facts.depth);
        let role = self.topology.role(facts);
        Queue {
            name: facts.name.clone(),
            arn: facts.arn.clone(),
            role,
            visible: depth.visible,
            in_flight: depth.in_flight,
            delayed: depth.delayed,
            oldest_age_seconds: self
                .figures
                .as_ref()
                .and_then(|figures| figures.oldest_age_seconds.get(&facts.name))
                // CloudWatch is minutes late: an empty queue has no oldest message, whatever it says.
                .filter(|_| depth.total() > 0)
                .copied(),
            dead_letter_queue: facts
                .redrive
                .as_ref()
                .map(|(arn, _)| name_of(arn).to_owned()),
            origins: self.topology.origins_of(&facts.arn),
            mirrored: (role == QueueRole::DeadLetter)
                .then(|| self.mirrored.get(&facts.name).copied().unwrap_or(0)),
            as_of: depth.as_of,
        }
    }

    fn function(&self, facts: &FunctionFacts) -> Function {
        let figures = self.figures.as_ref();
        let own = figures
            .and_then(|figures| figures.functions.get(&facts.name))
            .copied();
        let read = own.unwrap_or_default();
        Function {
            name: facts.name.clone(),
            arn: facts.arn.clone(),
            invocations: read.invocations,
            errors: read.errors,
            throttles: read.throttles,
            duration_p95_ms: read.duration_p95_ms,
            concurrent: read.concurrent,
            window_seconds: WINDOW_SECONDS,
            pattern: facts.pattern.clone(),
            delivery_fail_rate: facts.delivery_fail_rate.clone(),
            dead_letter_queue: [&facts.on_failure, &facts.dead_letter]
                .into_iter()
                .flatten()
                .find_map(|arn| self.topology.queue_by_arn(arn))
                .map(|queue| queue.name.clone()),
            as_of: own.and(figures.map(|figures| figures.as_of)),
        }
    }
}

#[cfg(test)]
mod tests {
    use patterns_core::health::{self, Health};
    use patterns_core::operation::{Burst, LatencyMs, OperationState};
    use patterns_core::problem::ProblemKind;

    use super::*;
    use crate::topology::tests::{function, queue, topology};

    fn known() -> Known {
        let mut known = Known::default();
        known.fold(Reading::Topology(Arc::new(topology(
            [queue("orders", Some("dlq")), queue("dlq", None)],
            [function("notify", Some("dlq"), None)],
        ))));
        known
    }

    fn burst(id: &str, state: OperationState, second: i64) -> Operation {
        Operation::Burst(Burst {
            operation_id: id.to_owned(),
            state,
            pattern: "p".to_owned(),
            count: 1,
            requested_rate: 1.0,
            achieved_rate: 0.0,
            sent: 0,
            failed: 0,
            shortfall: 0,
            latency_ms: LatencyMs::default(),
            errors: BTreeMap::new(),
            started_at: Timestamp::from_second(second).unwrap(),
            ended_at: None,
        })
    }

    #[test]
    fn a_snapshot_says_where_failures_go() {
        let mut known = known();
        known.fold(Reading::Mirrored {
            queue: "dlq".to_owned(),
            count: 2,
        });
        let snapshot = known.snapshot(Timestamp::UNIX_EPOCH);
        let dlq = snapshot.queue("dlq").unwrap();
        assert_eq!(dlq.role, QueueRole::DeadLetter);
        assert_eq!(dlq.mirrored, Some(2));
        assert_eq!(dlq.origins.len(), 2);
        let orders = snapshot.queue("orders").unwrap();
        assert_eq!(orders.dead_letter_queue.as_deref(), Some("dlq"));
        let notify = snapshot.function("notify").unwrap();
        assert_eq!(notify.dead_letter_queue.as_deref(), Some("dlq"));
        assert_eq!(notify.as_of, None);
    }

    #[test]
    fn a_queue_that_is_not_looked_at_is_no_problem() {
        let mut known = known();
        let snapshot = known.snapshot(Timestamp::UNIX_EPOCH);
        assert_eq!(snapshot.notes, Vec::<String>::new());
        let mut fifo = queue("dlq.fifo", None);
        fifo.fifo = true;
        known.fold(Reading::Topology(Arc::new(topology(
            [queue("orders.fifo", Some("dlq.fifo")), fifo],
            [],
        ))));
        let snapshot = known.snapshot(Timestamp::UNIX_EPOCH);
        assert_eq!(snapshot.notes.len(), 1);
        assert!(snapshot.notes[0].contains("dlq.fifo"));
        assert_eq!(health::of_snapshot(&snapshot), Health::Ok);
    }

    #[test]
    fn what_is_gone_leaves_no_trace() {
        let mut known = known();
        let problem = Problem::new(ProblemKind::Upstream, "what", "why", "");
        known.fold(Reading::Problem(
            Source::Mirror("dlq".to_owned()),
            Some(problem.clone()),
        ));
        known.fold(Reading::Problem(Source::Depths, Some(problem)));
        assert_eq!(known.snapshot(Timestamp::UNIX_EPOCH).problems.len(), 2);
        known.fold(Reading::Topology(Arc::default()));
        let snapshot = known.snapshot(Timestamp::UNIX_EPOCH);
        assert!(snapshot.queues.is_empty());
        assert_eq!(snapshot.problems.len(), 1);
        known.fold(Reading::Problem(Source::Depths, None));
        assert!(known.snapshot(Timestamp::UNIX_EPOCH).problems.is_empty());
    }

    #[test]
    fn what_runs_is_never_dropped() {
        let mut known = known();
        known.fold(Reading::Operation(burst("old", OperationState::Running, 0)));
        for second in 1..40 {
            let id = format!("b{second}");
            known.fold(Reading::Operation(burst(
                &id,
                OperationState::Completed,
                second,
            )));
        }
        let snapshot = known.snapshot(Timestamp::UNIX_EPOCH);
        assert_eq!(snapshot.operations.len(), OPERATIONS_SHOWN);
        assert_eq!(snapshot.operations[0].id(), "b39");
        assert!(snapshot.operation("old").is_some());
    }

    #[tokio::test]
    async fn a_healed_function_shows_at_once() {
        let state = State::start(beginning("eu-west-1"));
        let mut snapshots = state.snapshots();
        state
            .report(Reading::Topology(Arc::new(topology(
                [],
                [function("notify", None, None)],
            ))))
            .await;
        state
            .report(Reading::DeliveryFailRate {
                function: "notify".to_owned(),
                rate: "0".to_owned(),
            })
            .await;
        let snapshot = snapshots
            .wait_for(|snapshot| {
                snapshot
                    .function("notify")
                    .is_some_and(|function| function.broken() == Some(false))
            })
            .await
            .unwrap();
        assert_eq!(snapshot.region, "eu-west-1");
    }
}
