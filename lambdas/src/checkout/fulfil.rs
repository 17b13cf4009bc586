//! `fulfil-orders`: does from a queue what orders wait for: settles payments that nobody knows of, takes goods from the stock, pays
//! back. A message only says which order waits for what; the order itself says whether it still does.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use lambda_runtime::Error;

use super::order::Job;
use super::saga::{Names, Saga, SagaError};
use super::state::Work;
use crate::aws;
use crate::queue::{self, Failed};
use crate::settings::Settings;
use crate::table::TableError;
use crate::target::Caller;
use crate::unreadable::{self, Unreadable};

/// Why a message's work was not done.
#[derive(Debug, thiserror::Error)]
enum FulfilError {
    /// No retry will change it.
    #[error("the message cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
    /// Nor this.
    #[error("there is no order {0}")]
    Unknown(String),
    #[error(transparent)]
    Saga(#[from] SagaError),
    #[error("it is not known yet whether order {0} is charged")]
    Unsettled(String),
}

impl From<TableError> for FulfilError {
    fn from(error: TableError) -> Self {
        Self::Saga(error.into())
    }
}

impl From<FulfilError> for Failed {
    fn from(error: FulfilError) -> Self {
        let kind = match error {
            FulfilError::Unreadable(_) | FulfilError::Unknown(_) => "PermanentOrder",
            FulfilError::Saga(_) | FulfilError::Unsettled(_) => "TransientOrder",
        };
        Self::new(kind, error)
    }
}

/// Takes batches until the environment ends.
pub async fn run() -> Result<(), Error> {
    let mut settings = Settings::default();
    let names = Names::read(&mut settings);
    let names = settings.finish(names)?;
    let queue_url = names.job_queue_url.clone();
    let config = aws::config();
    let caller = Caller::new(&config)?;
    let saga =
        Saga::new(&config, caller, names, "fulfil-orders").ok_or("PAYMENT_TARGET is not set")?;
    let handle =
        async move |record: &SqsMessage, time_left| Ok(fulfil(&saga, record, time_left).await?);
    lambda_runtime::run(queue::function(&config, queue_url, handle)).await
}

async fn fulfil(saga: &Saga, record: &SqsMessage, time_left: Duration) -> Result<(), FulfilError> {
    let body = record.body.as_deref().unwrap_or_default();
    let job: Job = unreadable::object(body.as_bytes())?;
    let order = saga.store.get(&job.order_id).await?;
    let order = order.ok_or_else(|| FulfilError::Unknown(job.order_id.clone()))?;
    if order.state.work() != Some(job.action) {
        tracing::info!(
            orderId = job.order_id,
            action = job.action.word(),
            "an order does not wait for this any more"
        );
        return Ok(());
    }
    let time_left = time_left.saturating_sub(queue::RESERVE);
    let order = saga.work(order, time_left).await?;
    if order.state.work() == Some(Work::SettlePayment) {
        return Err(FulfilError::Unsettled(job.order_id));
    }
    Ok(())
}
