//! What a message move task of SQS can carry out, and what is to be known about it.
//! (SQS API Reference, `StartMessageMoveTask`; "Learn how to configure a dead-letter queue redrive in Amazon SQS".)

use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::{Level, Lint, Selection, Verification};
use patterns_core::problem::{Problem, ProblemKind};

use crate::topology::{QueueFacts, Topology};

/// Refuses what a move task does not do: it moves everything out of the dead-letter queue of a queue, as it is.
pub fn possible(
    queue: &QueueFacts,
    selection: &Selection,
    edited: bool,
    topology: &Topology,
) -> Result<(), Problem> {
    if *selection != Selection::Everything || edited {
        return Err(impossible(
            ProblemKind::Usage,
            queue,
            "it moves everything in the queue, as it is",
        ));
    }
    let of_a_queue = topology.sources_of(&queue.arn).next().is_some();
    if !of_a_queue && topology.has_all_queues() {
        let why = "SQS moves only out of the dead-letter queue of a queue, and no queue sends its failures here";
        return Err(impossible(ProblemKind::Conflict, queue, why));
    }
    Ok(())
}

/// Refuses what goes to a function.
pub fn to_a_queue(queue: &QueueFacts, target: &Origin) -> Result<(), Problem> {
    match target.kind {
        OriginKind::Queue => Ok(()),
        OriginKind::Function => {
            let why = format!("it moves to queues, and these events go to {target}");
            Err(impossible(ProblemKind::Conflict, queue, why))
        }
    }
}

fn impossible(kind: ProblemKind, queue: &QueueFacts, why: impl Into<String>) -> Problem {
    Problem::new(
        kind,
        format!(
            "a message move task cannot do that with the events in {}",
            queue.name
        ),
        why,
        "redrive them without --native",
    )
}

/// Why nothing is known about single events.
pub const UNVERIFIED: &str =
    "SQS moves the messages itself, gives them new ids and does not say which";

/// What can be known is nothing.
pub fn unverified() -> Verification {
    Verification {
        unverified: Some(UNVERIFIED.to_owned()),
        ..Verification::default()
    }
}

/// Events of other origins would go to the target as well.
pub fn mixed(queue: &QueueFacts, target: &Origin, topology: &Topology) -> Option<Lint> {
    let mut others = topology.origins_of(&queue.arn);
    others.retain(|origin| origin != target);
    if others.is_empty() {
        return None;
    }
    let others: Vec<_> = others.iter().map(ToString::to_string).collect();
    Some(Lint {
        level: Level::Stop,
        what: format!("all of it would go to {target}, wherever it failed"),
        why: format!(
            "events in {} may have failed at {}, and a message move task does not tell them apart",
            queue.name,
            others.join(", ")
        ),
        fix: "redrive them without --native".to_owned(),
        forcible: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::{function, queue, topology};

    #[test]
    fn only_all_of_the_dead_letters_of_a_queue_are_moved() {
        let queues = [
            queue("orders", Some("dlq")),
            queue("dlq", None),
            queue("async", None),
        ];
        let mut topology = topology(queues, [function("notify", Some("async"), None)]);
        let kind = |name: &str, selection: &Selection, edited, topology: &Topology| {
            let possible = possible(&topology.queues[name], selection, edited, topology);
            possible.err().map(|problem| problem.kind)
        };
        let all = Selection::Everything;
        let chosen = Selection::Chosen(vec!["a".to_owned()]);
        assert_eq!(kind("dlq", &all, false, &topology), None);
        let usage = Some(ProblemKind::Usage);
        assert_eq!(kind("dlq", &chosen, false, &topology), usage);
        assert_eq!(kind("dlq", &all, true, &topology), usage);
        let of_a_function = kind("async", &all, false, &topology);
        assert_eq!(of_a_function, Some(ProblemKind::Conflict));
        topology.unread.insert("payments".to_owned());
        assert_eq!(kind("async", &all, false, &topology), None, "SQS knows");
    }

    #[test]
    fn other_origins_are_named() {
        let orders = Origin {
            kind: OriginKind::Queue,
            name: "orders".to_owned(),
        };
        let queues = || [queue("orders", Some("dlq")), queue("dlq", None)];
        let alone = topology(queues(), []);
        let dlq = &alone.queues["dlq"];
        assert_eq!(mixed(dlq, &orders, &alone), None);
        let shared = topology(queues(), [function("notify", Some("dlq"), None)]);
        let lint = mixed(dlq, &orders, &shared).unwrap();
        assert!(lint.why.contains("function notify"), "{}", lint.why);
        assert!(to_a_queue(dlq, &orders).is_ok());
        let notify = Origin {
            kind: OriginKind::Function,
            name: "notify".to_owned(),
        };
        assert!(to_a_queue(dlq, &notify).is_err());
    }
}
