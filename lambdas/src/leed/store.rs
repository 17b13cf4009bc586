//! The table of leeds: one item a leed under `pk = LEED#<id>`, and one a booking under `pk = BOOKING#<trade, date and place>`.
//! Every change is conditional, and written together with the calls that tell of it.

use std::collections::HashMap;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};

use super::Leed;
use crate::outbox::{Outbox, Pending};
use crate::table::{self, Item, TableError};
use crate::trade::plain;
use crate::transaction::{Written, write};

/// What came of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It is stored.
    Now,
    /// An earlier attempt of the same request stored it.
    Before(Leed),
    /// That trade is booked at that place on that date already.
    Booked,
}

/// The table of leeds.
#[derive(Clone, Debug)]
pub struct LeedStore {
    client: aws_sdk_dynamodb::Client,
    table: String,
}

impl LeedStore {
    /// The table called `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, table: String) -> Self {
        Self {
            client: aws_sdk_dynamodb::Client::new(config),
            table,
        }
    }

    /// Stores a new leed, books its trade, date and place, and keeps the `bookkeeping`: all or nothing.
    pub async fn offer(
        &self,
        leed: &Leed,
        outbox: &Outbox,
        bookkeeping: &[Pending],
    ) -> Result<Offered, TableError> {
        let new = |item| {
            Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression("attribute_not_exists(pk)")
                .build()
        };
        let booking = HashMap::from([
            ("pk".to_owned(), booking_key(leed)),
            ("leed".to_owned(), AttributeValue::S(leed.id.clone())),
        ]);
        let mut writes = vec![put(new(item(leed)?)?), put(new(booking)?)];
        for pending in bookkeeping {
            writes.push(outbox.keep(pending)?);
        }
        match write(&self.client, &writes).await? {
            Written::Yes => Ok(Offered::Now),
            Written::Conflict => Ok(match self.get(&leed.id).await? {
                Some((leed, _)) => Offered::Before(leed),
                None => Offered::Booked,
            }),
        }
    }

    /// Stores `sold` in place of the open leed, and keeps the `bookkeeping`: all or nothing. `false` when it is not open any more.
    /// `purchase` names the attempt.
    pub async fn sell(
        &self,
        sold: &Leed,
        purchase: &str,
        outbox: &Outbox,
        bookkeeping: &[Pending],
    ) -> Result<bool, TableError> {
        let mut item = item(sold)?;
        let purchase = AttributeValue::S(purchase.to_owned());
        item.insert("purchase".to_owned(), purchase);
        let change = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("#status = :open")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":open", AttributeValue::S("open".to_owned()))
            .build()?;
        let mut writes = vec![put(change)];
        for pending in bookkeeping {
            writes.push(outbox.keep(pending)?);
        }
        Ok(write(&self.client, &writes).await? == Written::Yes)
    }

    /// The leed of that id, and the purchase that sold it.
    pub async fn get(&self, id: &str) -> Result<Option<(Leed, Option<String>)>, TableError> {
        let item = table::get(&self.client, &self.table, key(id)).await?;
        let Some(item) = item else {
            return Ok(None);
        };
        let purchase = item.get("purchase").and_then(|name| name.as_s().ok());
        let purchase = purchase.cloned();
        Ok(Some((serde_dynamo::from_item(item)?, purchase)))
    }
}

fn item(leed: &Leed) -> Result<Item, TableError> {
    let mut item: Item = serde_dynamo::to_item(leed)?;
    item.insert("pk".to_owned(), key(&leed.id));
    Ok(item)
}

fn put(put: Put) -> TransactWriteItem {
    TransactWriteItem::builder().put(put).build()
}

fn key(id: &str) -> AttributeValue {
    AttributeValue::S(format!("LEED#{id}"))
}

/// One key for all who mean the same place. Quoted, so that no text of one part can pass for another part.
fn booking_key(leed: &Leed) -> AttributeValue {
    let place = plain(&leed.place);
    AttributeValue::S(format!(
        "BOOKING#{}#{:?}#{place:?}",
        leed.date,
        leed.trade.to_string()
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_booking_is_the_same_however_it_is_typed() {
        let key = |trade: &str, place: &str| {
            let leed = json!({"id": "7", "trade": trade, "date": "2026-12-31", "place": place, "seller": "ada",
                "status": "open", "createdAt": "1970-01-01T00:00:00Z"});
            booking_key(&serde_json::from_value(leed).unwrap())
        };
        assert_eq!(key("clowns", "Berlin"), key("Clowns ", " berlin"));
        assert_ne!(key("clowns", "a\"#\"b"), key("clowns\"#\"a", "b"));
        assert_ne!(key("clowns", "Berlin"), key("clowns", "Bern"));
    }
}
