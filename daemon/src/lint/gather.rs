//! Asks for the facts of a plan. What cannot be asked is said, and keeps no plan from being made.

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::Timestamp;
use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::{Selection, Verification};
use patterns_core::problem::Problem;

use super::verification::{Asynchronous, verification};
use super::{Consumer, Facts, Load, Looping};
use crate::aws::Aws;
use crate::aws::functions::{INVOKED_MAX, Limits};
use crate::aws::move_tasks::MoveStatus;
use crate::ledger;
use crate::letter::event_id;
use crate::mirror::{Mirror, disk};
use crate::topology::{QueueFacts, Topology};

/// Functions looked at for one plan.
const CONSUMERS_MAX: usize = 10;

/// What a plan is about.
#[derive(Debug)]
pub struct Subject<'a> {
    /// The dead-letter queue.
    pub queue: &'a QueueFacts,
    /// Where the events go.
    pub target: &'a Origin,
    /// Which.
    pub selection: &'a Selection,
    /// How many.
    pub planned: u64,
    /// Their message ids; none when everything is meant.
    pub message_ids: &'a [String],
    /// Whether they are changed before they are sent.
    pub edited: bool,
}

/// Gathers what is known about a plan.
pub async fn gather(
    aws: &Aws,
    mirror: &Mirror,
    topology: &Topology,
    subject: &Subject<'_>,
) -> Facts {
    let store = &mirror.store;
    let Subject { queue, target, .. } = subject;
    let mut unknown = Vec::new();
    let to_queue = topology
        .queues
        .get(&target.name)
        .filter(|_| target.kind == OriginKind::Queue);
    let largest = to_queue.map_or(INVOKED_MAX, |queue| queue.message_bytes_max);
    let ids = match subject.selection {
        Selection::Everything => None,
        Selection::Chosen(_) | Selection::Matching(_) => Some(subject.message_ids.to_vec()),
    };
    let load = store.load(&queue.arn, ids, largest, target.kind).await;
    let held = store.count(&queue.arn).await;
    let (consumers, moving, denied, retries) = tokio::join!(
        consumers(aws, target, to_queue),
        is_moving(aws, queue),
        may_invoke(aws, target),
        retries(aws, target)
    );
    let consumers = consumers.unwrap_or_else(|problem| {
        unknown.push(problem);
        Vec::new()
    });
    let mut known = Vec::new();
    for (consumer, problem) in consumers {
        known.push(consumer);
        unknown.extend(problem);
    }
    let retries = retries.unwrap_or_else(|problem| {
        unknown.push(problem);
        None
    });
    let asynchronous = Asynchronous {
        retries,
        waits: aws.retry_waits,
    };
    let verification = verification(target, &known, asynchronous, topology);
    let looping = looping(mirror, subject, &verification).await;
    Facts {
        now: Timestamp::now(),
        target: (*target).clone(),
        planned: subject.planned,
        held: held.unwrap_or(subject.planned),
        selection: subject.selection.clone(),
        retention_seconds: queue.retention_seconds,
        load: load.unwrap_or_else(|error| {
            unknown.push(disk(error));
            Load::default()
        }),
        largest: Some(largest),
        visibility_seconds: to_queue.map(|queue| queue.visibility_seconds),
        consumers: known,
        moving: moving.unwrap_or_else(|problem| {
            unknown.push(problem);
            false
        }),
        denied,
        looping: looping.unwrap_or_else(|problem| {
            unknown.push(problem);
            Looping::default()
        }),
        verification,
        unknown,
    }
}

/// Whether a message move task empties the queue now. Only one can.
async fn is_moving(aws: &Aws, queue: &QueueFacts) -> Result<bool, Problem> {
    let tasks = aws.move_tasks(&queue.arn).await?;
    let newest = tasks.first().map(|task| &task.status);
    Ok(newest == Some(&MoveStatus::Running))
}

async fn retries(aws: &Aws, target: &Origin) -> Result<Option<u32>, Problem> {
    match target.kind {
        OriginKind::Function => aws.retries(&target.name).await,
        OriginKind::Queue => Ok(None),
    }
}

/// Those of the selected events that the mirror holds and that would come back once more.
async fn looping(
    mirror: &Mirror,
    subject: &Subject<'_>,
    verification: &Verification,
) -> Result<Looping, Problem> {
    if subject.edited {
        return Ok(Looping::default());
    }
    let queue_arn = &subject.queue.arn;
    let revisions = verification.revisions.clone();
    let mut looping = mirror
        .ledger()
        .loops(queue_arn, revisions)
        .await
        .map_err(ledger::disk)?;
    if *subject.selection != Selection::Everything {
        let chosen: BTreeSet<_> = subject.message_ids.iter().collect();
        looping.retain(|(message_id, _)| chosen.contains(message_id));
    }
    let ids = looping
        .iter()
        .map(|(message_id, _)| event_id(queue_arn, message_id));
    let held = mirror.store.chosen(queue_arn, ids.collect()).await;
    let held = held.map_err(disk)?;
    let one = looping
        .into_iter()
        .map(|(message_id, signature)| (event_id(queue_arn, &message_id), signature))
        .find(|(id, _)| held.contains_key(id));
    Ok(Looping {
        events: u64::try_from(held.len()).unwrap_or(u64::MAX),
        one,
    })
}

async fn may_invoke(aws: &Aws, target: &Origin) -> Option<Problem> {
    match target.kind {
        OriginKind::Function => aws.may_invoke(&target.name).await.err(),
        OriginKind::Queue => None,
    }
}

/// The functions that would process the events, each with why something of it is not known.
async fn consumers(
    aws: &Aws,
    target: &Origin,
    to_queue: Option<&QueueFacts>,
) -> Result<Vec<(Consumer, Option<Problem>)>, Problem> {
    let found = match to_queue {
        Some(queue) => aws.mappings_of(&queue.arn).await?,
        None => vec![(target.name.clone(), None, 1)],
    };
    let asked =
        found
            .into_iter()
            .take(CONSUMERS_MAX)
            .map(|(function, mapping, batch)| async move {
                let (limits, problem) = match aws.limits(&function).await {
                    Ok(limits) => (limits, None),
                    Err(problem) => (Limits::default(), Some(problem)),
                };
                let consumer = Consumer {
                    function,
                    mapping,
                    batch,
                    timeout_seconds: limits.timeout_seconds,
                    reserved: limits.reserved,
                    revision: limits.revision,
                };
                (consumer, problem)
            });
    Ok(join_all(asked).await)
}
