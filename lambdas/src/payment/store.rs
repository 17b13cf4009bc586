//! The provider's table: one item for each order that it was asked to charge.

use crate::table::{self, Item, TableError};
use aws_config::SdkConfig;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure,
};
use serde::{Deserialize, Serialize};

/// What became of the money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ChargeStatus {
    /// The customer paid.
    Charged,
    /// The customer did not, and will not.
    Declined,
    /// The customer paid and got it back.
    Refunded,
}

/// What an order was asked to be charged with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// The key of everything.
    pub order_id: String,
    /// In the currency's smallest unit.
    pub amount: u64,
    /// What became of it.
    pub status: ChargeStatus,
}

/// The table of charges.
#[derive(Clone, Debug)]
pub struct ChargeStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl ChargeStore {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Records a charge, unless the order has one: then it is answered with, and nothing changes.
    pub async fn charge(&self, charge: &Charge) -> Result<Option<Charge>, TableError> {
        let mut item: Item = serde_dynamo::to_item(charge)?;
        item.insert("pk".to_owned(), key(&charge.order_id));
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let held = failed.item().cloned().unwrap_or_default();
                    Ok(Some(serde_dynamo::from_item(held)?))
                }
                _ => Err(error.into()),
            },
        }
    }

    /// The charge of an order.
    pub async fn get(&self, order_id: &str) -> Result<Option<Charge>, TableError> {
        let item = table::get(&self.client, &self.table, key(order_id)).await?;
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }

    /// Records that a charged order is paid back, and answers with its charge as it is then. One that was not charged stays as it
    /// is.
    pub async fn refund(&self, order_id: &str) -> Result<Option<Charge>, TableError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", key(order_id))
            .update_expression("SET #status = :refunded")
            .condition_expression("#status = :charged")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":refunded", AttributeValue::S("REFUNDED".to_owned()))
            .expression_attribute_values(":charged", AttributeValue::S("CHARGED".to_owned()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(OnFailure::AllOld)
            .send()
            .await;
        let item = match update {
            Ok(output) => output.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    failed.item().cloned()
                }
                _ => return Err(error.into()),
            },
        };
        Ok(item.map(serde_dynamo::from_item).transpose()?)
    }
}

fn key(order_id: &str) -> AttributeValue {
    AttributeValue::S(format!("CHARGE#{order_id}"))
}
