//! The only place that judges: from figures to *ok*, *watch* or *bad*, with the reason.

use serde::{Deserialize, Serialize};

use crate::function::Function;
use crate::queue::{Queue, QueueRole};
use crate::snapshot::Snapshot;

/// A judgement. The reason is a short phrase for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "level", content = "why", rename_all = "snake_case")]
pub enum Health {
    /// Nothing to do.
    Ok,
    /// Worth a look.
    Watch(String),
    /// Something failed.
    Bad(String),
}

/// Failed events wait in a dead-letter queue: bad. Everything else a queue does is normal life.
#[must_use]
pub fn of_queue(queue: &Queue) -> Health {
    match queue.role {
        QueueRole::DeadLetter => failed_events(queue.depth()).unwrap_or(Health::Ok),
        QueueRole::Source | QueueRole::Plain => Health::Ok,
    }
}

/// Broken on purpose or failing: watch, because retries may still succeed; what they could not save is in a dead-letter queue.
#[must_use]
pub fn of_function(function: &Function) -> Health {
    if function.broken() == Some(true) {
        return Health::Watch("broken on purpose".to_owned());
    }
    match (function.errors, function.throttles) {
        (0, 0) => Health::Ok,
        (0, throttles) => Health::Watch(format!("{throttles} throttled")),
        (errors, _) => Health::Watch(format!("{errors} errors")),
    }
}

/// All of it in one word: bad when dead-letter queues hold events, all counted, or the daemon cannot see.
#[must_use]
pub fn of_snapshot(snapshot: &Snapshot) -> Health {
    if let Some(problem) = snapshot.problems.first() {
        return Health::Bad(problem.what.clone());
    }
    let failed: u64 = snapshot
        .queues
        .iter()
        .filter(|queue| queue.role == QueueRole::DeadLetter)
        .map(Queue::depth)
        .sum();
    if let Some(bad) = failed_events(failed) {
        return bad;
    }
    let mut judged = snapshot.functions.iter().map(of_function);
    judged
        .find(|health| *health != Health::Ok)
        .unwrap_or(Health::Ok)
}

fn failed_events(count: u64) -> Option<Health> {
    match count {
        0 => None,
        1 => Some(Health::Bad("1 failed event".to_owned())),
        _ => Some(Health::Bad(format!("{count} failed events"))),
    }
}
