//! What exists in the account, and which failures go where.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use patterns_core::failed::{Origin, OriginKind};
use patterns_core::queue::QueueRole;

/// All queues and functions as discovery last found them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// By name.
    pub queues: BTreeMap<String, QueueFacts>,
    /// By name.
    pub functions: BTreeMap<String, FunctionFacts>,
    /// Which functions consume which queue: (queue ARN, function name), from the event source mappings.
    pub consumers: Vec<(String, String)>,
    /// Whether the queues could be listed at all.
    pub listed: bool,
    /// Names of queues that exist and could never be read.
    pub unread: BTreeSet<String>,
}

/// What discovery knows about a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueFacts {
    /// The last part of its ARN.
    pub name: String,
    /// `arn:aws:sqs:<region>:<account>:<name>`
    pub arn: String,
    /// What SQS calls are addressed to.
    pub url: String,
    /// How long a message lives, in seconds.
    pub retention_seconds: i64,
    /// From its redrive policy: ARN of the dead-letter queue, and receives before a message goes there.
    pub redrive: Option<(String, u32)>,
    /// Whether order matters in it.
    pub fifo: bool,
    /// The largest message it takes, in bytes.
    pub message_bytes_max: u64,
    /// How long a received message is hidden, in seconds.
    pub visibility_seconds: u64,
    /// How long a message waits before it can be received, unless it says so itself, in seconds.
    pub delay_seconds: u64,
    /// Its counts at the time of discovery.
    pub depth: Depth,
}

/// Counts of one queue, SQS's approximations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depth {
    /// Can be received now.
    pub visible: u64,
    /// Received and neither deleted nor visible again.
    pub in_flight: u64,
    /// Delay has not passed.
    pub delayed: u64,
    /// When SQS was asked.
    pub as_of: Timestamp,
}

impl Depth {
    /// Everything in the queue.
    pub fn total(&self) -> u64 {
        self.visible + self.in_flight + self.delayed
    }
}

/// What discovery knows about a function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionFacts {
    /// Its name.
    pub name: String,
    /// Its ARN without a qualifier.
    pub arn: String,
    /// Value of the tag that marks it as ours.
    pub pattern: Option<String>,
    /// The variable that breaks it on purpose, when it is ours and has it.
    pub delivery_fail_rate: Option<String>,
    /// ARN of its on-failure destination, whatever that is.
    pub on_failure: Option<String>,
    /// ARN of its `DeadLetterConfig` target, whatever that is.
    pub dead_letter: Option<String>,
    /// Where its log lines are.
    pub log_group: String,
}

/// The last part of an ARN.
pub fn name_of(arn: &str) -> &str {
    arn.rsplit(':').next().unwrap_or(arn)
}

impl Topology {
    /// Whether a queue of that name may exist, though it may not be among [`Self::queues`].
    pub fn may_exist(&self, queue: &str) -> bool {
        !self.listed || self.unread.contains(queue) || self.queues.contains_key(queue)
    }

    /// Whether no queue is missing here that exists.
    pub fn has_all_queues(&self) -> bool {
        self.listed && self.unread.is_empty()
    }

    /// Whether a queue surely does not exist any more, or is in another account.
    pub fn is_gone(&self, queue_arn: &str) -> bool {
        self.listed
            && self.queue_by_arn(queue_arn).is_none()
            && !self.unread.contains(name_of(queue_arn))
    }

    /// The queue of that ARN.
    pub fn queue_by_arn(&self, arn: &str) -> Option<&QueueFacts> {
        self.queues
            .get(name_of(arn))
            .filter(|queue| queue.arn == arn)
    }

    /// Queues whose redrive policy names that queue.
    pub fn sources_of<'a>(&'a self, queue_arn: &'a str) -> impl Iterator<Item = &'a QueueFacts> {
        self.queues.values().filter(move |queue| {
            queue
                .redrive
                .as_ref()
                .is_some_and(|(arn, _)| arn == queue_arn)
        })
    }

    /// Functions whose `DeadLetterConfig` names that queue.
    pub fn dead_letter_functions<'a>(
        &'a self,
        queue_arn: &'a str,
    ) -> impl Iterator<Item = &'a FunctionFacts> {
        self.functions
            .values()
            .filter(move |function| function.dead_letter.as_deref() == Some(queue_arn))
    }

    /// Everything that sends its failures to that queue: source queues, then functions.
    pub fn origins_of(&self, queue_arn: &str) -> Vec<Origin> {
        let queues = self.sources_of(queue_arn).map(|queue| Origin {
            kind: OriginKind::Queue,
            name: queue.name.clone(),
        });
        let functions = self.functions.values().filter(|function| {
            [&function.on_failure, &function.dead_letter]
                .iter()
                .any(|target| target.as_deref() == Some(queue_arn))
        });
        queues
            .chain(functions.map(|function| Origin {
                kind: OriginKind::Function,
                name: function.name.clone(),
            }))
            .collect()
    }

    /// What the queue is for.
    pub fn role(&self, queue: &QueueFacts) -> QueueRole {
        // A queue can be both; its failed events matter more than that it has a dead-letter queue itself.
        if !self.origins_of(&queue.arn).is_empty() {
            QueueRole::DeadLetter
        } else if queue.redrive.is_some() {
            QueueRole::Source
        } else {
            QueueRole::Plain
        }
    }

    /// The dead-letter queue of that name.
    pub fn dead_letter_queue(&self, name: &str) -> Option<&QueueFacts> {
        self.queues
            .get(name)
            .filter(|queue| self.role(queue) == QueueRole::DeadLetter)
    }

    /// The function whose failure an event of that origin was, when there is exactly one: the function itself, or the
    /// only consumer of the queue.
    pub fn failing_function(&self, origin: &Origin) -> Option<&FunctionFacts> {
        match origin.kind {
            OriginKind::Function => self.functions.get(&origin.name),
            OriginKind::Queue => {
                let arn = &self.queues.get(&origin.name)?.arn;
                let mut consumers = self.consumers.iter().filter(|(queue, _)| queue == arn);
                match (consumers.next(), consumers.next()) {
                    (Some((_, function)), None) => self.functions.get(function),
                    _ => None,
                }
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    const PREFIX: &str = "arn:aws:sqs:eu-west-1:123456789012:";

    /// A queue with that name and, perhaps, dead-letter queue.
    pub fn queue(name: &str, dead_letter_queue: Option<&str>) -> QueueFacts {
        QueueFacts {
            name: name.to_owned(),
            arn: format!("{PREFIX}{name}"),
            url: format!("http://127.0.0.1/123456789012/{name}"),
            retention_seconds: 1_209_600,
            redrive: dead_letter_queue.map(|name| (format!("{PREFIX}{name}"), 3)),
            fifo: false,
            message_bytes_max: 1_048_576,
            visibility_seconds: 30,
            delay_seconds: 0,
            depth: Depth {
                visible: 0,
                in_flight: 0,
                delayed: 0,
                as_of: Timestamp::UNIX_EPOCH,
            },
        }
    }

    /// A function with that on-failure destination and `DeadLetterConfig`.
    pub fn function(
        name: &str,
        on_failure: Option<&str>,
        dead_letter: Option<&str>,
    ) -> FunctionFacts {
        FunctionFacts {
            name: name.to_owned(),
            arn: format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}"),
            pattern: None,
            delivery_fail_rate: None,
            on_failure: on_failure.map(|queue| format!("{PREFIX}{queue}")),
            dead_letter: dead_letter.map(|queue| format!("{PREFIX}{queue}")),
            log_group: format!("/aws/lambda/{name}"),
        }
    }

    /// Those queues and functions.
    pub fn topology(
        queues: impl IntoIterator<Item = QueueFacts>,
        functions: impl IntoIterator<Item = FunctionFacts>,
    ) -> Topology {
        Topology {
            queues: queues
                .into_iter()
                .map(|queue| (queue.name.clone(), queue))
                .collect(),
            functions: functions
                .into_iter()
                .map(|function| (function.name.clone(), function))
                .collect(),
            consumers: Vec::new(),
            listed: true,
            unread: BTreeSet::new(),
        }
    }

    #[test]
    fn only_what_is_not_listed_any_more_is_gone() {
        let mut found = topology([queue("orders", None)], []);
        found.unread.insert("secret".to_owned());
        let arn = |name: &str| format!("{PREFIX}{name}");
        assert!(!found.is_gone(&arn("orders")));
        assert!(!found.is_gone(&arn("secret")));
        assert!(found.is_gone(&arn("deleted")));
        assert!(found.is_gone("arn:aws:sqs:eu-west-1:210987654321:orders"));
        found.listed = false;
        assert!(!found.is_gone(&arn("deleted")));
    }

    #[test]
    fn a_queue_is_what_points_at_it() {
        let topology = topology(
            [
                queue("orders", Some("orders-dlq")),
                queue("orders-dlq", None),
                queue("failures", None),
                queue("plain", None),
            ],
            [
                function("notify", Some("failures"), None),
                function("mail", None, Some("failures")),
            ],
        );
        let role = |name: &str| topology.role(&topology.queues[name]);
        assert_eq!(role("orders"), QueueRole::Source);
        assert_eq!(role("orders-dlq"), QueueRole::DeadLetter);
        assert_eq!(role("failures"), QueueRole::DeadLetter);
        assert_eq!(role("plain"), QueueRole::Plain);
        let names: Vec<_> = topology
            .origins_of(&format!("{PREFIX}failures"))
            .into_iter()
            .map(|origin| origin.to_string())
            .collect();
        assert_eq!(names, ["function mail", "function notify"]);
    }

    #[test]
    fn the_only_consumer_is_the_failing_function() {
        let mut topology = topology(
            [queue("orders", None)],
            [function("one", None, None), function("two", None, None)],
        );
        let origin = Origin {
            kind: OriginKind::Queue,
            name: "orders".to_owned(),
        };
        assert_eq!(topology.failing_function(&origin), None);
        let arn = format!("{PREFIX}orders");
        topology.consumers.push((arn.clone(), "one".to_owned()));
        assert_eq!(topology.failing_function(&origin).unwrap().name, "one");
        topology.consumers.push((arn, "two".to_owned()));
        assert_eq!(topology.failing_function(&origin), None);
    }
}
