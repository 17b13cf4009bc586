//! The table of tasks: one item a task, under `pk = TASK#<id>`. Every change is conditional on what was read before, and
//! written together with the event that tells of it.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem};
use patterns_core::task::Task;

use crate::outbox::{Outbox, Pending};
use crate::table::{self, Item, TableError};
use crate::transaction::{self, Written};

const PREFIX: &str = "TASK#";

/// The table of tasks.
#[derive(Clone, Debug)]
pub struct TaskStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl TaskStore {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Stores a new task that nobody is told of. `false` when there is a task of that id already.
    pub async fn add(&self, task: &Task) -> Result<bool, TableError> {
        table::put_new(&self.client, &self.table, item(task)?).await
    }

    /// Stores a new task with its event. `false` when there is a task of that id already.
    pub async fn create(
        &self,
        task: &Task,
        outbox: &Outbox,
        pending: Option<&Pending>,
    ) -> Result<bool, TableError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item(task)?))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        let put = TransactWriteItem::builder().put(put).build();
        self.write(put, outbox, pending).await
    }

    /// Stores `after` in place of `before`, with its event. `false` when it is not as it was before any more.
    pub async fn replace(
        &self,
        before: &Task,
        after: &Task,
        outbox: &Outbox,
        pending: Option<&Pending>,
    ) -> Result<bool, TableError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item(after)?))
            .condition_expression("updatedAt = :seen")
            .expression_attribute_values(":seen", seen(before))
            .build()?;
        let put = TransactWriteItem::builder().put(put).build();
        self.write(put, outbox, pending).await
    }

    /// Removes a task, with its event. `false` when it is not as it was before any more.
    pub async fn delete(
        &self,
        before: &Task,
        outbox: &Outbox,
        pending: Option<&Pending>,
    ) -> Result<bool, TableError> {
        let delete = Delete::builder()
            .table_name(&self.table)
            .key("pk", key(&before.id))
            .condition_expression("updatedAt = :seen")
            .expression_attribute_values(":seen", seen(before))
            .build()?;
        let delete = TransactWriteItem::builder().delete(delete).build();
        self.write(delete, outbox, pending).await
    }

    async fn write(
        &self,
        change: TransactWriteItem,
        outbox: &Outbox,
        pending: Option<&Pending>,
    ) -> Result<bool, TableError> {
        let mut changes = vec![change];
        changes.extend(pending.map(|pending| outbox.keep(pending)).transpose()?);
        Ok(transaction::write(&self.client, &changes).await? == Written::Yes)
    }

    /// The task of that id.
    pub async fn get(&self, id: &str) -> Result<Option<Task>, TableError> {
        let item = table::get(&self.client, &self.table, key(id)).await?;
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }

    /// All tasks, newest first. Reads every page: one page ends at 1 MB.
    pub async fn list(&self) -> Result<Vec<Task>, TableError> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.table)
            .into_paginator()
            .items()
            .send();
        let mut tasks: Vec<Task> = Vec::new();
        while let Some(item) = pages.next().await {
            tasks.push(serde_dynamo::from_item(item?)?);
        }
        tasks.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(tasks)
    }

    /// At most `limit` tasks after the one called `after`, and which is the last of them if there may be more.
    pub async fn page(
        &self,
        limit: i32,
        after: Option<&str>,
    ) -> Result<(Vec<Task>, Option<String>), TableError> {
        let from = after.map(|id| HashMap::from([("pk".to_owned(), key(id))]));
        let page = self
            .client
            .scan()
            .table_name(&self.table)
            .limit(limit)
            .set_exclusive_start_key(from)
            .send()
            .await?;
        let last = page.last_evaluated_key.as_ref();
        let next = last
            .and_then(|key| key.get("pk")?.as_s().ok()?.strip_prefix(PREFIX))
            .map(str::to_owned);
        let tasks = serde_dynamo::from_items(page.items.unwrap_or_default())?;
        Ok((tasks, next))
    }
}

fn item(task: &Task) -> Result<Item, TableError> {
    let mut item: Item = serde_dynamo::to_item(task)?;
    item.insert("pk".to_owned(), key(&task.id));
    Ok(item)
}

fn seen(before: &Task) -> AttributeValue {
    AttributeValue::S(before.updated_at.to_string())
}

fn key(id: &str) -> AttributeValue {
    AttributeValue::S(format!("{PREFIX}{id}"))
}
