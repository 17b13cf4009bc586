//! One emulator for all cases, each with queues of its own; or the place that the environment names.

use std::{
    path::Path,
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    types::{Message, MessageSystemAttributeName, QueueAttributeName},
};
use patterns_local::{Local, Options};
use serde_json::json;
use tempfile::TempDir;

use super::cloud::{self, Cloud};

/// The URL of the one emulator. It runs on a thread of its own, because every case brings and ends its own runtime.
pub fn emulator() -> &'static str {
    static ENDPOINT: OnceLock<String> = OnceLock::new();
    ENDPOINT.get_or_init(|| {
        let (started, endpoint) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let local = start(Path::new(env!("CARGO_TARGET_TMPDIR")), false).await;
                started.send(local.endpoint_url.clone()).unwrap();
                std::future::pending::<()>().await;
            });
        });
        endpoint.recv().unwrap()
    })
}

/// An emulator whose files are in `dir`, with or without the path for tests.
async fn start(dir: &Path, admin: bool) -> Local {
    let local = Local::start(Options {
        admin,
        ..cloud::options(1, dir.to_owned())
    })
    .await;
    local.unwrap_or_else(|error| panic!("{error}"))
}

/// An emulator for one case, whose faults, clock and witness are the case's own.
pub struct Steered {
    pub bench: Bench,
    pub local: Local,
    _dir: TempDir,
}

impl Steered {
    /// None where the cases run elsewhere.
    pub async fn start() -> Option<Self> {
        if cloud::leaves_out("it steers the emulator by a path that is not AWS's") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let local = start(dir.path(), true).await;
        Some(Self {
            bench: Bench::of(Cloud::ours(&local.endpoint_url)),
            local,
            _dir: dir,
        })
    }

    /// Calls the path for tests; answers status and text.
    pub async fn admin(&self, method: reqwest::Method, path: &str, body: &str) -> (u16, String) {
        let url = format!("{}/_patterns/{path}", self.local.endpoint_url);
        let request = reqwest::Client::new().request(method, url);
        let answer = request.body(body.to_owned()).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Lets this happen from now on, instead of what was set before.
    pub async fn faults(&self, rules: serde_json::Value) {
        let body = json!({ "seed": 1, "rules": rules }).to_string();
        let (status, text) = self.admin(reqwest::Method::PUT, "faults", &body).await;
        assert_eq!(status, 200, "{text}");
    }

    pub async fn advance(&self, by: Duration) {
        let body = json!({ "advance_ms": by.as_millis() }).to_string();
        let (status, text) = self.admin(reqwest::Method::POST, "clock", &body).await;
        assert_eq!(status, 200, "{text}");
    }
}

pub struct Bench {
    pub sqs: Client,
    pub cloud: Cloud,
}

/// A queue of one case.
#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    pub url: String,
    pub arn: String,
}

impl Bench {
    pub async fn new() -> Self {
        Self::of(match Cloud::elsewhere().await {
            Some(cloud) => cloud,
            None => Cloud::ours(emulator()),
        })
    }

    fn of(cloud: Cloud) -> Self {
        Self {
            sqs: Client::new(&cloud.config),
            cloud,
        }
    }

    /// Creates a queue. A FIFO queue's name ends with `.fifo`.
    pub async fn queue(&self, name: &str, attributes: &[(QueueAttributeName, &str)]) -> Queue {
        let name = self.cloud.name(name);
        let mut request = self.sqs.create_queue().queue_name(&name);
        if is_fifo(&name) {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), *value);
        }
        Queue {
            url: request.send().await.unwrap().queue_url.unwrap(),
            arn: self.cloud.arn("sqs", &name),
            name,
        }
    }

    /// Creates a queue and its dead-letter queue, to which messages go after one receive.
    pub async fn queue_with_dead_letters(&self, name: &str) -> (Queue, Queue) {
        let dead = match name.strip_suffix(".fifo") {
            Some(stem) => self.queue(&format!("{stem}-dlq.fifo"), &[]).await,
            None => self.queue(&format!("{name}-dlq"), &[]).await,
        };
        let policy = redrive_policy(&dead, 1);
        let source = self
            .queue(name, &[(QueueAttributeName::RedrivePolicy, &policy)])
            .await;
        (source, dead)
    }

    /// Sends and answers the message id.
    pub async fn send(&self, queue: &Queue, body: &str) -> String {
        let request = self.sqs.send_message().queue_url(&queue.url);
        let sent = request.message_body(body).send().await.unwrap();
        sent.message_id.unwrap()
    }

    /// Sends to a FIFO queue; the body is the deduplication id.
    pub async fn send_in(&self, queue: &Queue, group: &str, body: &str) -> String {
        let request = self.sqs.send_message().queue_url(&queue.url);
        let request = request
            .message_group_id(group)
            .message_deduplication_id(body);
        let sent = request.message_body(body).send().await.unwrap();
        sent.message_id.unwrap()
    }

    /// What can be received now, at most ten, with everything that can be shown.
    pub async fn receive(&self, queue: &Queue, visibility_seconds: i32) -> Vec<Message> {
        let request = self.sqs.receive_message().queue_url(&queue.url);
        let output = request
            .max_number_of_messages(10)
            .visibility_timeout(visibility_seconds)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .send()
            .await
            .unwrap();
        output.messages.unwrap_or_default()
    }

    pub async fn receive_one(&self, queue: &Queue, visibility_seconds: i32) -> Message {
        let mut messages = self.receive(queue, visibility_seconds).await;
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    pub async fn delete(&self, queue: &Queue, message: &Message) {
        let request = self.sqs.delete_message().queue_url(&queue.url);
        let request = request.receipt_handle(message.receipt_handle().unwrap());
        request.send().await.unwrap();
    }

    pub async fn make_visible(&self, queue: &Queue, message: &Message) {
        let request = self.sqs.change_message_visibility().queue_url(&queue.url);
        let request = request.receipt_handle(message.receipt_handle().unwrap());
        request.visibility_timeout(0).send().await.unwrap();
    }

    pub async fn attribute(&self, queue: &Queue, name: QueueAttributeName) -> String {
        let request = self.sqs.get_queue_attributes().queue_url(&queue.url);
        let output = request.attribute_names(name.clone()).send().await.unwrap();
        output.attributes.unwrap()[&name].clone()
    }

    /// Messages that are visible and in flight.
    pub async fn depth(&self, queue: &Queue) -> (u32, u32) {
        let visible = QueueAttributeName::ApproximateNumberOfMessages;
        let in_flight = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        (
            self.attribute(queue, visible).await.parse().unwrap(),
            self.attribute(queue, in_flight).await.parse().unwrap(),
        )
    }

    /// Sends messages to `source` and lets its redrive policy move them.
    pub async fn let_die(&self, source: &Queue, bodies: &[&str]) -> Vec<String> {
        let mut ids = Vec::new();
        for body in bodies {
            ids.push(if is_fifo(&source.name) {
                self.send_in(source, "group", body).await
            } else {
                self.send(source, body).await
            });
        }
        assert_eq!(self.receive(source, 0).await.len(), bodies.len());
        assert!(self.receive(source, 0).await.is_empty());
        ids
    }
}

fn is_fifo(name: &str) -> bool {
    name.strip_suffix(".fifo").is_some()
}

pub fn redrive_policy(dead: &Queue, max_receive_count: u32) -> String {
    json!({ "deadLetterTargetArn": dead.arn, "maxReceiveCount": max_receive_count }).to_string()
}

pub fn system(message: &Message, name: &MessageSystemAttributeName) -> Option<String> {
    message.attributes.as_ref()?.get(name).cloned()
}

pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

/// Code and message of the error that a call must answer with.
#[track_caller]
pub fn refused<T, E: ProvideErrorMetadata>(result: Result<T, E>) -> (String, String) {
    let error = result.err().unwrap();
    (
        error.code().unwrap().to_owned(),
        error.message().unwrap_or_default().to_owned(),
    )
}

/// Waits until `condition` gives something.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut condition: impl FnMut() -> F,
) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            since.elapsed() < cloud::patience(),
            "waited in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
