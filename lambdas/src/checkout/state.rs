//! What an order goes through. Nothing here does anything: a state and what happened give the next state and what it needs.
//!
//! ```text
//! PENDING ──charged──> PAID ──reserved──────> CONFIRMED
//!  │   │                └───out of stock──> REFUND_PENDING ──refunded──> REFUNDED
//!  │   └─────declined──────> DECLINED
//!  └─no answer─> PAYMENT_UNKNOWN ──charged, declined──> as above
//! ```

use serde::{Deserialize, Serialize};

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Stored, and not known to be charged.
    Pending,
    /// The payment provider was asked and did not answer: charged or not.
    PaymentUnknown,
    /// Charged.
    Paid,
    /// Charged, and its goods are taken from the stock. Stays so.
    Confirmed,
    /// Charged, and there were not enough goods.
    RefundPending,
    /// Charged and paid back. Stays so.
    Refunded,
    /// Not charged. Stays so.
    Declined,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The provider says that the order is charged.
    Charged,
    /// The provider says that it will not be.
    Declined,
    /// The provider says nothing.
    NoAnswer,
    /// The goods were taken from the stock, in the same write.
    Reserved,
    /// There are not enough of them.
    OutOfStock,
    /// The provider has paid back.
    Refunded,
}

/// What has to be done, and may be tried again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Ask the provider for the charge under the order's id: for the first time or again, it charges once.
    SettlePayment,
    /// Take the goods from the stock.
    ReserveStock,
    /// Ask the provider to pay back.
    Refund,
}

impl Work {
    /// The word in JSON and in the `event` message attribute.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::SettlePayment => "settle_payment",
            Self::ReserveStock => "reserve_stock",
            Self::Refund => "refund",
        }
    }
}

/// What the customer is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mail {
    /// The goods are on their way.
    Confirmed,
    /// There are none, and the money is back.
    Refunded,
    /// The payment did not succeed after all.
    Declined,
}

/// From one state to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The next state, which has work of its own.
    pub to: State,
    /// What the customer is told.
    pub mail: Option<Mail>,
}

impl State {
    /// What `event` leads to; `None` where it changes nothing, because it was heard before or came too late.
    #[must_use]
    pub fn on(self, event: Event) -> Option<Step> {
        let (to, mail) = match (self, event) {
            (Self::Pending | Self::PaymentUnknown, Event::Charged) => (Self::Paid, None),
            // Who waited for the answer has got it.
            (Self::Pending, Event::Declined) => (Self::Declined, None),
            (Self::PaymentUnknown, Event::Declined) => (Self::Declined, Some(Mail::Declined)),
            (Self::Pending, Event::NoAnswer) => (Self::PaymentUnknown, None),
            (Self::Paid, Event::Reserved) => (Self::Confirmed, Some(Mail::Confirmed)),
            (Self::Paid, Event::OutOfStock) => (Self::RefundPending, None),
            (Self::RefundPending, Event::Refunded) => (Self::Refunded, Some(Mail::Refunded)),
            _ => return None,
        };
        Some(Step { to, mail })
    }

    /// What an order in this state waits for; `None` where it stays as it is.
    #[must_use]
    pub fn work(self) -> Option<Work> {
        match self {
            Self::Pending | Self::PaymentUnknown => Some(Work::SettlePayment),
            Self::Paid => Some(Work::ReserveStock),
            Self::RefundPending => Some(Work::Refund),
            Self::Confirmed | Self::Refunded | Self::Declined => None,
        }
    }

    /// The word in JSON and in the table.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::PaymentUnknown => "PAYMENT_UNKNOWN",
            Self::Paid => "PAID",
            Self::Confirmed => "CONFIRMED",
            Self::RefundPending => "REFUND_PENDING",
            Self::Refunded => "REFUNDED",
            Self::Declined => "DECLINED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 7] = [
        State::Pending,
        State::PaymentUnknown,
        State::Paid,
        State::Confirmed,
        State::RefundPending,
        State::Refunded,
        State::Declined,
    ];

    const EVENTS: [Event; 6] = [
        Event::Charged,
        Event::Declined,
        Event::NoAnswer,
        Event::Reserved,
        Event::OutOfStock,
        Event::Refunded,
    ];

    #[test]
    fn what_waits_for_nothing_stays_and_everything_else_can_go_on() {
        for state in STATES {
            let goes_on = EVENTS.iter().any(|event| state.on(*event).is_some());
            assert_eq!(goes_on, state.work().is_some(), "{state:?}");
        }
    }

    #[test]
    fn nothing_that_is_heard_twice_counts_twice() {
        for state in STATES {
            for event in EVENTS {
                if let Some(step) = state.on(event) {
                    assert_eq!(step.to.on(event), None, "{state:?} {event:?}");
                }
            }
        }
    }

    #[test]
    fn words_are_those_of_the_json() {
        for state in STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), state.word());
        }
        for work in [Work::SettlePayment, Work::ReserveStock, Work::Refund] {
            assert_eq!(serde_json::to_value(work).unwrap(), work.word());
        }
    }
}
