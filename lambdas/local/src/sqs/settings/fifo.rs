//! What makes a queue a FIFO queue ("Amazon SQS API Reference: `CreateQueue`", attributes of FIFO queues).

use serde::{Deserialize, Serialize};

use super::super::refusal::invalid_attribute_value;
use crate::error::AwsError;

/// Attributes that only FIFO queues have. Throughput is not limited here, so its limit is only kept and shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Fifo {
    /// The SHA-256 of the body stands in for a deduplication id.
    pub content_based: bool,
    /// The same deduplication id in two groups is of two messages.
    pub deduplicates_by_group: bool,
    limited_by_group: bool,
}

impl Fifo {
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), AwsError> {
        let wanted = |off: &str, on: &str| match value {
            value if value == on => Ok(true),
            value if value == off => Ok(false),
            _ => Err(invalid_attribute_value(
                name,
                &format!("It must be {off} or {on}."),
            )),
        };
        match name {
            "ContentBasedDeduplication" => self.content_based = wanted("false", "true")?,
            "DeduplicationScope" => self.deduplicates_by_group = wanted("queue", "messageGroup")?,
            "FifoThroughputLimit" => {
                self.limited_by_group = wanted("perQueue", "perMessageGroupId")?;
            }
            _ => {
                wanted("true", "true")?;
            }
        }
        Ok(())
    }

    /// What must hold when all attributes of a request are set.
    pub fn check(&self) -> Result<(), AwsError> {
        if self.limited_by_group && !self.deduplicates_by_group {
            return Err(invalid_attribute_value(
                "FifoThroughputLimit",
                "perMessageGroupId is allowed only when DeduplicationScope is messageGroup.",
            ));
        }
        Ok(())
    }

    pub fn shown(&self) -> [(&'static str, &'static str); 4] {
        let one_of = |flag, off, on| if flag { on } else { off };
        [
            ("FifoQueue", "true"),
            (
                "ContentBasedDeduplication",
                one_of(self.content_based, "false", "true"),
            ),
            (
                "DeduplicationScope",
                one_of(self.deduplicates_by_group, "queue", "messageGroup"),
            ),
            (
                "FifoThroughputLimit",
                one_of(self.limited_by_group, "perQueue", "perMessageGroupId"),
            ),
        ]
    }
}
