//! Where an event failed: the only definition, and no guesses.

use patterns_core::failed::{Origin, OriginKind};
use serde::{Deserialize, Serialize};

use crate::topology::{Topology, name_of};

/// What a message itself says about where it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// An on-failure record names its function.
    Record {
        /// Name of the function.
        function: String,
    },
    /// It carries the attributes of a function's `DeadLetterConfig`, which do not name the function.
    DeadLetterConfig,
    /// The redrive policy of this queue moved it (`DeadLetterQueueSourceArn`).
    SourceQueue {
        /// The queue's ARN.
        arn: String,
    },
    /// Nothing: it was sent there directly, or by something that leaves no trace.
    Nothing,
}

/// Where an event failed, or why that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// One place.
    Known(Origin),
    /// One of these.
    Ambiguous(Vec<Origin>),
    /// None that is known.
    Unknown,
}

impl Resolved {
    /// The place, when there is one.
    pub fn known(self) -> Option<Origin> {
        match self {
            Self::Known(origin) => Some(origin),
            Self::Ambiguous(_) | Self::Unknown => None,
        }
    }

    fn one_of(mut candidates: Vec<Origin>) -> Self {
        match candidates.len() {
            0 => Self::Unknown,
            1 => candidates.pop().map_or(Self::Unknown, Self::Known),
            _ => Self::Ambiguous(candidates),
        }
    }
}

/// Resolves what a message in the dead-letter queue `queue_arn` says, with what is known about the account.
pub fn resolve(evidence: &Evidence, queue_arn: &str, topology: &Topology) -> Resolved {
    match evidence {
        Evidence::Record { function } => Resolved::Known(Origin {
            kind: OriginKind::Function,
            name: function.clone(),
        }),
        Evidence::SourceQueue { arn } => Resolved::Known(Origin {
            kind: OriginKind::Queue,
            name: name_of(arn).to_owned(),
        }),
        Evidence::DeadLetterConfig => Resolved::one_of(
            topology
                .dead_letter_functions(queue_arn)
                .map(|function| Origin {
                    kind: OriginKind::Function,
                    name: function.name.clone(),
                })
                .collect(),
        ),
        Evidence::Nothing => Resolved::one_of(
            topology
                .sources_of(queue_arn)
                .map(|queue| Origin {
                    kind: OriginKind::Queue,
                    name: queue.name.clone(),
                })
                .collect(),
        ),
    }
}

/// Whether a message may go to `target`: it does not say that it failed elsewhere.
/// A message that says nothing may go where the operator decided.
pub fn admits(evidence: &Evidence, target: &Origin) -> bool {
    match (evidence, target.kind) {
        (Evidence::Record { function }, OriginKind::Function) => *function == target.name,
        (Evidence::SourceQueue { arn }, OriginKind::Queue) => name_of(arn) == target.name,
        (Evidence::DeadLetterConfig, OriginKind::Function) | (Evidence::Nothing, _) => true,
        (Evidence::Record { .. } | Evidence::DeadLetterConfig, OriginKind::Queue)
        | (Evidence::SourceQueue { .. }, OriginKind::Function) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::tests::{function, queue, topology};

    fn origin(kind: OriginKind, name: &str) -> Origin {
        Origin {
            kind,
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_record_names_its_function_even_when_that_is_gone() {
        let evidence = Evidence::Record {
            function: "gone".to_owned(),
        };
        assert_eq!(
            resolve(&evidence, "arn:any", &Topology::default()),
            Resolved::Known(origin(OriginKind::Function, "gone"))
        );
    }

    #[test]
    fn a_dead_letter_config_is_ambiguous_when_two_functions_share_the_queue() {
        let dlq = queue("dlq", None);
        let arn = dlq.arn.clone();
        let mut topology = topology([dlq], [function("a", None, Some("dlq"))]);
        assert_eq!(
            resolve(&Evidence::DeadLetterConfig, &arn, &topology),
            Resolved::Known(origin(OriginKind::Function, "a"))
        );
        topology
            .functions
            .insert("b".to_owned(), function("b", None, Some("dlq")));
        assert_eq!(
            resolve(&Evidence::DeadLetterConfig, &arn, &topology),
            Resolved::Ambiguous(vec![
                origin(OriginKind::Function, "a"),
                origin(OriginKind::Function, "b")
            ])
        );
        // A destination writes records, which name their function: it is no candidate for a message without a name.
        topology
            .functions
            .insert("b".to_owned(), function("b", Some("dlq"), None));
        assert_eq!(
            resolve(&Evidence::DeadLetterConfig, &arn, &topology).known(),
            Some(origin(OriginKind::Function, "a"))
        );
    }

    #[test]
    fn a_plain_message_comes_from_the_only_source() {
        let dlq = queue("dlq", None);
        let arn = dlq.arn.clone();
        let mut topology = topology([dlq, queue("a", Some("dlq"))], []);
        assert_eq!(
            resolve(&Evidence::Nothing, &arn, &topology).known(),
            Some(origin(OriginKind::Queue, "a"))
        );
        topology
            .queues
            .insert("b".to_owned(), queue("b", Some("dlq")));
        assert!(matches!(
            resolve(&Evidence::Nothing, &arn, &topology),
            Resolved::Ambiguous(_)
        ));
        let moved = Evidence::SourceQueue {
            arn: topology.queues["b"].arn.clone(),
        };
        assert_eq!(
            resolve(&moved, &arn, &topology).known(),
            Some(origin(OriginKind::Queue, "b"))
        );
        topology.queues.retain(|name, _| name == "dlq");
        assert_eq!(
            resolve(&Evidence::Nothing, &arn, &topology),
            Resolved::Unknown
        );
    }

    #[test]
    fn no_event_goes_where_it_does_not_belong() {
        let record = Evidence::Record {
            function: "a".to_owned(),
        };
        assert!(admits(&record, &origin(OriginKind::Function, "a")));
        assert!(!admits(&record, &origin(OriginKind::Function, "b")));
        assert!(!admits(&record, &origin(OriginKind::Queue, "a")));
        assert!(!admits(
            &Evidence::DeadLetterConfig,
            &origin(OriginKind::Queue, "a")
        ));
        assert!(admits(&Evidence::Nothing, &origin(OriginKind::Queue, "a")));
    }
}
