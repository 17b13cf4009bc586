//! Delivers an envelope once, guarded by a log in DynamoDB.
//!
//! ```text
//! claim (conditional write) ──> send ──> record DELIVERED
//!        │                        └─ fails ──> record FAILED, error to the caller, who retries
//!        ├─ DELIVERED already: a duplicate, nothing is sent
//!        └─ claimed by another, lease still running: an error, so that it is retried later
//! ```
//!
//! This is at-least-once all the same: an environment that ends between sending and recording sends again when its lease
//! has run out. The envelope's id goes to the provider with the message, and closes that gap there.

use std::time::Duration;

use crate::aws;
use crate::envelope::Envelope;
use crate::settings::{InvalidSettings, Settings};

pub mod log;
pub mod provider;

use log::{Claim, DeliveryLog, LogError};
use provider::{Provider, ProviderError};

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
    Unreadable(#[from] serde_json::Error),
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
    /// There was no time left to begin.
    #[error("the function's time is used up")]
    OutOfTime,
    /// The code that delivered it panicked; its neighbours are not affected.
    #[error("delivery panicked")]
    Panicked,
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
    log: DeliveryLog,
    provider: Provider,
}

impl Delivery {
    /// From `DELIVERIES_TABLE`, `DELIVERY_FAIL_RATE` and `DELIVERY_LATENCY_MS`.
    pub async fn start(mut settings: Settings) -> Result<Self, InvalidSettings> {
        let table = settings.required("DELIVERIES_TABLE");
        let provider = Provider::read(&mut settings);
        let (table, provider) = settings.finish((table, provider))?;
        Ok(Self {
            log: DeliveryLog::new(&aws::config().await, table),
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
        match self.log.claim(&envelope.id, time_left).await? {
            Claim::Mine => {}
            Claim::Delivered => return Ok(Outcome::Duplicate),
            Claim::Theirs => return Err(DeliveryError::InProgress(envelope.id.clone())),
        }
        match self.provider.send(envelope).await {
            Ok(()) => {
                self.log.delivered(&envelope.id).await?;
                Ok(Outcome::Delivered)
            }
            Err(cause) => {
                self.log.failed(&envelope.id, &cause).await?;
                Err(DeliveryError::Provider {
                    id: envelope.id.clone(),
                    cause,
                })
            }
        }
    }
}
