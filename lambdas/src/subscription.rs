//! Who wants to hear of a trade's leeds.
//!
//! | function | call | answers |
//! |---|---|---|
//! | [`subscribe`] | `POST /subscriptions` | 201; 200 for a subscriber of that trade; 400, 413, 415 |
//! | [`unsubscribe`] | `DELETE /subscriptions` | 204, 400, 404, 413, 415 |
//!
//! Both say `{"trade", "recipient"}` in their body; `DELETE` may say it in its query instead, because some clients send no body
//! with it.

use patterns_core::task::InvalidField;
use serde::{Deserialize, Serialize};

use crate::http::Refusal;
use crate::trade::Trade;

pub mod store;
pub mod subscribe;
pub mod unsubscribe;

/// Recipients and sellers have 1 to this many characters; they become a part of keys.
const PERSON_MAX: usize = 128;

/// Somebody who is told of a trade's leeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The trade.
    pub trade: Trade,
    /// Whom to tell: an address, or the name of an account.
    pub recipient: String,
}

/// What a caller sends. What is left out is told apart from what is wrong.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    trade: Option<String>,
    recipient: Option<String>,
}

impl Wanted {
    /// Checks everything, and tells all that is wrong at once.
    fn accept(self) -> Result<Subscription, Refusal> {
        let mut invalid = Vec::new();
        let trade = trade("trade", self.trade, &mut invalid);
        let recipient = person("recipient", self.recipient, &mut invalid);
        match (trade, recipient) {
            (Some(trade), Some(recipient)) => Ok(Subscription { trade, recipient }),
            _ => Err(Refusal::Invalid(invalid)),
        }
    }
}

/// The trade in the field `name`, or `None` with the problem noted.
pub(crate) fn trade(
    name: &str,
    value: Option<String>,
    invalid: &mut Vec<InvalidField>,
) -> Option<Trade> {
    let trade = required(name, value, invalid)?;
    Trade::try_from(trade)
        .map_err(|wrong| invalid.push(field(name, wrong.to_string())))
        .ok()
}

/// The person in the field `name`, or `None` with the problem noted.
pub(crate) fn person(
    name: &str,
    value: Option<String>,
    invalid: &mut Vec<InvalidField>,
) -> Option<String> {
    let person = required(name, value, invalid)?;
    let odd = |letter: char| letter.is_whitespace() || letter.is_control();
    if person.chars().count() <= PERSON_MAX && !person.contains(odd) {
        return Some(person);
    }
    let message = format!("must have 1 to {PERSON_MAX} characters and no spaces");
    invalid.push(field(name, message));
    None
}

/// The text in the field `name`, or `None` with the problem noted.
pub(crate) fn required(
    name: &str,
    value: Option<String>,
    invalid: &mut Vec<InvalidField>,
) -> Option<String> {
    let value = value.map(|value| value.trim().to_owned());
    let filled = value.filter(|value| !value.is_empty());
    if filled.is_none() {
        invalid.push(field(name, "is required".to_owned()));
    }
    filled
}

/// A problem with the field `name`.
pub(crate) fn field(name: &str, message: String) -> InvalidField {
    InvalidField {
        field: name.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn accept(body: Value) -> Result<Subscription, String> {
        let wanted: Wanted = serde_json::from_value(body).unwrap();
        wanted.accept().map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_subscription_names_a_trade_and_a_recipient() {
        let subscription = accept(json!({"trade": " Clowns", "recipient": "ada@example.com "}));
        let subscription = subscription.unwrap();
        assert_eq!(subscription.trade.to_string(), "clowns");
        assert_eq!(subscription.recipient, "ada@example.com");
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        assert_eq!(
            accept(json!({})).unwrap_err(),
            "Validation failed: trade: is required, recipient: is required"
        );
        for recipient in ["two words", "a\u{0}b", &"x".repeat(129)] {
            let body = json!({"trade": "", "recipient": recipient});
            let wrong = accept(body).unwrap_err();
            assert!(wrong.contains("trade: is required"), "{wrong}");
            assert!(wrong.contains("recipient: must have 1 to 128"), "{wrong}");
        }
    }
}
