//! Delivers an envelope once, guarded by the [log](crate::idempotency) of deliveries. What is delivered already is a
//! duplicate and not sent; what another environment is delivering is an error, so that it is tried again later.
//!
//! This is at-least-once all the same: an environment that ends between sending and recording sends again when its lease
//! has run out. The envelope's id goes to the provider with the message, and closes that gap there.

use std::time::Duration;

use aws_config::SdkConfig;

use crate::envelope::Envelope;
use crate::idempotency::{Claim, DELIVERY, Log, LogError};
use crate::metrics;
use crate::settings::{InvalidSettings, Settings};
use crate::unreadable::Unreadable;

pub mod counter;
pub mod provider;

use counter::Counter;
use provider::{Provider, ProviderError};

/// Kept free after the provider's answer: for writing it down, and before that for what the queue's shell keeps.
const RESERVE: Duration = Duration::from_secs(2);

/// What came of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was sent now.
    Delivered,
    /// It had been sent before; nothing was sent.
    Duplicate,
}

/// Why an envelope was not delivered. All but [`DeliveryError::Unreadable`] may go away by themselves.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The event is not an envelope; no retry will change that.
    #[error("the event cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// Another environment is delivering it at this moment.
    #[error("{0} is being delivered by another environment")]
    InProgress(String),
    /// The provider did not take it.
    #[error("delivery of {id} failed: {cause}")]
    Provider {
        /// The envelope's id.
        id: String,
        /// Why.
        cause: ProviderError,
    },
    /// The log could not be read or written.
    #[error("the delivery log is not available")]
    Log(#[from] LogError),
    /// There was no time left to begin or to end it.
    #[error("the function's time is used up")]
    OutOfTime,
}

impl DeliveryError {
    /// The `errorType` that an operator reads in the failure record.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "PermanentDelivery",
            _ => "TransientDelivery",
        }
    }
}

/// The delivery core. One per environment.
#[derive(Clone, Debug)]
pub struct Delivery {
    log: Log,
    provider: Provider,
    counter: Option<Counter>,
}

impl Delivery {
    /// From `DELIVERIES_TABLE`, `COUNT_DELIVERIES` and the [`Provider`]'s variables.
    pub fn start(mut settings: Settings, config: &SdkConfig) -> Result<Self, InvalidSettings> {
        let table = settings.required("DELIVERIES_TABLE");
        let counted = settings.optional("COUNT_DELIVERIES", false, "true or false", |_| true);
        let provider = Provider::read(&mut settings);
        let (table, provider) = settings.finish((table, provider))?;
        Ok(Self {
            counter: counted.then(|| Counter::new(config, table.clone())),
            log: Log::new(config, table, DELIVERY),
            provider,
        })
    }

    /// Delivers `envelope` unless it was delivered before. `time_left` is how long this environment can still run: no
    /// other takes the envelope over before that has passed.
    pub async fn deliver(
        &self,
        envelope: &Envelope,
        time_left: Duration,
    ) -> Result<Outcome, DeliveryError> {
        let lease = match self.log.claim(&envelope.id, "", time_left).await? {
            Claim::Mine(lease) => lease,
            Claim::Done(_) => {
                metrics::count(metrics::DUPLICATE);
                return Ok(Outcome::Duplicate);
            }
            Claim::Theirs | Claim::Different => {
                return Err(DeliveryError::InProgress(envelope.id.clone()));
            }
        };
        // The entry says what became of it: one that is cut off would be claimed until the function's time is over.
        let patience = time_left.saturating_sub(RESERVE).max(time_left / 2);
        let sent = tokio::time::timeout(patience, self.provider.send(envelope)).await;
        match sent.unwrap_or(Err(ProviderError::TimedOut(patience))) {
            Ok(()) => {
                self.log.complete(&lease, None).await?;
                if let Some(counter) = &self.counter {
                    counter.count().await;
                }
                metrics::count(metrics::DELIVERED);
                Ok(Outcome::Delivered)
            }
            Err(cause) => {
                metrics::count(metrics::DELIVERY_FAILED);
                self.log.fail(&lease, &cause.to_string()).await?;
                Err(DeliveryError::Provider {
                    id: envelope.id.clone(),
                    cause,
                })
            }
        }
    }
}
