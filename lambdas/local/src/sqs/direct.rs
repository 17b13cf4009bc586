//! SQS for the other services of the emulator: the same operations by queue ARN, without a protocol in between.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Outgoing, Received, Sqs, name_in_arn,
    queues::{check_target, named},
    receive::Take,
    refusal,
};
use crate::error::AwsError;

impl Sqs {
    /// Makes a queue as a template describes it, of which one that exists keeps its messages; what is not named has its default.
    /// Returns its URL.
    pub fn declare_queue(
        &self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        tags: BTreeMap<String, String>,
    ) -> Result<String, AwsError> {
        let settings = named(name, attributes)?;
        let now = self.now();
        let mut queues = self.lock();
        check_target(&queues, name, &settings)?;
        let hosted = queues
            .hosted
            .entry(name.to_owned())
            .or_insert_with(|| self.new_queue(name, settings.clone(), BTreeMap::new(), now));
        hosted.tags = tags;
        if *hosted.queue.settings() != settings {
            hosted.configure(now, settings);
        }
        Ok(self.url(name))
    }

    /// All attributes of a queue, as `GetQueueAttributes` names them.
    pub fn attributes(&self, queue_arn: &str) -> Result<BTreeMap<String, String>, AwsError> {
        self.shown(known(queue_arn)?)
    }

    /// Sends a message and returns its id.
    pub fn send(&self, queue_arn: &str, message: Outgoing) -> Result<String, AwsError> {
        self.send_to(known(queue_arn)?, message)
    }

    /// Receives up to `max` messages for the queue's own visibility timeout. Waits up to `wait` for the first one, and wakes
    /// as soon as it is there.
    pub async fn receive(
        &self,
        queue_arn: &str,
        max: usize,
        wait: Duration,
    ) -> Result<Vec<Received>, AwsError> {
        let take = Take {
            max,
            visibility_seconds: None,
            attempt: None,
        };
        self.take(known(queue_arn)?, take, wait).await
    }

    /// Deletes messages; old handles delete nothing, which is an error in a FIFO queue only. All are tried, and the first error is
    /// returned.
    pub fn delete(&self, queue_arn: &str, receipt_handles: &[String]) -> Result<(), AwsError> {
        let name = known(queue_arn)?;
        let outcomes = receipt_handles
            .iter()
            .map(|handle| self.delete_from(name, handle));
        let (mut deletes, mut outcome) = (0, Ok(()));
        for deleted in outcomes {
            deletes += usize::from(deleted.is_ok());
            outcome = outcome.and(deleted);
        }
        self.count_deletes(name, deletes);
        outcome
    }

    /// Makes received messages visible again at once.
    pub fn release(&self, queue_arn: &str, receipt_handles: &[String]) -> Result<(), AwsError> {
        let name = known(queue_arn)?;
        receipt_handles
            .iter()
            .try_for_each(|handle| self.change_in(name, handle, 0))
    }
}

fn known(queue_arn: &str) -> Result<&str, AwsError> {
    name_in_arn(queue_arn).ok_or_else(refusal::queue_does_not_exist)
}
