//! `notifyUsers`: tells every subscriber of a trade of a leed, some at the same time, page after page.
//!
//! Each recipient has an entry of its own in the log of deliveries, `<leed>-<recipient>`. So one whom nobody could tell fails the
//! request, and its retry tells that one and nobody else.
//!
//! What does not fit the function's time is handed on to another invocation of the same function, once for each part.

use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Context;
use serde_json::{Value, json};

use super::request::{Call, NotifyUsers, request};
use super::{Controller, ControllerError};
use crate::deadline;
use crate::delivery::{DeliveryError, Outcome};
use crate::envelope::{Action, Envelope};
use crate::idempotency::{Claim, Kind};

/// Recipients that are told at the same time.
const AT_ONCE: usize = 8;

/// With less time left than this, no further page is begun.
const HAND_ON_BELOW: Duration = Duration::from_secs(15);

/// Parts that were handed on. Kept as long as a failure queue keeps what could hand them on again.
pub const PART: Kind = Kind {
    prefix: "PART",
    done: "HANDED_ON",
    kept: SignedDuration::from_hours(14 * 24),
};

/// How many were told, and who was not.
#[derive(Debug, Default)]
struct Tally {
    told: usize,
    duplicates: usize,
    failed: usize,
    first: Option<DeliveryError>,
}

impl Tally {
    fn add(&mut self, outcome: Result<Outcome, DeliveryError>) {
        match outcome {
            Ok(Outcome::Delivered) => self.told += 1,
            Ok(Outcome::Duplicate) => self.duplicates += 1,
            Err(error) => {
                self.failed += 1;
                self.first.get_or_insert(error);
            }
        }
    }

    fn finish(self, id: &str) -> Result<Value, ControllerError> {
        match self.first {
            None => Ok(json!({"notified": self.told, "duplicates": self.duplicates})),
            Some(cause) => Err(ControllerError::NotAllTold {
                id: id.to_owned(),
                failed: self.failed,
                all: self.told + self.duplicates + self.failed,
                cause,
            }),
        }
    }
}

impl Controller {
    /// Tells everybody, or as many as there is time for and hands the others on.
    pub(super) async fn notify_users(
        &self,
        told: &NotifyUsers,
        correlation_id: &str,
        context: &Context,
    ) -> Result<Value, ControllerError> {
        let mut tally = Tally::default();
        let mut after = told.after.clone();
        loop {
            let page = self
                .subscriptions
                .page(&told.leed.trade, after.as_deref())
                .await?;
            let others = page
                .recipients
                .iter()
                .filter(|one| **one != told.leed.seller);
            let now = Timestamp::now();
            let envelopes = others.map(|one| {
                let leed = told.leed.clone();
                Envelope::of_leed(Action::LeedOffered, leed, one.clone(), now, correlation_id)
            });
            let mut outcomes = stream::iter(envelopes)
                .map(async |envelope| self.deliver(&envelope, context).await)
                .buffer_unordered(AT_ONCE);
            while let Some(outcome) = outcomes.next().await {
                tally.add(outcome);
            }
            let Some(last) = page.next else {
                break;
            };
            if deadline::usable(context) < HAND_ON_BELOW {
                self.hand_on(told, last, correlation_id, context).await?;
                break;
            }
            after = Some(last);
        }
        tally.finish(&told.leed.id)
    }

    /// Hands on what comes after `last`, once: the retry of a part must get as far as its first attempt did, and no further.
    async fn hand_on(
        &self,
        told: &NotifyUsers,
        last: String,
        correlation_id: &str,
        context: &Context,
    ) -> Result<(), ControllerError> {
        let part = told.part + 1;
        let key = format!("{}-{part}", told.leed.id);
        let lease = match self
            .parts
            .claim(&key, "", deadline::time_left(context))
            .await?
        {
            Claim::Mine(lease) => lease,
            Claim::Done(Some(reached)) if reached <= last => return Ok(()),
            Claim::Done(_) | Claim::Theirs | Claim::Different => {
                return Err(ControllerError::OutOfTime(told.leed.id.clone()));
            }
        };
        let rest = Call::NotifyUsers(NotifyUsers {
            part,
            after: Some(last.clone()),
            ..told.clone()
        });
        let event = request(&rest, correlation_id).map_err(ControllerError::Write)?;
        let own = &context.env_config.function_name;
        if let Err(error) = self.invoker.tell(own, event.to_string()).await {
            self.parts.fail(&lease, &error.to_string()).await?;
            return Err(error.into());
        }
        self.parts.complete(&lease, Some(&last)).await?;
        tracing::info!(part, "handed the other subscribers on");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_who_was_not_told_fails_the_request() {
        let mut tally = Tally::default();
        tally.add(Ok(Outcome::Delivered));
        tally.add(Ok(Outcome::Duplicate));
        tally.add(Err(DeliveryError::InProgress("7-bob".to_owned())));
        tally.add(Err(DeliveryError::OutOfTime));
        let error = tally.finish("7").unwrap_err();
        assert_eq!(error.kind(), "NotAllTold");
        assert_eq!(
            error.to_string(),
            "2 of 4 recipients were not told of 7; the first because 7-bob is being delivered by another environment"
        );
        let mut tally = Tally::default();
        tally.add(Ok(Outcome::Delivered));
        let told = tally.finish("7").unwrap();
        assert_eq!(told, json!({"notified": 1, "duplicates": 0}));
    }
}
