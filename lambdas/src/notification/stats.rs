//! `GET /notifications/stats`: what waits, what is on its way, what arrived, and what needs an operator.

use aws_config::SdkConfig;
use aws_sdk_sqs::types::QueueAttributeName;
use futures::future::try_join_all;
use lambda_http::http::StatusCode;
use serde_json::json;

use super::store::NotificationStore;
use crate::http::{Outcome, Refusal, answer};
use crate::settings::Settings;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Queues {
    work: Vec<String>,
    dead_letters: Vec<String>,
}

impl Queues {
    /// From `NOTIFICATION_QUEUE_URL`, `PRIORITY_QUEUE_URL`, and `DEAD_LETTER_QUEUE_URLS` (separated by spaces).
    pub fn read(settings: &mut Settings) -> Self {
        let work = ["NOTIFICATION_QUEUE_URL", "PRIORITY_QUEUE_URL"];
        let dead_letters = settings.required("DEAD_LETTER_QUEUE_URLS");
        Self {
            work: work.map(|name| settings.required(name)).to_vec(),
            dead_letters: dead_letters.split_whitespace().map(str::to_owned).collect(),
        }
    }
}

/// Messages of a queue, approximately as SQS counts them.
#[derive(Clone, Copy, Debug, Default)]
struct Depth {
    waiting: u64,
    in_flight: u64,
}

/// Asks the queues.
#[derive(Clone, Debug)]
pub struct Stats {
    client: aws_sdk_sqs::Client,
    queues: Queues,
}

impl Stats {
    /// Asks `queues`.
    #[must_use]
    pub fn new(config: &SdkConfig, queues: Queues) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(config),
            queues,
        }
    }

    /// `completed` is counted since the table was made; the others are as they are now.
    pub async fn answer(&self, store: &NotificationStore) -> Outcome {
        let what = "Failed to retrieve the figures";
        let of = |urls| async move {
            try_join_all(self.depths(urls))
                .await
                .map_err(|error| Refusal::failed(what, error))
        };
        let completed = async {
            store
                .delivered()
                .await
                .map_err(|error| Refusal::failed(what, error))
        };
        let (work, dead, completed) = futures::try_join!(
            of(&self.queues.work),
            of(&self.queues.dead_letters),
            completed
        )?;
        let sum = |depths: &[Depth], figure: fn(&Depth) -> u64| -> u64 {
            depths.iter().map(figure).sum()
        };
        answer(
            StatusCode::OK,
            &json!({
                "waiting": sum(&work, |depth| depth.waiting),
                "active": sum(&work, |depth| depth.in_flight),
                "completed": completed,
                "failed": sum(&dead, |depth| depth.waiting + depth.in_flight),
            }),
        )
    }

    /// Whether the queues can be asked.
    pub async fn is_there(&self) -> bool {
        try_join_all(self.depths(&self.queues.work)).await.is_ok()
    }

    fn depths<'a>(
        &'a self,
        urls: &'a [String],
    ) -> impl Iterator<Item = impl Future<Output = Result<Depth, aws_sdk_sqs::Error>> + 'a> {
        urls.iter().map(|url| self.depth(url))
    }

    async fn depth(&self, url: &str) -> Result<Depth, aws_sdk_sqs::Error> {
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesDelayed)
            .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await?;
        let figure = |name| -> u64 {
            answer
                .attributes
                .as_ref()
                .and_then(|given| given.get(&name)?.parse().ok())
                .unwrap_or(0)
        };
        Ok(Depth {
            waiting: figure(QueueAttributeName::ApproximateNumberOfMessages)
                + figure(QueueAttributeName::ApproximateNumberOfMessagesDelayed),
            in_flight: figure(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        })
    }
}
