//! `AWS::SQS::Queue` (`CloudFormation` template reference).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Resource, tags, texts};
use crate::deploy::error::Problem;
use crate::deploy::property::Properties;

/// A queue.
pub struct Queue {
    /// Its name.
    pub name: String,
    /// As `CreateQueue` names them.
    pub attributes: BTreeMap<String, String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// Reads a queue's properties.
pub fn read(
    given: &mut Properties<'_>,
    unnamed: String,
    notes: &mut BTreeSet<String>,
) -> Result<Resource, Problem> {
    let unencrypted = "queues are not encrypted";
    let ignored = [
        ("KmsDataKeyReusePeriodSeconds", unencrypted),
        ("KmsMasterKeyId", unencrypted),
        ("SqsManagedSseEnabled", unencrypted),
    ];
    given.ignored(&ignored, notes);
    let mut attributes = BTreeMap::new();
    for name in [
        "DelaySeconds",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "ReceiveMessageWaitTimeSeconds",
        "VisibilityTimeout",
    ] {
        if let Some(value) = given.parsed::<u64>(name, "a number")? {
            attributes.insert(name.to_owned(), value.to_string());
        }
    }
    // SQS takes `FifoQueue` only when it is true.
    let fifo = given.parsed::<bool>("FifoQueue", "true or false")? == Some(true);
    if fifo {
        attributes.insert("FifoQueue".to_owned(), "true".to_owned());
    }
    if let Some(flag) = given.parsed::<bool>("ContentBasedDeduplication", "true or false")? {
        attributes.insert("ContentBasedDeduplication".to_owned(), flag.to_string());
    }
    for name in ["DeduplicationScope", "FifoThroughputLimit"] {
        if let Some(value) = given.text(name)? {
            attributes.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(policy) = given.nested("RedriveAllowPolicy")? {
        let policy = redrive_allow_policy(policy)?;
        attributes.insert("RedriveAllowPolicy".to_owned(), policy.to_string());
    }
    if let Some(mut policy) = given.nested("RedrivePolicy")? {
        let target = policy.required("deadLetterTargetArn")?.to_owned();
        let count: Option<u32> = policy.parsed("maxReceiveCount", "a number")?;
        policy.finish()?;
        let policy = json!({"deadLetterTargetArn": target, "maxReceiveCount": count});
        attributes.insert("RedrivePolicy".to_owned(), policy.to_string());
    }
    let name = given.text("QueueName")?.map_or_else(
        || {
            if fifo {
                format!("{unnamed}.fifo")
            } else {
                unnamed
            }
        },
        str::to_owned,
    );
    let tags = tags(given)?;
    Ok(Resource::Queue(Queue {
        name,
        attributes,
        tags,
    }))
}

fn redrive_allow_policy(mut given: Properties<'_>) -> Result<Value, Problem> {
    let mut policy = json!({"redrivePermission": given.required("redrivePermission")?});
    if let Some(nodes) = given.list("sourceQueueArns")? {
        let arns = texts(&given, "sourceQueueArns", nodes)?;
        if let Value::Object(fields) = &mut policy {
            fields.insert("sourceQueueArns".to_owned(), json!(arns));
        }
    }
    given.finish()?;
    Ok(policy)
}
