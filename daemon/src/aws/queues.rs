//! SQS: which queues there are, how they are set up, and how deep they are.

use std::collections::HashMap;

use aws_sdk_sqs::types::QueueAttributeName;
use jiff::Timestamp;
use patterns_core::problem::{Problem, ProblemKind};
use serde::Deserialize;

use super::{Aws, has_code, problem};
use crate::topology::{Depth, QueueFacts, name_of};

/// A queue keeps messages for four days unless it is told otherwise. (SQS API Reference, `CreateQueue`.)
const DEFAULT_RETENTION_SECONDS: i64 = 345_600;

/// A queue takes messages of 1 MiB and hides them for 30 s unless it is told otherwise. (SQS API Reference, `CreateQueue`.)
const DEFAULT_MESSAGE_BYTES: u64 = 1_048_576;
const DEFAULT_VISIBILITY_SECONDS: u64 = 30;

/// `RedrivePolicy` of a queue. SQS accepts the count as a number and as a string, and gives back what it got.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedrivePolicy {
    dead_letter_target_arn: String,
    max_receive_count: serde_json::Value,
}

impl Aws {
    /// URLs of all queues of the account in this region.
    pub async fn queue_urls(&self) -> Result<Vec<String>, Problem> {
        let mut urls = Vec::new();
        // Without MaxResults SQS answers with the first 1000 and no token. (SQS API Reference, `ListQueues`.)
        let mut pages = self
            .sqs
            .list_queues()
            .max_results(1000)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| problem("cannot list the queues", "sqs:ListQueues", &error))?;
            urls.extend(page.queue_urls().iter().cloned());
        }
        Ok(urls)
    }

    /// Set-up and depth of a queue; `None` when it is gone.
    pub async fn queue(&self, url: &str) -> Result<Option<QueueFacts>, Problem> {
        let Some(attributes) = self
            .queue_attributes(url, &[QueueAttributeName::All])
            .await?
        else {
            return Ok(None);
        };
        let text = |name: &QueueAttributeName| attributes.get(name).map(String::as_str);
        let arn = text(&QueueAttributeName::QueueArn).ok_or_else(|| {
            Problem::new(
                ProblemKind::Upstream,
                format!("cannot read the queue {}", queue_name(url)),
                "SQS named no QueueArn",
                "",
            )
        })?;
        let redrive = text(&QueueAttributeName::RedrivePolicy)
            .and_then(|policy| serde_json::from_str::<RedrivePolicy>(policy).ok())
            .map(|policy| {
                let count = match &policy.max_receive_count {
                    serde_json::Value::String(text) => text.parse().ok(),
                    other => other.as_u64().and_then(|count| u32::try_from(count).ok()),
                };
                (policy.dead_letter_target_arn, count.unwrap_or(1))
            });
        Ok(Some(QueueFacts {
            name: name_of(arn).to_owned(),
            arn: arn.to_owned(),
            url: url.to_owned(),
            retention_seconds: text(&QueueAttributeName::MessageRetentionPeriod)
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or(DEFAULT_RETENTION_SECONDS),
            redrive,
            message_bytes_max: text(&QueueAttributeName::MaximumMessageSize)
                .and_then(|bytes| bytes.parse().ok())
                .unwrap_or(DEFAULT_MESSAGE_BYTES),
            visibility_seconds: text(&QueueAttributeName::VisibilityTimeout)
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or(DEFAULT_VISIBILITY_SECONDS),
            delay_seconds: text(&QueueAttributeName::DelaySeconds)
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or(0),
            fifo: text(&QueueAttributeName::FifoQueue) == Some("true"),
            depth: depth(&attributes),
        }))
    }

    /// Depth of a queue; `None` when it is gone.
    pub async fn depth(&self, url: &str) -> Result<Option<Depth>, Problem> {
        let attributes = self
            .queue_attributes(
                url,
                &[
                    QueueAttributeName::ApproximateNumberOfMessages,
                    QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
                    QueueAttributeName::ApproximateNumberOfMessagesDelayed,
                ],
            )
            .await?;
        Ok(attributes.as_ref().map(depth))
    }

    async fn queue_attributes(
        &self,
        url: &str,
        names: &[QueueAttributeName],
    ) -> Result<Option<HashMap<QueueAttributeName, String>>, Problem> {
        let answer = self
            .sqs
            .get_queue_attributes()
            .queue_url(url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await;
        match answer {
            Ok(output) => Ok(Some(output.attributes.unwrap_or_default())),
            // The code of the JSON protocol, and the older one that stays in use beside it.
            Err(error)
                if has_code(&error, "QueueDoesNotExist")
                    || has_code(&error, "NonExistentQueue") =>
            {
                Ok(None)
            }
            Err(error) => Err(problem(
                format!("cannot read the queue {}", queue_name(url)),
                "sqs:GetQueueAttributes",
                &error,
            )),
        }
    }
}

/// The name in a queue's URL, its last part. (SQS Developer Guide, "Queue and message identifiers".)
pub fn queue_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

fn depth(attributes: &HashMap<QueueAttributeName, String>) -> Depth {
    let count = |name: &QueueAttributeName| {
        attributes
            .get(name)
            .and_then(|count| count.parse().ok())
            .unwrap_or(0)
    };
    Depth {
        visible: count(&QueueAttributeName::ApproximateNumberOfMessages),
        in_flight: count(&QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        delayed: count(&QueueAttributeName::ApproximateNumberOfMessagesDelayed),
        as_of: Timestamp::now(),
    }
}
