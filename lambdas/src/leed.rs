//! Leeds: somebody needs a trade's work at a place on a date, and one tradesperson buys it.
//!
//! | function | call | answers |
//! |---|---|---|
//! | [`create`] | `POST /leeds` | 201, 400, 409, 413, 415, 422 |
//! | [`get`] | `GET /leeds/{leedId}` | 200, 404 |
//! | [`buy`] | `POST /leeds/{leedId}/buy` | 200, 400, 404, 409, 413, 415, 422 |
//!
//! What decides the answer is done before it: a trade, date and place are booked once, and a leed is sold once. Who is told
//! and what is noted down is left to the [controller](crate::controller), through the outbox.

use jiff::Timestamp;
use jiff::civil::Date;
use lambda_http::{Error, Request};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::aws;
use crate::controller::request::{Call, Entry, request};
use crate::http::Refusal;
use crate::http::read::path_id;
use crate::idempotency::{Log, REQUEST};
use crate::notifier::{Choice, Notifier};
use crate::outbox::{Outbox, Pending};
use crate::settings::Settings;
use crate::trade::Trade;
use store::LeedStore;

pub mod buy;
pub mod create;
pub mod get;
pub mod store;
mod wanted;

/// A leed as it is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leed {
    /// UUID v4.
    pub id: String,
    /// What is to be done.
    pub trade: Trade,
    /// When.
    pub date: Date,
    /// Where.
    pub place: String,
    /// Who offers it.
    pub seller: String,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Whether it can be bought.
    pub status: Status,
    /// Who bought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
    /// When it was offered.
    pub created_at: Timestamp,
    /// When it was sold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sold_at: Option<Timestamp>,
}

/// What somebody is told of a leed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Its id.
    #[serde(deserialize_with = "filled")]
    pub id: String,
    /// What is to be done.
    pub trade: Trade,
    /// Who offers it.
    #[serde(deserialize_with = "filled")]
    pub seller: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Date>,
    /// Where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Who bought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
}

/// Whether a leed can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It can.
    Open,
    /// Somebody has bought it.
    Sold,
}

impl Leed {
    fn about(&self) -> About {
        About {
            id: self.id.clone(),
            trade: self.trade.clone(),
            seller: self.seller.clone(),
            date: Some(self.date),
            place: Some(self.place.clone()),
            buyer: self.buyer.clone(),
        }
    }
}

/// A text that is not empty.
pub(crate) fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(serde::de::Error::custom("an id, a name or a word is empty"));
    }
    Ok(text)
}

/// A function that changes leeds and leaves the bookkeeping to the controller.
struct Writer {
    store: LeedStore,
    outbox: Outbox,
    requests: Log,
}

impl Writer {
    fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let table = settings.required("LEEDS_TABLE");
        let outbox = settings.required("OUTBOX_TABLE");
        let requests = settings.required("REQUESTS_TABLE");
        let choice = Choice::read(&mut settings);
        let (table, choice) = settings.finish((table, choice))?;
        let choice = choice.ok_or("no notifier is chosen")?;
        let config = aws::config();
        Ok(Self {
            store: LeedStore::new(&config, table),
            outbox: Outbox::new(&config, outbox, Notifier::new(choice, &config)),
            requests: Log::new(&config, requests, REQUEST),
        })
    }

    /// Hands the bookkeeping over. It is stored with the leed by now, so the caller's answer does not depend on this.
    async fn hand_over(&self, bookkeeping: &[Pending]) {
        let handed_over = bookkeeping
            .iter()
            .map(|pending| self.outbox.hand_over(pending));
        futures::future::join_all(handed_over).await;
    }
}

/// A call of the controller, to be kept in the outbox under `id`.
fn pending(id: String, call: &Call, correlation_id: &str) -> Result<Pending, serde_json::Error> {
    Pending::new(
        id,
        call.function(),
        correlation_id,
        &request(call, correlation_id)?,
    )
}

/// The call that notes down what happened to a leed; `event` and the leed's id name the entry.
fn audited(leed: &Leed, event: &str, actor: &str, at: Timestamp) -> Call {
    Call::Audit(Entry {
        id: format!("{event}-{}", leed.id),
        event: event.to_owned(),
        leed: leed.id.clone(),
        actor: actor.to_owned(),
        at,
    })
}

/// No id that cannot be one is looked up: there is no such leed.
fn leed_id(request: &Request) -> Result<String, Refusal> {
    path_id(request, "leedId").ok_or_else(no_leed)
}

fn no_leed() -> Refusal {
    Refusal::not_found("Leed not found")
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}
