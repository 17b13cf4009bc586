//! Whoever carries a notification to a person: simulated, with failures and latency that an operator chooses.

use std::time::Duration;

use serde::Serialize;

use crate::envelope::Envelope;
use crate::settings::Settings;

/// Why the provider did not take a notification.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProviderError {
    /// It was made to fail by `DELIVERY_FAIL_RATE`.
    #[error("the provider answered 503 (DELIVERY_FAIL_RATE is {0})")]
    Unavailable(f64),
    /// It holds the text of `DELIVERY_FAIL_MATCH`.
    #[error("the provider refused it (it holds {0:?}, which is DELIVERY_FAIL_MATCH)")]
    Matched(String),
    /// It did not answer while there was time.
    #[error("the provider did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
}

/// A provider that takes `DELIVERY_LATENCY_MS` for each notification, refuses a share `DELIVERY_FAIL_RATE` of them,
/// and all that hold the text `DELIVERY_FAIL_MATCH`.
#[derive(Clone, Debug)]
pub struct Provider {
    fail_rate: f64,
    fail_match: String,
    latency: Duration,
}

impl Provider {
    /// Reads the three variables; by default nothing fails and nothing takes time.
    pub fn read(settings: &mut Settings) -> Self {
        let fail_rate = settings.rate("DELIVERY_FAIL_RATE");
        let latency = settings.latency("DELIVERY_LATENCY_MS");
        let fail_match =
            settings.optional("DELIVERY_FAIL_MATCH", String::new(), "a text", |_| true);
        Self {
            fail_rate,
            fail_match,
            latency,
        }
    }

    /// Sends one notification; its id would go along as the provider's idempotency key.
    pub async fn send(&self, envelope: &Envelope) -> Result<(), ProviderError> {
        self.rehearse(envelope).await?;
        tracing::info!(
            eventId = envelope.id,
            action = envelope.action.word(),
            "notification delivered"
        );
        Ok(())
    }

    /// Takes the chosen time for `event`, and fails where that is chosen.
    pub async fn rehearse(&self, event: &impl Serialize) -> Result<(), ProviderError> {
        // A sleep of nothing still waits for the timer's next millisecond.
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        // `f64()` is below 1, so a rate of 1 always fails and a rate of 0 never does.
        if fastrand::f64() < self.fail_rate {
            return Err(ProviderError::Unavailable(self.fail_rate));
        }
        if !self.fail_match.is_empty() && holds(event, &self.fail_match) {
            return Err(ProviderError::Matched(self.fail_match.clone()));
        }
        Ok(())
    }
}

/// Whether the event's JSON holds `text`; what cannot be written holds nothing.
fn holds(event: &impl Serialize, text: &str) -> bool {
    serde_json::to_string(event).is_ok_and(|json| json.contains(text))
}
