//! The table of accepted notifications, and the log of their deliveries, which others write.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::delivery::counter;
use crate::table::{self, Item, TableError};
use crate::transaction::{self, Written};

/// As long as the log of deliveries, counted from when it is due.
const KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// An accepted notification. What it says is not kept here: the queue has it until it is delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored {
    /// The sender's account.
    pub sender: String,
    /// Tells contents apart that came under one id.
    pub content: String,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// Not before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<Timestamp>,
    /// What everybody who knows the id may see.
    pub data: Value,
}

/// How far a delivery is; see [`crate::idempotency`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `IN_PROGRESS`, `FAILED` or `DELIVERED`.
    pub status: String,
    /// Begun so far.
    pub attempts: u64,
    /// Until then nobody else begins.
    pub lease_until: Option<Timestamp>,
    /// When the last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it was delivered.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// Both tables.
#[derive(Clone, Debug)]
pub struct NotificationStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
    deliveries: String,
}

impl NotificationStore {
    /// The tables of those names.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String, deliveries: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
            deliveries,
        }
    }

    /// Stores a notification with what is to be `told` of it, unless the id is taken: all or nothing.
    pub async fn accept(
        &self,
        id: &str,
        stored: &Stored,
        told: TransactWriteItem,
    ) -> Result<Written, TableError> {
        let due = stored.scheduled_for.unwrap_or(stored.queued_at);
        let expires = due.checked_add(KEPT).unwrap_or(due).as_second();
        let mut item: Item = serde_dynamo::to_item(stored)?;
        item.insert("pk".to_owned(), key(id));
        item.insert(
            "expiresAt".to_owned(),
            AttributeValue::N(expires.to_string()),
        );
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        let put = TransactWriteItem::builder().put(put).build();
        Ok(transaction::write(&self.client, &[put, told]).await?)
    }

    /// The notification of that id.
    pub async fn get(&self, id: &str) -> Result<Option<Stored>, TableError> {
        let item = table::get(&self.client, &self.table, key(id)).await?;
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }

    /// How far its delivery is; `None` before the first attempt.
    pub async fn delivery(&self, id: &str) -> Result<Option<Delivery>, TableError> {
        let key = AttributeValue::S(format!("DELIVERY#{id}"));
        let item = table::get(&self.client, &self.deliveries, key).await?;
        Ok(item.map(|item| {
            let text = |name: &str| item.get(name)?.as_s().ok().cloned();
            let number = |name: &str| item.get(name)?.as_n().ok()?.parse::<i64>().ok();
            let millisecond = |name: &str| Timestamp::from_millisecond(number(name)?).ok();
            Delivery {
                status: text("status").unwrap_or_default(),
                attempts: number("attempts")
                    .and_then(|attempts| attempts.try_into().ok())
                    .unwrap_or(0),
                lease_until: millisecond("leaseUntil"),
                started_at: millisecond("startedAt"),
                finished_at: text("finishedAt").and_then(|time| time.parse().ok()),
                last_error: text("lastError"),
            }
        }))
    }

    /// How many were ever delivered.
    pub async fn delivered(&self) -> Result<u64, TableError> {
        let key = AttributeValue::S(counter::KEY.to_owned());
        let item = table::get(&self.client, &self.deliveries, key).await?;
        let count = item.and_then(|item| item.get(counter::COUNT)?.as_n().ok()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Whether the table can be read.
    pub async fn is_there(&self) -> bool {
        self.get("HEALTH").await.is_ok()
    }
}

fn key(id: &str) -> AttributeValue {
    AttributeValue::S(format!("NOTIFICATION#{id}"))
}
