//! An order: what the customer asks for, what it costs, and how far it is.

use jiff::Timestamp;
use patterns_core::task::InvalidField;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::state::{State, Work};

/// Of one product in one order.
const QUANTITY_MAX: u64 = 100;

/// What a customer sends.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    /// Which product.
    #[serde(default)]
    pub sku: String,
    /// How many of it.
    #[serde(default = "one")]
    pub quantity: u64,
    /// The provider's name for the card or account that pays.
    #[serde(default)]
    pub payment_method: String,
}

fn one() -> u64 {
    1
}

impl Wanted {
    /// Every field that does not hold what it must.
    #[must_use]
    pub fn invalid_fields(&self) -> Vec<InvalidField> {
        let is_name = |text: &str, most| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let checks = [
            (
                "sku",
                is_name(&self.sku, 64),
                "sku must have 1 to 64 visible ASCII characters".to_owned(),
            ),
            (
                "quantity",
                (1..=QUANTITY_MAX).contains(&self.quantity),
                format!("quantity must be a number from 1 to {QUANTITY_MAX}"),
            ),
            (
                "paymentMethod",
                is_name(&self.payment_method, 200),
                "paymentMethod must have 1 to 200 visible ASCII characters".to_owned(),
            ),
        ];
        checks
            .into_iter()
            .filter(|(_, holds, _)| !holds)
            .map(|(field, _, message)| InvalidField {
                field: field.to_owned(),
                message,
            })
            .collect()
    }
}

/// An order as the table has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// Names it everywhere, also to the payment provider.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// Where its mails go.
    pub email: String,
    /// Which product.
    pub sku: String,
    /// How many of it.
    pub quantity: u64,
    /// What all of them cost, in the currency's smallest unit, as the price was when it was ordered.
    pub amount: u64,
    /// The provider's name for the card or account that pays.
    pub payment_method: String,
    /// How far it is.
    pub state: State,
    /// From the request that started it all.
    pub correlation_id: String,
    /// When it was ordered.
    pub created_at: Timestamp,
    /// When its state changed.
    pub updated_at: Timestamp,
}

impl Order {
    /// What its customer may see: everything but how it is paid.
    #[must_use]
    pub fn public(&self) -> Value {
        json!({
            "id": self.id,
            "sku": self.sku,
            "quantity": self.quantity,
            "amount": self.amount,
            "state": self.state,
            "createdAt": self.created_at,
            "updatedAt": self.updated_at,
        })
    }
}

/// What the queue of work says: which order waits for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Names the message, however often it is told.
    pub id: String,
    /// What has to be done.
    pub action: Work,
    /// For which order.
    pub order_id: String,
    /// From the request that started it all.
    pub correlation_id: String,
}

impl Job {
    /// What `order` waits for; `None` where it waits for nothing.
    #[must_use]
    pub fn of(order: &Order) -> Option<Self> {
        order.state.work().map(|action| Self {
            id: format!("{}-{}", action.word(), order.id),
            action,
            order_id: order.id.clone(),
            correlation_id: order.correlation_id.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn wrong(json: Value) -> Vec<String> {
        let wanted: Wanted = serde_json::from_value(json).unwrap();
        let invalid = wanted.invalid_fields();
        invalid.into_iter().map(|invalid| invalid.field).collect()
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let good = json!({"sku": "lamp", "paymentMethod": "card-1", "colour": "red"});
        assert!(
            wrong(good).is_empty(),
            "one lamp, and unknown fields do not matter"
        );
        assert_eq!(wrong(json!({})), ["sku", "paymentMethod"]);
        assert_eq!(
            wrong(json!({"sku": "a b", "quantity": 0, "paymentMethod": "x".repeat(201)})),
            ["sku", "quantity", "paymentMethod"]
        );
        assert_eq!(
            wrong(json!({"sku": "a", "quantity": 101, "paymentMethod": "x"})),
            ["quantity"]
        );
    }
}
