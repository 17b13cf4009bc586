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
    match (queue.role, queue.depth()) {
        (QueueRole::DeadLetter, 1) => Health::Bad("1 failed event".to_owned()),
        (QueueRole::DeadLetter, depth) if depth > 1 => {
            Health::Bad(format!("{depth} failed events"))
        }
        _ => Health::Ok,
    }
}

/// Broken on purpose or failing: watch, because retries may still succeed; what they could not save is in a dead-letter queue.
#[must_use]
pub fn of_function(function: &Function) -> Health {
    if function.broken() == Some(true) {
        return Health::Watch("delivery broken on purpose".to_owned());
    }
    match (function.errors, function.throttles) {
        (0, 0) => Health::Ok,
        (0, throttles) => Health::Watch(format!("{throttles} throttled")),
        (errors, _) => Health::Watch(format!("{errors} errors")),
    }
}

/// The worst of everything: bad when a dead-letter queue holds events or the daemon cannot see.
#[must_use]
pub fn of_snapshot(snapshot: &Snapshot) -> Health {
    if let Some(problem) = snapshot.problems.first() {
        return Health::Bad(problem.what.clone());
    }
    let mut worst = Health::Ok;
    let judged = snapshot
        .queues
        .iter()
        .map(of_queue)
        .chain(snapshot.functions.iter().map(of_function));
    for health in judged {
        match (&worst, &health) {
            (_, Health::Bad(_)) => return health,
            (Health::Ok, Health::Watch(_)) => worst = health,
            _ => {}
        }
    }
    worst
}
