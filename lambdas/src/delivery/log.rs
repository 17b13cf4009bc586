//! The delivery log: one item an envelope, under `pk = DELIVERY#<id>`, that says who delivers it and whether it was delivered.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use jiff::{SignedDuration, Timestamp};

use super::provider::ProviderError;

/// Entries are kept as long as a dead-letter queue keeps an event, so that a late redrive is still recognised.
const KEPT: SignedDuration = SignedDuration::from_hours(14 * 24);

/// Why the log could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("DynamoDB did not take the entry")]
pub struct LogError(#[source] Box<aws_sdk_dynamodb::Error>);

impl<E> From<SdkError<E>> for LogError
where
    aws_sdk_dynamodb::Error: From<SdkError<E>>,
{
    fn from(error: SdkError<E>) -> Self {
        Self(Box::new(error.into()))
    }
}

/// Who may deliver an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The caller, until its lease ends.
    Mine,
    /// Another environment, whose lease has not ended.
    Theirs,
    /// Nobody: it was delivered.
    Delivered,
}

/// The table of deliveries.
#[derive(Clone, Debug)]
pub struct DeliveryLog {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl DeliveryLog {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Takes the envelope for `lease`, unless another has it or it was delivered.
    pub async fn claim(&self, id: &str, lease: Duration) -> Result<Claim, LogError> {
        let now = Timestamp::now();
        let until = now
            .as_millisecond()
            .saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX));
        let claimed = self
            .entry(id)
            .update_expression("SET #status = :mine, leaseUntil = :until, expiresAt = :expires ADD attempts :one")
            .condition_expression(
                "attribute_not_exists(pk) OR #status = :failed OR (#status = :mine AND leaseUntil < :now)",
            )
            .expression_attribute_values(":mine", text("IN_PROGRESS"))
            .expression_attribute_values(":failed", text("FAILED"))
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":now", number(now.as_millisecond()))
            .expression_attribute_values(":expires", number(now.saturating_add(KEPT).unwrap_or(now).as_second()))
            .expression_attribute_values(":one", number(1))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = claimed else {
            return Ok(Claim::Mine);
        };
        match error.as_service_error() {
            Some(aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(held_by(failed.item()))
            }
            _ => Err(error.into()),
        }
    }

    /// Records that the envelope was sent.
    pub async fn delivered(&self, id: &str) -> Result<(), LogError> {
        self.entry(id)
            .update_expression(
                "SET #status = :delivered, deliveredAt = :now REMOVE leaseUntil, lastError",
            )
            .expression_attribute_values(":delivered", text("DELIVERED"))
            .expression_attribute_values(":now", text(&Timestamp::now().to_string()))
            .send()
            .await?;
        Ok(())
    }

    /// Records that sending failed and lets go of the envelope, so that the retry need not wait for the lease.
    pub async fn failed(&self, id: &str, cause: &ProviderError) -> Result<(), LogError> {
        self.entry(id)
            .update_expression("SET #status = :failed, lastError = :cause REMOVE leaseUntil")
            .expression_attribute_values(":failed", text("FAILED"))
            .expression_attribute_values(":cause", text(&cause.to_string()))
            .send()
            .await?;
        Ok(())
    }

    fn entry(&self, id: &str) -> UpdateItemFluentBuilder {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&format!("DELIVERY#{id}")))
            .expression_attribute_names("#status", "status")
    }
}

fn held_by(item: Option<&HashMap<String, AttributeValue>>) -> Claim {
    let status = item.and_then(|item| item.get("status"));
    match status.map(AttributeValue::as_s) {
        Some(Ok(status)) if status == "DELIVERED" => Claim::Delivered,
        _ => Claim::Theirs,
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_delivered_entry_is_a_duplicate() {
        let with = |status: &str| HashMap::from([("status".to_owned(), text(status))]);
        assert_eq!(held_by(Some(&with("DELIVERED"))), Claim::Delivered);
        assert_eq!(held_by(Some(&with("IN_PROGRESS"))), Claim::Theirs);
        assert_eq!(held_by(None), Claim::Theirs);
    }
}
