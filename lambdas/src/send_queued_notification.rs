//! Delivers events from a queue.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use lambda_runtime::Error;
use tracing::Instrument;

use crate::aws;
use crate::delivery::{Delivery, DeliveryError};
use crate::envelope::{Arrived, Envelope};
use crate::function::Function;
use crate::queue::{self, Failed};
use crate::settings::Settings;

/// Takes batches until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What takes them.
pub fn function(config: &SdkConfig) -> Result<impl Function<SqsEvent> + use<>, Error> {
    let mut settings = Settings::default();
    let queue_url = settings.required("NOTIFICATION_QUEUE_URL");
    let delivery = Delivery::start(settings, config)?;
    Ok(queue::function(
        config,
        queue_url,
        async move |record: &SqsMessage, time_left| deliver(&delivery, record, time_left).await,
    ))
}

impl From<DeliveryError> for Failed {
    fn from(error: DeliveryError) -> Self {
        let is_leased = matches!(error, DeliveryError::InProgress(_));
        Self::new(error.kind(), error).leased(is_leased)
    }
}

async fn deliver(
    delivery: &Delivery,
    record: &SqsMessage,
    time_left: Duration,
) -> Result<(), Failed> {
    let attribute = |name: &str| record.message_attributes.get(name)?.string_value.as_deref();
    let arrived = Arrived {
        event: attribute("event"),
        correlation_id: attribute("correlationId"),
        request_id: record.message_id.as_deref().unwrap_or_default(),
    };
    let body = record.body.as_deref().unwrap_or_default();
    let envelope = Envelope::read(body.as_bytes(), arrived).map_err(DeliveryError::from)?;
    let span = tracing::info_span!(
        "event",
        correlationId = envelope.correlation_id,
        eventId = envelope.id
    );
    delivery
        .deliver(&envelope, time_left)
        .instrument(span)
        .await?;
    Ok(())
}
