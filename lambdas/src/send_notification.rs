//! Delivers one event that another function handed over by asynchronous invocation. An error lets Lambda retry, and after
//! the last attempt the event goes to the failure queue with this error in its record.

use std::sync::Arc;

use aws_config::SdkConfig;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::{Instrument, Span};

use crate::aws;
use crate::deadline;
use crate::delivery::{Delivery, DeliveryError, Outcome};
use crate::envelope::{Arrived, Envelope};
use crate::function::Function;
use crate::settings::Settings;

/// Takes events until the environment ends.
pub async fn run() -> Result<(), Error> {
    lambda_runtime::run(function(&aws::config())?).await
}

/// What takes them.
pub fn function(config: &SdkConfig) -> Result<impl Function<Box<RawValue>> + use<>, Error> {
    let delivery = Arc::new(Delivery::start(Settings::default(), config)?);
    Ok(service_fn(move |event: LambdaEvent<Box<RawValue>>| {
        let delivery = Arc::clone(&delivery);
        // Until the event is read, it is known by the invocation.
        let span = tracing::info_span!(
            "event",
            correlationId = event.context.request_id,
            eventId = tracing::field::Empty
        );
        let delivered = async move {
            deliver(&delivery, &event).await.map_err(|error| {
                tracing::error!(cause = format!("{error:?}"), "{error}");
                Diagnostic {
                    error_type: error.kind().to_owned(),
                    error_message: error.to_string(),
                }
            })
        };
        delivered.instrument(span)
    }))
}

/// Delivers one event, and names it in the span around.
async fn deliver(
    delivery: &Delivery,
    event: &LambdaEvent<Box<RawValue>>,
) -> Result<Value, DeliveryError> {
    let time_left = deadline::time_left(&event.context);
    let arrived = Arrived {
        request_id: &event.context.request_id,
        ..Arrived::default()
    };
    let envelope = Envelope::read(event.payload.get().as_bytes(), arrived)?;
    let span = Span::current();
    span.record("correlationId", &envelope.correlation_id);
    span.record("eventId", &envelope.id);
    let outcome = delivery.deliver(&envelope, time_left).await?;
    Ok(json!({"delivered": true, "duplicate": outcome == Outcome::Duplicate}))
}
