//! The mirror as people see it: messages with what the topology adds to them.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use patterns_core::failed::{FailedEvent, FailedGroups, FailedList, Filter, GROUPS_MAX, Group};
use patterns_core::problem::{Problem, ProblemKind};

use super::search::{self, Condition};
use super::store::Mirrored;
use super::{Mirror, disk};
use crate::ledger;
use crate::origin::{Evidence, resolve};
use crate::state::State;
use crate::topology::{QueueFacts, Topology, name_of};

/// A mirrored message as a list shows it.
pub async fn shown(
    mirror: &Mirror,
    row: &Mirrored,
    topology: &Topology,
) -> Result<FailedEvent, Problem> {
    let redrive_count = redriven(mirror, std::slice::from_ref(row)).await?;
    Ok(FailedEvent {
        redrive_count: redrive_count.first().copied().unwrap_or(0),
        ..event(row, topology)
    })
}

/// How often each of those messages was redriven and came back.
async fn redriven(mirror: &Mirror, rows: &[Mirrored]) -> Result<Vec<u32>, Problem> {
    let message = |row: &Mirrored| (row.queue_arn.clone(), row.message_id.clone());
    let messages = rows.iter().map(message).collect();
    let redriven = mirror.ledger().redriven(messages).await;
    redriven.map_err(ledger::disk)
}

/// A mirrored message, as far as the mirror alone knows it.
fn event(mirrored: &Mirrored, topology: &Topology) -> FailedEvent {
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
        signature: decoded.signature.clone(),
        sent_at: decoded.sent_at,
        expires_at: retention.and_then(|retention| decoded.enqueued_at.checked_add(retention).ok()),
        // Whatever was tried at all was tried once.
        receive_count: decoded
            .attempts
            .or(moved_after)
            .unwrap_or(mirrored.receives.max(1)),
        redrive_count: 0,
        seen_at: mirrored.seen_at,
    }
}

/// The newest failed events of one dead-letter queue or all, as far as the filter lets them through.
pub async fn list(
    mirror: &Mirror,
    state: &State,
    queue: Option<String>,
    filter: &Filter,
    limit: u32,
) -> Result<FailedList, Problem> {
    let topology = state.topology();
    let asked = asked(&topology, queue.as_deref())?;
    let condition = condition(mirror, &asked, filter, &topology).await?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // Counted first: whoever reads that so many are mirrored finds them in the list.
    let (mirrored, approximate_total) = held(mirror, state, &asked).await?;
    let rows = mirror.store.list(arns(&asked), condition, limit).await;
    let rows = rows.map_err(disk)?.ok_or_else(search::too_long)?;
    let redriven = redriven(mirror, &rows).await?;
    let events: Vec<_> = rows
        .iter()
        .zip(redriven)
        .map(|(row, redrive_count)| FailedEvent {
            redrive_count,
            ..event(row, &topology)
        })
        .collect();
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

/// The failed events of one dead-letter queue or all, by signature.
pub async fn groups(
    mirror: &Mirror,
    state: &State,
    queue: Option<String>,
) -> Result<FailedGroups, Problem> {
    let topology = state.topology();
    let asked = asked(&topology, queue.as_deref())?;
    let alike = mirror.store.groups(arns(&asked), GROUPS_MAX).await;
    let (mirrored, approximate_total) = held(mirror, state, &asked).await?;
    let groups = alike.map_err(disk)?.into_iter().map(|alike| Group {
        origin: resolve(&alike.evidence, &alike.queue_arn, &topology).known(),
        dead_letter_queue: name_of(&alike.queue_arn).to_owned(),
        signature: alike.signature,
        error_type: alike.error_type,
        sample_message: alike.sample_message,
        count: alike.count,
        first_seen: alike.first,
        last_seen: alike.last,
    });
    Ok(FailedGroups {
        dead_letter_queue: queue,
        mirrored,
        approximate_total,
        groups: groups.collect(),
    })
}

/// The condition of a filter on those queues. An origin is what the messages there say about it.
pub async fn condition(
    mirror: &Mirror,
    queues: &[&QueueFacts],
    filter: &Filter,
    topology: &Topology,
) -> Result<Condition, Problem> {
    let condition = search::condition(filter)?;
    let Some(name) = &filter.origin else {
        return Ok(condition);
    };
    let mut places = Vec::new();
    for queue in queues {
        let said = mirror.store.evidence(&queue.arn).await.map_err(disk)?;
        places.extend(said.into_iter().filter(|evidence| {
            resolve(evidence, &queue.arn, topology)
                .known()
                .is_some_and(|origin| origin.name == *name)
        }));
    }
    Ok(condition.at_places(&places))
}

/// The queue of that name, or all dead-letter queues.
pub fn asked<'a>(
    topology: &'a Topology,
    queue: Option<&str>,
) -> Result<Vec<&'a QueueFacts>, Problem> {
    match queue {
        Some(name) => Ok(vec![known(topology, name)?]),
        None => Ok(topology
            .queues
            .keys()
            .filter_map(|name| topology.dead_letter_queue(name))
            .collect()),
    }
}

fn arns(queues: &[&QueueFacts]) -> Vec<String> {
    queues.iter().map(|queue| queue.arn.clone()).collect()
}

/// How many events of those queues are mirrored, and how many they hold by SQS's own count.
async fn held(
    mirror: &Mirror,
    state: &State,
    queues: &[&QueueFacts],
) -> Result<(u64, u64), Problem> {
    let snapshot = state.snapshot();
    let (mut mirrored, mut total) = (0, 0);
    for queue in queues {
        mirrored += mirror.store.count(&queue.arn).await.map_err(disk)?;
        total += snapshot
            .queue(&queue.name)
            .map_or(0, patterns_core::queue::Queue::depth);
    }
    Ok((mirrored, total))
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
