//! The payment provider, simulated: a service of its own with a table of its own, which an operator can make decline, fail and
//! answer late.
//!
//! | call | answers |
//! |---|---|
//! | `POST /payments/charges` `{orderId, amount, paymentMethod}` | 201; 200 the same again; 402; 422 with another amount |
//! | `GET /payments/charges/{orderId}` | 200, 404 |
//! | `POST /payments/charges/{orderId}/refund` | 200, also the same again; 404; 409 if it was not charged |
//!
//! The order's id is the key of everything: an order is charged once and paid back once, however often it is asked for.

use std::time::Duration;

use lambda_http::http::{Method, StatusCode};
use lambda_http::{Error, Request, RequestExt};
use patterns_core::task::InvalidField;
use serde::Deserialize;

use crate::aws;
use crate::http::read::{id, json_body};
use crate::http::{Outcome, Refusal, answer, serve};
use crate::settings::Settings;
use store::{Charge, ChargeStatus, ChargeStore};

mod store;

const FAILED: &str = "Failed to reach the payment provider's table";

/// What a shop sends.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    order_id: String,
    amount: u64,
    payment_method: String,
}

/// A provider that declines what `PAYMENT_DECLINE_MATCH` is part of, answers a share `PAYMENT_FAIL_RATE` of all requests with 503
/// and does nothing then, and answers `PAYMENT_LATENCY_MS` after it has done what it was asked: the latest are those where a
/// caller has stopped waiting and does not know whether it was charged.
struct Provider {
    store: ChargeStore,
    decline_match: String,
    fail_rate: f64,
    latency: Duration,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let provider = &Provider::start()?;
    serve(|request, _| async move { provider.handle(&request).await }).await
}

impl Provider {
    /// From `PAYMENTS_TABLE` and the three variables.
    fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let table = settings.required("PAYMENTS_TABLE");
        let decline_match =
            settings.optional("PAYMENT_DECLINE_MATCH", String::new(), "a text", |_| true);
        let fail_rate = settings.rate("PAYMENT_FAIL_RATE");
        let latency = settings.latency("PAYMENT_LATENCY_MS");
        let table = settings.finish(table)?;
        Ok(Self {
            store: ChargeStore::new(&aws::config(), table),
            decline_match,
            fail_rate,
            latency,
        })
    }

    async fn handle(&self, request: &Request) -> Outcome {
        // `f64()` is below 1, so a rate of 1 always fails and a rate of 0 never does.
        if fastrand::f64() < self.fail_rate {
            return Err(Refusal::with(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("Out of order (PAYMENT_FAIL_RATE is {})", self.fail_rate),
            ));
        }
        let outcome = self.outcome(request).await;
        tokio::time::sleep(self.latency).await;
        outcome
    }

    async fn outcome(&self, request: &Request) -> Outcome {
        let method = request.method();
        let path = request.raw_http_path();
        if path == "/payments/charges" {
            return match *method {
                Method::POST => self.charge(json_body(request)?).await,
                _ => Err(Refusal::method_not_allowed("POST")),
            };
        }
        let Some(rest) = path.strip_prefix("/payments/charges/") else {
            return Err(Refusal::not_found("Route not found"));
        };
        let unknown = || Refusal::not_found("Charge not found");
        match (rest.strip_suffix("/refund"), method) {
            (Some(raw), &Method::POST) => self.refund(&id(raw).ok_or_else(unknown)?).await,
            (Some(_), _) => Err(Refusal::method_not_allowed("POST")),
            (None, &Method::GET) => {
                let charge = self.store.get(&id(rest).ok_or_else(unknown)?).await;
                let charge = charge.map_err(|error| Refusal::failed(FAILED, error))?;
                answer(StatusCode::OK, &charge.ok_or_else(unknown)?)
            }
            (None, _) => Err(Refusal::method_not_allowed("GET")),
        }
    }

    async fn charge(&self, wanted: Wanted) -> Outcome {
        if wanted.order_id.is_empty() {
            return Err(Refusal::Invalid(vec![InvalidField {
                field: "orderId".to_owned(),
                message: "orderId is required".to_owned(),
            }]));
        }
        let declined =
            !self.decline_match.is_empty() && wanted.payment_method.contains(&self.decline_match);
        let new = Charge {
            order_id: wanted.order_id,
            amount: wanted.amount,
            status: if declined {
                ChargeStatus::Declined
            } else {
                ChargeStatus::Charged
            },
        };
        let held = self
            .store
            .charge(&new)
            .await
            .map_err(|error| Refusal::failed(FAILED, error))?;
        let (charge, status) = match held {
            None => (new, StatusCode::CREATED),
            Some(held) if held.amount != new.amount => {
                return Err(Refusal::with(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "The order was charged with another amount",
                ));
            }
            Some(held) => (held, StatusCode::OK),
        };
        if charge.status == ChargeStatus::Declined {
            return Err(Refusal::with(
                StatusCode::PAYMENT_REQUIRED,
                "The payment was declined",
            ));
        }
        answer(status, &charge)
    }

    async fn refund(&self, order_id: &str) -> Outcome {
        let refunded = self
            .store
            .refund(order_id)
            .await
            .map_err(|error| Refusal::failed(FAILED, error))?;
        match refunded {
            None => Err(Refusal::not_found("Charge not found")),
            Some(charge) if charge.status == ChargeStatus::Refunded => {
                answer(StatusCode::OK, &charge)
            }
            Some(_) => Err(Refusal::with(
                StatusCode::CONFLICT,
                "The order was not charged",
            )),
        }
    }
}
