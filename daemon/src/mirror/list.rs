//! The mirror as people see it: messages with what the topology adds to them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::{FailedEvent, FailedList};
use patterns_core::problem::{Problem, ProblemKind};

use super::store::Mirrored;
use super::{Mirror, disk};
use crate::origin::{Evidence, resolve};
use crate::state::State;
use crate::topology::{QueueFacts, Topology, name_of};

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
    use crate::mirror::decode::decode;
    use crate::topology::tests::{queue, topology};

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
            decoded: decode(&moved),
        };
        assert_eq!(event(&mirrored, &topology).receive_count, 3);
        let expires = event(&mirrored, &topology).expires_at.unwrap();
        assert_eq!(expires.as_second(), 1_209_600);
        mirrored.decoded.evidence = Evidence::Nothing;
        assert_eq!(event(&mirrored, &topology).receive_count, 9);
    }
}
