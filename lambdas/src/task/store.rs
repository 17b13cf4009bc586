//! The table of tasks: one item a task, under `pk = TASK#<id>`.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use patterns_core::task::Task;

type Item = HashMap<String, AttributeValue>;

/// Why the table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB refused or did not answer.
    #[error("DynamoDB")]
    Dynamo(#[source] Box<aws_sdk_dynamodb::Error>),
    /// An item is not a task.
    #[error("an item of the table is not a task")]
    Item(#[from] serde_dynamo::Error),
}

impl<E> From<SdkError<E>> for StoreError
where
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    fn from(error: SdkError<E>) -> Self {
        Self::Dynamo(Box::new(error.into()))
    }
}

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

    /// Stores a new task.
    pub async fn put(&self, task: &Task) -> Result<(), StoreError> {
        let mut item: Item = serde_dynamo::to_item(task)?;
        item.insert("pk".to_owned(), key(&task.id));
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await?;
        Ok(())
    }

    /// The task of that id.
    pub async fn get(&self, id: &str) -> Result<Option<Task>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", key(id))
            .consistent_read(true)
            .send()
            .await?;
        Ok(answer.item.map(serde_dynamo::from_item).transpose()?)
    }

    /// All tasks, newest first. Reads every page: one page ends at 1 MB.
    pub async fn list(&self) -> Result<Vec<Task>, StoreError> {
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

    /// Replaces everything of a task but its id and creation time, and answers with the task as it was before.
    /// `None` when there is no such task; nothing is created then.
    pub async fn replace(&self, task: &Task) -> Result<Option<Task>, StoreError> {
        let mut update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", key(&task.id))
            .condition_expression("attribute_exists(pk)")
            .return_values(ReturnValue::AllOld)
            .expression_attribute_names("#title", "title")
            .expression_attribute_values(":title", AttributeValue::S(task.title.clone()))
            .expression_attribute_names("#done", "isComplete")
            .expression_attribute_values(":done", AttributeValue::Bool(task.is_complete))
            .expression_attribute_names("#updated", "updatedAt")
            .expression_attribute_values(
                ":updated",
                AttributeValue::S(task.updated_at.to_string()),
            );
        let mut set = vec!["#title = :title", "#done = :done", "#updated = :updated"];
        let mut remove = Vec::new();
        // PUT replaces the whole task: what the caller left out is removed.
        if let Some(detail) = &task.detail {
            set.push("detail = :detail");
            update =
                update.expression_attribute_values(":detail", AttributeValue::S(detail.clone()));
        } else {
            remove.push("detail");
        }
        if let Some(due_at) = &task.due_at {
            set.push("dueAt = :due");
            update =
                update.expression_attribute_values(":due", AttributeValue::S(due_at.to_string()));
        } else {
            remove.push("dueAt");
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        match update.update_expression(expression).send().await {
            Ok(answer) => Ok(answer.attributes.map(serde_dynamo::from_item).transpose()?),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a task and answers with it as it was.
    pub async fn delete(&self, id: &str) -> Result<Option<Task>, StoreError> {
        let answer = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key("pk", key(id))
            .return_values(ReturnValue::AllOld)
            .send()
            .await?;
        Ok(answer.attributes.map(serde_dynamo::from_item).transpose()?)
    }
}

fn key(id: &str) -> AttributeValue {
    AttributeValue::S(format!("TASK#{id}"))
}
