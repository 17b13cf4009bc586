//! The table of subscriptions: one partition a trade, under `pk = TRADE#<trade>`, one item a recipient.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::Subscription;
use crate::table::TableError;
use crate::trade::Trade;

/// Recipients on one page.
const PAGE: i32 = 100;

/// Some of a trade's subscribers, in the order of their names.
#[derive(Debug)]
pub struct Page {
    /// Whom to tell.
    pub recipients: Vec<String>,
    /// The last of them, if there may be more.
    pub next: Option<String>,
}

/// The table of subscriptions.
#[derive(Clone, Debug)]
pub struct SubscriptionStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl SubscriptionStore {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Adds a subscription. `false` when it is there already.
    pub async fn add(&self, subscription: &Subscription) -> Result<bool, TableError> {
        let added = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(key(&subscription.trade, &subscription.recipient)))
            .return_values(ReturnValue::AllOld)
            .send()
            .await?;
        Ok(added.attributes.is_none_or(|before| before.is_empty()))
    }

    /// Removes a subscription. `false` when there is none.
    pub async fn remove(&self, subscription: &Subscription) -> Result<bool, TableError> {
        let removed = self
            .client
            .delete_item()
            .table_name(&self.table)
            .set_key(Some(key(&subscription.trade, &subscription.recipient)))
            .return_values(ReturnValue::AllOld)
            .send()
            .await?;
        Ok(removed.attributes.is_some_and(|before| !before.is_empty()))
    }

    /// The subscribers of `trade` that come after the one called `after`.
    pub async fn page(&self, trade: &Trade, after: Option<&str>) -> Result<Page, TableError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :trade")
            .expression_attribute_values(":trade", partition(trade))
            .set_exclusive_start_key(after.map(|recipient| key(trade, recipient)))
            .consistent_read(true)
            .limit(PAGE)
            .send()
            .await?;
        let recipient = |item: &HashMap<String, AttributeValue>| {
            Some(item.get("recipient")?.as_s().ok()?.to_owned())
        };
        Ok(Page {
            recipients: page.items().iter().filter_map(recipient).collect(),
            next: page.last_evaluated_key.as_ref().and_then(recipient),
        })
    }
}

fn key(trade: &Trade, recipient: &str) -> HashMap<String, AttributeValue> {
    let recipient = AttributeValue::S(recipient.to_owned());
    HashMap::from([
        ("pk".to_owned(), partition(trade)),
        ("recipient".to_owned(), recipient),
    ])
}

fn partition(trade: &Trade) -> AttributeValue {
    AttributeValue::S(format!("TRADE#{trade}"))
}
