//! Brings orders from state to state. Each step is one write: the order's new state, if it is still in the old one, with what it
//! takes from the stock, the work that the new state needs, and the mail. Whoever ends half-way leaves an order whose work is in
//! the outbox or in the queue, and whoever does it again changes nothing that is done.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::types::TransactWriteItem;
use jiff::Timestamp;

use super::mail;
use super::order::{Job, Order};
use super::payments::{Payments, RefundError};
use super::state::{Event, Step, Work};
use super::store::OrderStore;
use crate::notifier::{Choice, Notifier};
use crate::outbox::{Outbox, Pending};
use crate::settings::Settings;
use crate::table::TableError;
use crate::target::{Caller, Target};
use crate::transaction::Written;

/// Why an order's work was not done. It can be tried again.
#[derive(Debug, thiserror::Error)]
pub enum SagaError {
    /// The tables cannot be read or written.
    #[error("the order cannot be read or written")]
    Store(#[from] TableError),
    /// The provider did not pay back.
    #[error("the order is not paid back")]
    Refund(#[from] RefundError),
}

/// The variables of a [`Saga`].
pub struct Names {
    orders: String,
    products: String,
    jobs: String,
    /// Where the queue of work is.
    pub job_queue_url: String,
    mails: String,
    mail_queue_url: String,
    payment: Option<Target>,
}

impl Names {
    /// Reads them.
    pub fn read(settings: &mut Settings) -> Self {
        Self {
            orders: settings.required("ORDERS_TABLE"),
            products: settings.required("PRODUCTS_TABLE"),
            jobs: settings.required("CHECKOUT_OUTBOX_TABLE"),
            job_queue_url: settings.required("CHECKOUT_QUEUE_URL"),
            mails: settings.required("OUTBOX_TABLE"),
            mail_queue_url: settings.required("NOTIFICATION_QUEUE_URL"),
            payment: Target::read(settings, "PAYMENT_TARGET"),
        }
    }
}

/// Everything that an order goes through.
#[derive(Clone, Debug)]
pub struct Saga {
    /// The orders.
    pub store: OrderStore,
    payments: Payments,
    jobs: Outbox,
    mails: Outbox,
    /// The function that tells.
    source: &'static str,
}

impl Saga {
    /// In the function called `source`. `None` where there is no payment provider.
    #[must_use]
    pub fn new(
        config: &SdkConfig,
        caller: Caller,
        names: Names,
        source: &'static str,
    ) -> Option<Self> {
        let outbox = |table, queue_url| {
            let notifier = Notifier::new(Choice::Sqs(queue_url, None), config);
            Outbox::new(config, table, notifier)
        };
        Some(Self {
            store: OrderStore::new(config, names.orders, names.products),
            payments: Payments::new(caller, names.payment?),
            jobs: outbox(names.jobs, names.job_queue_url),
            mails: outbox(names.mails, names.mail_queue_url),
            source,
        })
    }

    /// Stores a new order. Its first work stays in the outbox: the caller does it at once, and if it ends before that, the sweep
    /// finds it. `false` when there is an order of that id already.
    pub async fn place(&self, order: &Order) -> Result<bool, TableError> {
        let job = job(order)?;
        let told = job.iter().map(|job| self.jobs.keep(job));
        let told = told.collect::<Result<_, _>>()?;
        Ok(self.store.create(order, told).await? == Written::Yes)
    }

    /// Does what `order` waits for, and answers with the order after it; as it was, if nothing came of it or another was faster.
    pub async fn work(&self, order: Order, time_left: Duration) -> Result<Order, SagaError> {
        match order.state.work() {
            Some(Work::SettlePayment) => {
                let event = self.payments.charge(&order, time_left).await;
                Ok(self.step(order, event).await?)
            }
            Some(Work::ReserveStock) => {
                let paid = order.state;
                let order = self.step(order, Event::Reserved).await?;
                // Not taken because there was not enough, or because another has brought the order on: then this does nothing.
                if order.state == paid {
                    return Ok(self.step(order, Event::OutOfStock).await?);
                }
                Ok(order)
            }
            Some(Work::Refund) => {
                self.payments.refund(&order, time_left).await?;
                Ok(self.step(order, Event::Refunded).await?)
            }
            None => Ok(order),
        }
    }

    /// Writes what follows from `event`, and hands over what it needs next.
    async fn step(&self, before: Order, event: Event) -> Result<Order, TableError> {
        let Some(Step { to, mail }) = before.state.on(event) else {
            return Ok(before);
        };
        let now = Timestamp::now();
        let after = Order {
            state: to,
            updated_at: now,
            ..before.clone()
        };
        let (done, next) = (job(&before)?, job(&after)?);
        let mail = mail.map(|mail| mail::envelope(mail, &after, self.source, now));
        let mail = mail.as_ref().map(Pending::of).transpose()?;
        let along = self.along(event, &before, done.as_ref(), next.as_ref(), mail.as_ref())?;
        if self.store.change(&before, to, now, along).await? == Written::Conflict {
            return Ok(before);
        }
        tracing::info!(
            orderId = after.id,
            from = before.state.word(),
            to = to.word(),
            "an order went on"
        );
        if let Some(next) = &next {
            self.jobs.hand_over(next).await;
        }
        if let Some(mail) = &mail {
            self.mails.hand_over(mail).await;
        }
        Ok(after)
    }

    /// What is written together with an order's new state.
    fn along(
        &self,
        event: Event,
        before: &Order,
        done: Option<&Pending>,
        next: Option<&Pending>,
        mail: Option<&Pending>,
    ) -> Result<Vec<TransactWriteItem>, TableError> {
        let mut along = Vec::new();
        if event == Event::Reserved {
            along.push(self.store.take(before)?);
        }
        // Where it waits for the same as before, that is in the outbox already or on its way.
        if done.map(|job| &job.id) != next.map(|job| &job.id) {
            along.extend(done.map(|job| self.jobs.forget(job)).transpose()?);
            along.extend(next.map(|job| self.jobs.keep(job)).transpose()?);
        }
        along.extend(mail.map(|mail| self.mails.keep(mail)).transpose()?);
        Ok(along)
    }
}

/// What an order waits for, as an event.
fn job(order: &Order) -> Result<Option<Pending>, serde_json::Error> {
    let Some(job) = Job::of(order) else {
        return Ok(None);
    };
    Pending::new(
        job.id.clone(),
        job.action.word(),
        &order.correlation_id,
        &job,
    )
    .map(Some)
}
