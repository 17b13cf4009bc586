//! How many events were delivered, for those who show it: one item beside the log. It is counted after the log is written, so an
//! environment that ends in between leaves it one short; it is a figure, and proves nothing.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::AttributeValue;

/// The item's key.
pub const KEY: &str = "COUNTER#delivered";

/// The attribute that holds the figure.
pub const COUNT: &str = "delivered";

/// The figure in one table.
#[derive(Clone, Debug)]
pub struct Counter {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl Counter {
    /// The figure in the table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Counts one. A failure costs the figure's truth only.
    pub async fn count(&self) {
        let counted = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", AttributeValue::S(KEY.to_owned()))
            .update_expression("ADD #count :one")
            .expression_attribute_names("#count", COUNT)
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .send()
            .await;
        if let Err(error) = counted {
            let error = aws_sdk_dynamodb::Error::from(error);
            tracing::warn!(cause = format!("{error:?}"), "a delivery was not counted");
        }
    }
}
