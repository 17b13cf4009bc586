//! What happened to leeds, for those who have to know later: one item an entry, under `pk = AUDIT#<id>`, never changed.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;

use super::request::Entry;

/// Why an entry was not noted down.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// DynamoDB refused or did not answer.
    #[error("DynamoDB")]
    Dynamo(#[source] Box<aws_sdk_dynamodb::Error>),
    /// It cannot be written.
    #[error("the entry cannot be written")]
    Item(#[from] serde_dynamo::Error),
}

/// The table of entries.
#[derive(Clone, Debug)]
pub struct Audit {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Audit {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Notes an entry down. `false` when that was done before; it stays as it was then.
    pub async fn note(&self, entry: &Entry, correlation_id: &str) -> Result<bool, AuditError> {
        let mut item: HashMap<String, AttributeValue> = serde_dynamo::to_item(entry)?;
        for (name, value) in [
            ("pk", format!("AUDIT#{}", entry.id)),
            ("correlationId", correlation_id.to_owned()),
        ] {
            item.insert(name.to_owned(), AttributeValue::S(value));
        }
        let noted = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .send()
            .await;
        match noted {
            Ok(_) => Ok(true),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(PutItemError::is_conditional_check_failed_exception) =>
            {
                Ok(false)
            }
            Err(error) => Err(AuditError::Dynamo(Box::new(error.into()))),
        }
    }
}
