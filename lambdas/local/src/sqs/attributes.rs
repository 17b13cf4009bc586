//! Attributes and tags of a queue.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Hosted, Sqs, find, operations::queue_name, queues::check_target, refusal};
use crate::{account::queue_arn, error::AwsError};

/// Names that may be asked for although a queue has no such value.
const OPTIONAL: [&str; 5] = [
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
];

/// Names of FIFO queues, which a standard queue has no values for.
const FIFO_ONLY: [&str; 4] = [
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetQueueAttributes {
    queue_url: Option<String>,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SetQueueAttributes {
    queue_url: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tagging {
    queue_url: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    tag_keys: Vec<String>,
}

impl Sqs {
    pub(super) fn get_attributes(&self, request: GetQueueAttributes) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let mut shown = self.shown(name)?;
        let names = request.attribute_names;
        for wanted in &names {
            let wanted = wanted.as_str();
            let known = wanted == "All"
                || shown.contains_key(wanted)
                || OPTIONAL.contains(&wanted)
                || FIFO_ONLY.contains(&wanted);
            if !known {
                return Err(refusal::invalid_attribute_name(wanted));
            }
        }
        if !names.iter().any(|wanted| wanted == "All") {
            shown.retain(|name, _| names.contains(name));
        }
        if shown.is_empty() {
            return Ok(json!({}));
        }
        Ok(json!({ "Attributes": shown }))
    }

    pub(super) fn set_attributes(&self, request: SetQueueAttributes) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let attributes = request
            .attributes
            .ok_or_else(|| refusal::missing("Attributes"))?;
        let now = self.now();
        let mut queues = self.lock();
        let mut settings = find(&mut queues, name)?.queue.settings().clone();
        settings.change(&attributes)?;
        if attributes.contains_key("RedrivePolicy") {
            check_target(&queues, name, &settings)?;
        }
        find(&mut queues, name)?.configure(now, settings);
        Ok(json!({}))
    }

    /// All attributes of the queue of that name, as `GetQueueAttributes` shows them.
    pub(super) fn shown(&self, name: &str) -> Result<BTreeMap<String, String>, AwsError> {
        let now = self.now();
        let mut queues = self.lock();
        let Hosted {
            queue,
            created_at,
            modified_at,
            ..
        } = find(&mut queues, name)?;
        let depth = queue.depth(now);
        let mut shown = queue.settings().shown();
        shown.extend(
            [
                ("QueueArn", queue_arn(name)),
                ("CreatedTimestamp", created_at.to_string()),
                ("LastModifiedTimestamp", modified_at.to_string()),
                ("ApproximateNumberOfMessages", depth.visible.to_string()),
                (
                    "ApproximateNumberOfMessagesNotVisible",
                    depth.in_flight.to_string(),
                ),
                (
                    "ApproximateNumberOfMessagesDelayed",
                    depth.delayed.to_string(),
                ),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        Ok(shown)
    }

    pub(super) fn tag(&self, request: Tagging) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        find(&mut self.lock(), name)?.tags.extend(request.tags);
        Ok(json!({}))
    }

    pub(super) fn untag(&self, request: &Tagging) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        find(&mut self.lock(), name)?
            .tags
            .retain(|key, _| !request.tag_keys.contains(key));
        Ok(json!({}))
    }

    pub(super) fn list_tags(&self, request: &Tagging) -> Result<Value, AwsError> {
        let name = queue_name(request.queue_url.as_deref())?;
        let tags = find(&mut self.lock(), name)?.tags.clone();
        if tags.is_empty() {
            return Ok(json!({}));
        }
        Ok(json!({ "Tags": tags }))
    }
}
