//! `sweep-outbox`: hands over what stayed behind in the outbox. Runs every minute, whatever event it gets.

use futures::{StreamExt, stream};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

use super::Outbox;
use crate::aws;
use crate::deadline;
use crate::notifier::{Choice, Notifier};
use crate::settings::Settings;
use crate::table::TableError;

/// Events that are handed over at the same time.
const AT_ONCE: usize = 8;

/// Runs until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let table = settings.required("OUTBOX_TABLE");
    let choice = Choice::read(&mut settings);
    let (table, choice) = settings.finish((table, choice))?;
    let choice = choice.ok_or("no notifier is chosen")?;
    let config = aws::config();
    let outbox = &Outbox::new(&config, table, Notifier::new(choice, &config));
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| async move {
        let usable = deadline::usable(&event.context);
        match tokio::time::timeout(usable, sweep(outbox)).await {
            Ok(swept) => swept.map_err(|error| {
                tracing::error!(cause = format!("{error:?}"), "{error}");
                Error::from(error)
            }),
            // What is left has another minute's turn.
            Err(_) => Ok(json!({"complete": false})),
        }
    }))
    .await
}

/// Hands over page after page. Ends early when nothing of a page went: the way is closed then, and the next minute is another try.
async fn sweep(outbox: &Outbox) -> Result<Value, TableError> {
    let (mut handed_over, mut failed) = (0_u32, 0_u32);
    let mut from = None;
    loop {
        let (pending, next) = outbox.left_behind(from).await?;
        let mut went = 0;
        let mut outcomes = stream::iter(&pending)
            .map(|pending| outbox.hand_over(pending))
            .buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            if outcome {
                went += 1;
            } else {
                failed += 1;
            }
        }
        handed_over += went;
        from = next;
        if from.is_none() || (went == 0 && !pending.is_empty()) {
            if handed_over + failed > 0 {
                tracing::info!(handedOver = handed_over, failed, "swept the outbox");
            }
            return Ok(
                json!({"complete": failed == 0, "handedOver": handed_over, "failed": failed}),
            );
        }
    }
}
