//! How it will be known whether redriven events were processed. Pure.

use std::time::Duration;

use patterns_core::failed::{Origin, OriginKind};
use patterns_core::operation::Verification;

use super::Consumer;
use crate::mirror::untouchable;
use crate::topology::{Topology, name_of};

/// Lambda tries an asynchronous event again at most this often, and as often when nothing else is said.
/// (Lambda API Reference, `PutFunctionEventInvokeConfig`: `MaximumRetryAttempts`.)
const RETRIES: u32 = 2;

/// A message moves to the dead-letter queue not when it was received too often, but when it is asked for once more; and
/// Lambda's waits are no promise. So the window is longer by a tenth, within these limits in seconds.
const SLACK: (u64, u64) = (2, 60);

/// How events are handed over that do not come in by a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asynchronous {
    /// Attempts after the first; none when that could not be read.
    pub retries: Option<u32>,
    /// Waits before them.
    pub waits: [Duration; 2],
}

/// What events sent to `target` have to pass before they count as processed.
pub fn verification(
    target: &Origin,
    consumers: &[Consumer],
    asynchronous: Asynchronous,
    topology: &Topology,
) -> Verification {
    let revision =
        |consumer: &Consumer| Some((consumer.function.clone(), consumer.revision.clone()?));
    let revisions = consumers.iter().filter_map(revision).collect();
    let known = match target.kind {
        OriginKind::Queue => through_queue(&target.name, topology),
        OriginKind::Function => by_invocation(&target.name, consumers, asynchronous, topology),
    };
    match known {
        Ok((seconds, queue)) => Verification {
            window_seconds: Some(seconds + (seconds / 10).clamp(SLACK.0, SLACK.1)),
            returns_to: vec![queue],
            unverified: None,
            revisions,
        },
        Err(why) => Verification {
            unverified: Some(why),
            revisions,
            ..Verification::default()
        },
    }
}

/// How long a message can be on its way through a queue, in seconds, and where it ends when it fails.
/// (SQS Developer Guide, "Using dead-letter queues in Amazon SQS".)
fn through_queue(name: &str, topology: &Topology) -> Result<(u64, String), String> {
    let queue = topology
        .queues
        .get(name)
        .ok_or_else(|| format!("the queue {name} could not be read"))?;
    let (dead_letter_queue, receives) = queue.redrive.as_ref().ok_or_else(|| {
        format!("{name} has no dead-letter queue: an event that fails again stays in it")
    })?;
    let seconds = u64::from(*receives) * queue.visibility_seconds + queue.delay_seconds;
    Ok((seconds, seen(dead_letter_queue, topology)?))
}

/// How long an asynchronous invocation can take with all its retries, in seconds, and where it ends when it fails.
/// (Lambda Developer Guide, "How Lambda handles errors and retries with asynchronous invocation".)
fn by_invocation(
    name: &str,
    consumers: &[Consumer],
    Asynchronous { retries, waits }: Asynchronous,
    topology: &Topology,
) -> Result<(u64, String), String> {
    let function = topology
        .functions
        .get(name)
        .ok_or_else(|| format!("the function {name} could not be read"))?;
    let timeout = consumers
        .iter()
        .find(|consumer| consumer.function == name)
        .and_then(|consumer| consumer.timeout_seconds)
        .ok_or_else(|| format!("the timeout of {name} could not be read"))?;
    let retries = retries.unwrap_or(RETRIES).min(RETRIES);
    let waits: Duration = waits
        .iter()
        .take(usize::try_from(retries).unwrap_or(0))
        .sum();
    let seconds = waits.as_secs() + u64::from(retries + 1) * timeout;
    let mut places = [&function.dead_letter, &function.on_failure]
        .into_iter()
        .flatten()
        .map(|place| seen(place, topology));
    let first = places.next().unwrap_or_else(|| {
        Err(format!(
            "{name} has no dead-letter queue and no destination for failures: Lambda drops what fails again"
        ))
    });
    // It has at most two places, and each gets every failure.
    let queue = first.or_else(|why| places.next().unwrap_or(Err(why)))?;
    Ok((seconds, queue))
}

/// The name of the queue of that ARN, when its messages may be looked at.
fn seen(arn: &str, topology: &Topology) -> Result<String, String> {
    let name = name_of(arn);
    if arn.split(':').nth(2) != Some("sqs") {
        return Err(format!(
            "an event that fails again goes to {arn}, which is no queue"
        ));
    }
    let queue = topology
        .queue_by_arn(arn)
        .ok_or_else(|| format!("the dead-letter queue {name} could not be read"))?;
    match untouchable(queue) {
        Some(why) => Err(format!(
            "nobody looks into the dead-letter queue {name}: {why}"
        )),
        None => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::{function, queue, topology};

    const WAITS: [Duration; 2] = [Duration::from_mins(1), Duration::from_mins(2)];

    fn consumer(timeout_seconds: Option<u64>) -> Consumer {
        Consumer {
            function: "notify".to_owned(),
            mapping: None,
            timeout_seconds,
            reserved: None,
            batch: 10,
            revision: Some("r-1".to_owned()),
        }
    }

    fn of(kind: OriginKind, name: &str, retries: Option<u32>, topology: &Topology) -> Verification {
        let target = Origin {
            kind,
            name: name.to_owned(),
        };
        let asynchronous = Asynchronous {
            retries,
            waits: WAITS,
        };
        verification(&target, &[consumer(Some(10))], asynchronous, topology)
    }

    #[test]
    fn a_queue_has_its_receives_and_its_delay() {
        let mut topology = topology([queue("orders", Some("dlq")), queue("dlq", None)], []);
        topology.queues.get_mut("orders").unwrap().delay_seconds = 10;
        let verification = of(OriginKind::Queue, "orders", None, &topology);
        // Three receives of 30 s each.
        assert_eq!(verification.window_seconds, Some(90 + 10 + 10));
        assert_eq!(verification.returns_to, ["dlq"]);
        assert_eq!(verification.revisions["notify"], "r-1");
        assert_eq!(verification.unverified, None);
    }

    #[test]
    fn a_function_has_its_tries_and_the_waits_between_them() {
        let queues = [queue("dlq", None), queue("failures", None)];
        let topology = topology(queues, [function("notify", Some("failures"), Some("dlq"))]);
        let seconds = |retries| {
            let verification = of(OriginKind::Function, "notify", retries, &topology);
            assert_eq!(verification.returns_to, ["dlq"]);
            verification.window_seconds.unwrap()
        };
        assert_eq!(seconds(Some(0)), 10 + 2);
        assert_eq!(seconds(Some(1)), 60 + 20 + 8);
        assert_eq!(seconds(Some(2)), 180 + 30 + 21);
        assert_eq!(seconds(None), seconds(Some(2)));
    }

    #[test]
    fn what_cannot_be_seen_to_come_back_is_not_verified() {
        let mut topology = topology(
            [
                queue("plain", None),
                queue("far", Some("elsewhere")),
                queue("chained", Some("orders")),
                queue("orders", Some("dlq")),
                queue("dlq", None),
            ],
            [
                function("dropped", None, None),
                function("notify", None, None),
            ],
        );
        let bus = "arn:aws:events:eu-west-1:123456789012:event-bus/default";
        topology.functions.get_mut("notify").unwrap().on_failure = Some(bus.to_owned());
        for (kind, name, part) in [
            (OriginKind::Queue, "plain", "has no dead-letter queue"),
            (OriginKind::Queue, "gone", "could not be read"),
            (OriginKind::Queue, "far", "elsewhere could not be read"),
            (OriginKind::Queue, "chained", "nobody looks into"),
            (OriginKind::Function, "notify", "which is no queue"),
            (OriginKind::Function, "dropped", "timeout"),
        ] {
            let verification = of(kind, name, None, &topology);
            let why = verification.unverified.unwrap();
            assert!(why.contains(part), "{name}: {why}");
            assert_eq!(verification.window_seconds, None);
            assert!(verification.returns_to.is_empty());
        }
    }
}
