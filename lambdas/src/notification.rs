//! Notifications: what somebody is to be told, and the API that takes them.
//!
//! | call | answers |
//! |---|---|
//! | `POST /notifications/send` | 202 with an id, 400, 401, 409, 422, 503 |
//! | `POST /notifications/bulk` | 202 with up to 100 ids, 400, 401, 503 |
//! | `GET /notifications/status/{id}` | 200, 404 |
//! | `GET /notifications/stats` | 200 `{waiting, active, completed, failed}` |
//! | `GET /health` | 200, 503 |
//!
//! Sending is asked for with a token, which auth verifies first: without its word nothing is taken. What is taken goes to a
//! queue, that for urgent ones or that for all others, and is delivered from there.

use std::time::Instant;

use lambda_http::http::Method;
use lambda_http::{Error, Request, RequestExt};
use serde::{Deserialize, Serialize};

use crate::auth::verified::Verifier;
use crate::http::read::id;
use crate::http::{Outcome, Refusal, answer, serve};
use crate::notifier::{Choice, Notifier};
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::target::{Caller, Target};
use crate::{aws, health};
use stats::Stats;
use store::NotificationStore;

mod bulk;
mod send;
mod stats;
mod status;
mod store;
mod wanted;

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A mail.
    Email,
    /// A text message to a phone.
    Sms,
    /// A message to an app.
    Push,
    /// A request to an address.
    Webhook,
}

/// What somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Whom: an address, a phone number, a device, or a URL.
    pub to: String,
    /// In a few words.
    pub subject: String,
    /// In full.
    pub body: String,
    /// How.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Whose account it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
}

struct Api {
    started: Instant,
    verifier: Verifier,
    store: NotificationStore,
    outbox: Outbox,
    stats: Stats,
    /// How often a delivery is tried before it has failed: the queues' `maxReceiveCount`.
    attempts: u64,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let api = &Api::start()?;
    serve(|request, correlation_id| async move { api.handle(&request, &correlation_id).await })
        .await
}

impl Api {
    /// From `AUTH_TARGET`, the tables' names, `DELIVERY_ATTEMPTS`, and the variables of [`Notifier`] and [`Stats`].
    fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let auth = Target::read(&mut settings, "AUTH_TARGET");
        let notifications = settings.required("NOTIFICATIONS_TABLE");
        let deliveries = settings.required("DELIVERIES_TABLE");
        let outbox = settings.required("OUTBOX_TABLE");
        let attempts = settings.optional("DELIVERY_ATTEMPTS", 3, "a number from 1", |count| {
            *count >= 1
        });
        let queues = stats::Queues::read(&mut settings);
        let choice = Choice::read(&mut settings);
        let (auth, choice) = settings.finish((auth, choice))?;
        let auth = auth.ok_or("AUTH_TARGET is not set")?;
        let choice = choice.ok_or("no notifier is chosen")?;
        let config = aws::config();
        let store = NotificationStore::new(&config, notifications, deliveries);
        Ok(Self {
            started: Instant::now(),
            verifier: Verifier::new(Caller::new(&config)?, auth),
            stats: Stats::new(&config, queues),
            store,
            outbox: Outbox::new(&config, outbox, Notifier::new(choice, &config)),
            attempts,
        })
    }

    async fn handle(&self, request: &Request, correlation_id: &str) -> Outcome {
        let method = request.method();
        let path = request.raw_http_path();
        match path {
            "/notifications/send" if method == Method::POST => {
                let sender = self.verifier.sender(request, correlation_id).await?;
                send::send(self, &sender, request, correlation_id).await
            }
            "/notifications/bulk" if method == Method::POST => {
                let sender = self.verifier.sender(request, correlation_id).await?;
                bulk::send(self, &sender, request, correlation_id).await
            }
            "/notifications/send" | "/notifications/bulk" => {
                Err(Refusal::method_not_allowed("POST"))
            }
            "/notifications/stats" if method == Method::GET => self.stats.answer(&self.store).await,
            "/health" if method == Method::GET => {
                let checks = [
                    ("notifications", self.store.is_there().await),
                    ("queue", self.stats.is_there().await),
                ];
                let (status, report) = health::report("notifications", self.started, &checks);
                answer(status, &report)
            }
            "/notifications/stats" | "/health" => Err(Refusal::method_not_allowed("GET")),
            _ => match path.strip_prefix("/notifications/status/") {
                Some(_) if method != Method::GET => Err(Refusal::method_not_allowed("GET")),
                Some(raw) => {
                    let unknown = || Refusal::not_found("Notification not found");
                    let id = id(raw).ok_or_else(unknown)?;
                    status::status(&self.store, &id, self.attempts).await
                }
                None => Err(Refusal::not_found("Route not found")),
            },
        }
    }
}
