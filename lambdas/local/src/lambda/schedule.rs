//! Functions that are invoked by the clock, the emulator's: asynchronously, as `EventBridge` does it
//! (Amazon `EventBridge` Scheduler user guide, "Rate-based schedules"; without an input the target gets a default event).

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::environment::Invocation;
use super::{Lambda, invoke};
use crate::account::{ACCOUNT_ID, REGION};

/// How often, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// The first invocation comes after it, too.
    pub every: Duration,
    /// The event, as JSON; without it a default one that tells the time.
    pub input: Option<String>,
    /// `aws.scheduler` or `aws.events`.
    pub source: &'static str,
}

impl Lambda {
    /// Invokes the function by the clock until the emulator stops. When the clock is moved across several times at once, there is
    /// one invocation.
    pub(crate) fn run_by_clock(&self, name: String, schedule: Schedule) {
        let lambda = self.clone();
        self.spawn(async move {
            loop {
                lambda.inner.parts.clock.sleep(schedule.every).await;
                if let Err(error) = lambda.accept(&name, lambda.tick(&schedule)) {
                    tracing::info!(function = name, %error, "no longer invoked by the clock");
                    return;
                }
            }
        });
    }

    fn tick(&self, schedule: &Schedule) -> Invocation {
        let now = self.inner.parts.clock.now();
        let request_id = uuid::Uuid::new_v4().to_string();
        let payload = match &schedule.input {
            Some(input) => Bytes::from(input.clone()),
            None => Bytes::from(
                json!({
                    "version": "0",
                    "id": request_id,
                    "detail-type": "Scheduled Event",
                    "source": schedule.source,
                    "account": ACCOUNT_ID,
                    "time": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
                    "region": REGION,
                    "resources": [],
                    "detail": {},
                })
                .to_string(),
            ),
        };
        Invocation {
            request_id,
            trace_id: invoke::trace_id(now.as_second()),
            client_context: None,
            payload,
        }
    }
}
