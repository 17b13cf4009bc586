//! One item of a table, by its partition key `pk`; and what can go wrong with a table.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Why a table could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// DynamoDB refused or did not answer.
    #[error("DynamoDB")]
    Dynamo(#[source] Box<aws_sdk_dynamodb::Error>),
    /// An item is not what its key says, or what is stored cannot be an item.
    #[error("an item of the table cannot be read or written")]
    Item(#[from] serde_dynamo::Error),
    /// A write could not be put together.
    #[error("a write lacks something")]
    Build(#[from] BuildError),
    /// What is to be told of a change cannot be written.
    #[error("an event cannot be written")]
    Event(#[from] serde_json::Error),
}

impl<E> From<SdkError<E>> for TableError
where
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    fn from(error: SdkError<E>) -> Self {
        Self::Dynamo(Box::new(error.into()))
    }
}

/// The item of that key, as the last write left it.
pub(crate) async fn get(
    client: &Client,
    table: &str,
    key: AttributeValue,
) -> Result<Option<Item>, TableError> {
    let answer = client
        .get_item()
        .table_name(table)
        .key("pk", key)
        .consistent_read(true)
        .send()
        .await?;
    Ok(answer.item)
}

/// Stores an item. `false` when there is one of its key already, which stays as it is.
pub(crate) async fn put_new(client: &Client, table: &str, item: Item) -> Result<bool, TableError> {
    let put = client
        .put_item()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(pk)")
        .send()
        .await;
    match put {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
