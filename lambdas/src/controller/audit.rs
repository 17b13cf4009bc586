//! What happened to leeds, for those who have to know later: one item an entry, under `pk = AUDIT#<id>`, never changed.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;

use super::request::Entry;
use crate::table::{self, Item, TableError};

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
    pub async fn note(&self, entry: &Entry, correlation_id: &str) -> Result<bool, TableError> {
        let mut item: Item = serde_dynamo::to_item(entry)?;
        for (name, value) in [
            ("pk", format!("AUDIT#{}", entry.id)),
            ("correlationId", correlation_id.to_owned()),
        ] {
            item.insert(name.to_owned(), AttributeValue::S(value));
        }
        table::put_new(&self.client, &self.table, item).await
    }
}
