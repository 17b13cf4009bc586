//! Asks the payment provider. Every request carries the order's id as its key: the provider charges an order once, however
//! often and by however many it is asked, and pays it back once.

use std::time::Duration;

use lambda_http::http::{HeaderValue, Method, StatusCode, header};
use serde_json::json;

use super::order::Order;
use super::state::Event;
use crate::http::read::IDEMPOTENCY_KEY;
use crate::target::{Call, CallError, Caller, Target};

/// The customer waits for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why money was not paid back, as far as we know.
#[derive(Debug, thiserror::Error)]
pub enum RefundError {
    /// The provider did not answer.
    #[error("the payment provider did not answer")]
    NoAnswer(#[from] CallError),
    /// It said no.
    #[error("the payment provider answered a refund with {0}")]
    Refused(StatusCode),
}

/// The way to the provider.
#[derive(Clone, Debug)]
pub struct Payments {
    caller: Caller,
    target: Target,
}

impl Payments {
    /// The provider at `target`.
    #[must_use]
    pub fn new(caller: Caller, target: Target) -> Self {
        Self { caller, target }
    }

    /// Asks for the charge, once. Only the provider's own words count: whatever else comes back says nothing about the money.
    pub async fn charge(&self, order: &Order, time_left: Duration) -> Event {
        let answer = self
            .caller
            .call(&self.target, charging(order), TIMEOUT.min(time_left))
            .await;
        match answer.map(|answer| answer.status()) {
            Ok(StatusCode::OK | StatusCode::CREATED) => Event::Charged,
            Ok(StatusCode::PAYMENT_REQUIRED) => Event::Declined,
            Ok(status) => {
                tracing::error!(orderId = order.id, %status, "it is unknown whether an order is charged");
                Event::NoAnswer
            }
            Err(error) => {
                tracing::error!(
                    orderId = order.id,
                    cause = format!("{error:?}"),
                    "it is unknown whether an order is charged"
                );
                Event::NoAnswer
            }
        }
    }

    /// Asks for the money back, once.
    pub async fn refund(&self, order: &Order, time_left: Duration) -> Result<(), RefundError> {
        let answer = self
            .caller
            .call(&self.target, refunding(order), TIMEOUT.min(time_left))
            .await?;
        match answer.status() {
            StatusCode::OK => Ok(()),
            status => Err(RefundError::Refused(status)),
        }
    }
}

/// What the provider is asked for a charge.
pub(super) fn charging(order: &Order) -> Call {
    let body = json!({
        "orderId": order.id,
        "amount": order.amount,
        "paymentMethod": order.payment_method,
    });
    post("/payments/charges", order, &body.to_string())
}

/// What it is asked to pay back.
pub(super) fn refunding(order: &Order) -> Call {
    let path = format!("/payments/charges/{}/refund", order.id);
    post(&path, order, "{}")
}

fn post(path: &str, order: &Order, body: &str) -> Call {
    let mut call = Call::get(path, &order.correlation_id);
    call.method = Method::POST;
    call.headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(id) = HeaderValue::from_str(&order.id) {
        call.headers.insert(IDEMPOTENCY_KEY, id);
    }
    call.body = body.as_bytes().to_vec();
    call
}
