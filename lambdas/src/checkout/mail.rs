//! The mails of an order. Each has the order's id in its own: it is sent once, however often it is told.

use jiff::Timestamp;

use super::order::Order;
use super::state::Mail;
use crate::envelope::Envelope;
use crate::notification::{Kind, Notification};

/// The mail as an event.
#[must_use]
pub fn envelope(mail: Mail, order: &Order, source: &str, now: Timestamp) -> Envelope {
    let (word, subject, body) = match mail {
        Mail::Confirmed => (
            "order_confirmed",
            "Your order is confirmed",
            "Your goods are on their way.",
        ),
        Mail::Refunded => (
            "order_refunded",
            "Your order is cancelled",
            "What you ordered is out of stock. You got your money back.",
        ),
        Mail::Declined => (
            "order_declined",
            "Your order is cancelled",
            "Your payment was declined. You were not charged.",
        ),
    };
    Envelope::notification(
        format!("{word}-{}", order.id),
        Notification {
            to: order.email.clone(),
            subject: subject.to_owned(),
            body: format!("Order {}: {body}", order.id),
            kind: Kind::Email,
            user_id: Some(order.user_id.clone()),
        },
        order.correlation_id.clone(),
        source,
        now,
    )
}
