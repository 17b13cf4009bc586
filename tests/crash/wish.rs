//! What else is asked of a daemon: plans of other kinds, and whether it is gone.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use patterns_core::operation::{Manner, Operation, Plan, Selection};
use patterns_core::protocol::Request;

use super::account::PATIENCE;
use super::daemon::Daemon;

impl Daemon {
    /// A plan for all of the `count` events in the queue in steps, no faster than that, as soon as the daemon knows of them.
    pub async fn plan_steps(&self, queue: &str, count: usize, rate: Option<f64>) -> Plan {
        let request = Request::Plan {
            dead_letter_queue: queue.to_owned(),
            selection: Selection::Everything,
            to: None,
            manner: Manner {
                rate,
                ..Manner::default()
            },
            edit: None,
        };
        let plan = self.planned(request, count).await;
        assert!(plan.steps.len() > 2, "{plan:?}");
        plan
    }

    /// A plan that takes back the `count` events that an operation sent, as soon as the daemon knows of the queues.
    pub async fn plan_back(&self, operation: &str, count: usize) -> Plan {
        let id = operation.to_owned();
        self.planned(Request::TakeBack { id }, count).await
    }

    /// Waits until it has ended by itself.
    pub async fn dies(&mut self, about: &str) {
        let since = Instant::now();
        while self.ended_by_itself().is_none() {
            assert!(
                since.elapsed() < PATIENCE,
                "never at {about}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The id of an operation that is none of these; nothing when there is no such one.
    pub async fn other_than(&self, known: &HashSet<String>) -> Option<String> {
        let snapshot = self.snapshot().await?;
        let mut ids = snapshot.operations.iter().map(Operation::id);
        ids.find(|id| !known.contains(*id)).map(str::to_owned)
    }
}
