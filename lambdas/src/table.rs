//! What can go wrong with a table.

use aws_sdk_dynamodb::error::{BuildError, SdkError};

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
