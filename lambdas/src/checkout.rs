//! Checkout: an order is charged while its customer waits, and everything else about it happens afterwards.
//!
//! | step | how | if it fails |
//! |---|---|---|
//! | who orders | asked of auth, 3 s | 401; 503 if auth does not answer: nothing is charged |
//! | the charge | asked of the payment provider, once, 5 s | 402; 202 if it does not answer: the charge is [settled](fulfil) later |
//! | the goods | from a queue | out of stock: the money goes back, and a mail says so |
//! | the mail | from a queue | tried again; the order stays as it is |
//!
//! | call | answers |
//! |---|---|
//! | `POST /checkout` | 201 with the order, 202 while the charge is unknown, 400, 401, 402, 409, 415, 422, 503 |
//! | `GET /checkout/{id}` | 200 with the order, 401, 404, 503 |
//! | `GET /health` | 200, 503 |
//!
//! Products are items of their table: `pk = PRODUCT#<sku>`, `price` in the currency's smallest unit, `stock`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use lambda_http::http::{Method, StatusCode};
use lambda_http::{Error, Request, RequestExt};
use patterns_core::task::InvalidField;
use serde_json::json;

use crate::auth::verified::{Verified, Verifier};
use crate::http::read::{id, idempotency_key, json_body};
use crate::http::{Outcome, Refusal, answer, serve, usable};
use crate::idempotency::{Log, REQUEST, answer::once};
use crate::settings::Settings;
use crate::target::{Caller, Target};
use crate::{aws, health};
use order::{Order, Wanted};
use saga::{Names, Saga};
use state::{State, Work};

pub mod fulfil;
mod mail;
#[cfg(test)]
mod model;
mod order;
mod payments;
mod saga;
mod state;
mod store;

const FAILED: &str = "Failed to check out";

struct Checkout {
    started: Instant,
    verifier: Verifier,
    requests: Log,
    saga: Saga,
}

/// Serves requests until the environment ends.
pub async fn run() -> Result<(), Error> {
    let checkout = &Checkout::start()?;
    serve(|request, correlation_id| async move { checkout.handle(&request, &correlation_id).await })
        .await
}

impl Checkout {
    /// From `AUTH_TARGET`, `REQUESTS_TABLE`, and the [saga's variables](Names).
    fn start() -> Result<Self, Error> {
        let mut settings = Settings::default();
        let auth = Target::read(&mut settings, "AUTH_TARGET");
        let requests = settings.required("REQUESTS_TABLE");
        let names = Names::read(&mut settings);
        let (auth, requests, names) = settings.finish((auth, requests, names))?;
        let auth = auth.ok_or("AUTH_TARGET is not set")?;
        let config = aws::config();
        let caller = Caller::new(&config)?;
        Ok(Self {
            started: Instant::now(),
            requests: Log::new(&config, requests, REQUEST),
            saga: Saga::new(&config, caller.clone(), names, "checkout")
                .ok_or("PAYMENT_TARGET is not set")?,
            verifier: Verifier::new(caller, auth),
        })
    }

    async fn handle(&self, request: &Request, correlation_id: &str) -> Outcome {
        let method = request.method();
        match request.raw_http_path() {
            "/checkout" if method == Method::POST => {
                let customer = self.verifier.sender(request, correlation_id).await?;
                self.order(&customer, request, correlation_id).await
            }
            "/checkout" => Err(Refusal::method_not_allowed("POST")),
            "/health" if method == Method::GET => {
                let checks = [("orders", self.saga.store.is_there().await)];
                let (status, report) = health::report("checkout", self.started, &checks);
                answer(status, &report)
            }
            "/health" => Err(Refusal::method_not_allowed("GET")),
            path => match path.strip_prefix("/checkout/") {
                Some(_) if method != Method::GET => Err(Refusal::method_not_allowed("GET")),
                Some(raw) => {
                    let customer = self.verifier.sender(request, correlation_id).await?;
                    self.show(&customer, raw).await
                }
                None => Err(Refusal::not_found("Route not found")),
            },
        }
    }

    /// Another customer's order is no order.
    async fn show(&self, customer: &Verified, raw: &str) -> Outcome {
        let unknown = || Refusal::not_found("Order not found");
        let order = self
            .saga
            .store
            .get(&id(raw).ok_or_else(unknown)?)
            .await
            .map_err(|error| Refusal::failed("Failed to retrieve order", error))?
            .filter(|order| order.user_id == customer.user_id)
            .ok_or_else(unknown)?;
        answer(StatusCode::OK, &order.public())
    }

    async fn order(&self, customer: &Verified, request: &Request, correlation_id: &str) -> Outcome {
        let wanted: Wanted = json_body(request)?;
        let key = idempotency_key(request)?.ok_or_else(|| {
            Refusal::BadRequest(
                "Idempotency-Key is required, so that nobody pays twice for one order".to_owned(),
            )
        })?;
        let invalid = wanted.invalid_fields();
        if !invalid.is_empty() {
            return Err(Refusal::Invalid(invalid));
        }
        // Another customer's key is another key.
        let key = format!("{}#{key}", customer.user_id);
        let limit = usable(request);
        let until = Instant::now() + limit;
        once(
            &self.requests,
            &key,
            request.body(),
            limit,
            |id| async move {
                let order = match self.placed(&id).await? {
                    // An earlier attempt of the same request got this far.
                    Some(order) => order,
                    None => self.place(customer, &wanted, id, correlation_id).await?,
                };
                let time_left = until.saturating_duration_since(Instant::now());
                reply(&self.charged(order, time_left).await?, correlation_id)
            },
        )
        .await
    }

    async fn placed(&self, id: &str) -> Result<Option<Order>, Refusal> {
        let order = self.saga.store.get(id).await;
        order.map_err(|error| Refusal::failed(FAILED, error))
    }

    async fn place(
        &self,
        customer: &Verified,
        wanted: &Wanted,
        id: String,
        correlation_id: &str,
    ) -> Result<Order, Refusal> {
        let price = self
            .saga
            .store
            .price(&wanted.sku)
            .await
            .map_err(|error| Refusal::failed(FAILED, error))?;
        let amount = price.and_then(|price| price.checked_mul(wanted.quantity));
        let amount = amount.ok_or_else(|| {
            Refusal::Invalid(vec![InvalidField {
                field: "sku".to_owned(),
                message: "There is no such product".to_owned(),
            }])
        })?;
        let now = Timestamp::now();
        let order = Order {
            id,
            user_id: customer.user_id.clone(),
            email: customer.email.clone(),
            sku: wanted.sku.clone(),
            quantity: wanted.quantity,
            amount,
            payment_method: wanted.payment_method.clone(),
            state: State::Pending,
            correlation_id: correlation_id.to_owned(),
            created_at: now,
            updated_at: now,
        };
        let placed = self
            .saga
            .place(&order)
            .await
            .map_err(|error| Refusal::failed(FAILED, error))?;
        if placed {
            return Ok(order);
        }
        self.again(&order.id).await
    }

    /// Charges an order that was not asked for yet. What is unknown stays so here: it is settled from the queue.
    async fn charged(&self, order: Order, time_left: Duration) -> Result<Order, Refusal> {
        if order.state != State::Pending {
            return Ok(order);
        }
        let id = order.id.clone();
        let order = self
            .saga
            .work(order, time_left)
            .await
            .map_err(|error| Refusal::failed(FAILED, error))?;
        // Unchanged means that another brought it on.
        if order.state == State::Pending {
            return self.again(&id).await;
        }
        Ok(order)
    }

    async fn again(&self, id: &str) -> Result<Order, Refusal> {
        self.placed(id)
            .await?
            .ok_or_else(|| Refusal::failed(FAILED, "an order is gone"))
    }
}

/// What the customer is told of an order.
fn reply(order: &Order, correlation_id: &str) -> Outcome {
    match (order.state, order.state.work()) {
        (State::Declined, _) => {
            let message = "The payment was declined";
            let body = json!({
                "message": message,
                "error": message,
                "correlationId": correlation_id,
                "id": order.id,
                "state": order.state,
            });
            answer(StatusCode::PAYMENT_REQUIRED, &body)
        }
        (_, Some(Work::SettlePayment)) => answer(StatusCode::ACCEPTED, &order.public()),
        _ => answer(StatusCode::CREATED, &order.public()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_a_known_charge_is_an_order_that_is_made() {
        let status = |state| {
            let order = Order {
                id: "o-1".to_owned(),
                user_id: "u-1".to_owned(),
                email: "a@b.example".to_owned(),
                sku: "lamp".to_owned(),
                quantity: 1,
                amount: 5,
                payment_method: "card-1".to_owned(),
                state,
                correlation_id: "c".to_owned(),
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
            };
            let answer = reply(&order, "c").unwrap();
            let body = answer.body.unwrap().to_string();
            assert!(
                !body.contains("card-1"),
                "how it is paid is nobody's business"
            );
            answer.status.as_u16()
        };
        for (state, expected) in [
            (State::Pending, 202),
            (State::PaymentUnknown, 202),
            (State::Declined, 402),
            (State::Paid, 201),
            (State::Confirmed, 201),
            (State::RefundPending, 201),
            (State::Refunded, 201),
        ] {
            assert_eq!(status(state), expected, "{state:?}");
        }
    }
}
