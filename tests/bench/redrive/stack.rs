//! The account that everything is measured in: patterns-local with its path for tests, one queue and its dead-letter queue.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use aws_sdk_sqs::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{QueueAttributeName, SendMessageBatchRequestEntry},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use serde_json::{Value, json};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_patterns-local");

/// The queue that events go back to.
pub const SOURCE: &str = "orders";
/// Where they failed to.
pub const DEAD: &str = "orders-dlq";

/// Bytes of a message.
const BODY: usize = 256;

/// The calls that move a message; what else a program asks is not about messages.
const MOVING: [&str; 7] = [
    "ReceiveMessage",
    "SendMessage",
    "SendMessageBatch",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
];

/// Longer than anything here hides a message, and longer than SQS wants between two purges.
const ALL_VISIBLE_MS: u64 = 700_000;

pub struct Stack {
    pub endpoint_url: String,
    pub sqs: Client,
    pub source_url: String,
    pub dead_url: String,
    http: reqwest::Client,
    /// Bytes of the witness that are about earlier turns.
    read: usize,
    filled: u32,
    child: Child,
}

/// A line of the witness.
#[derive(Deserialize)]
pub struct Line {
    pub event: String,
    pub queue: Option<String>,
    pub message_id: Option<String>,
    /// MD5 sum.
    pub body: Option<String>,
}

pub fn client(endpoint_url: &str, attempts: u32) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "bench"))
        .retry_config(RetryConfig::standard().with_max_attempts(attempts))
        .endpoint_url(endpoint_url)
        .build();
    Client::from_conf(config)
}

pub fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{queue}")
}

impl Stack {
    pub async fn start() -> Result<Self> {
        let mut child = Command::new(PROGRAM)
            .args(["--headless", "--port", "0", "--admin", "--no-daemon"])
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("patterns-local said it was ready with {line:?}"))?;
        let endpoint_url = ready
            .pointer("/endpoint_url")
            .and_then(Value::as_str)
            .context("no endpoint_url")?
            .to_owned();
        let mut stack = Self {
            sqs: client(&endpoint_url, 3),
            endpoint_url,
            source_url: String::new(),
            dead_url: String::new(),
            http: reqwest::Client::builder().no_proxy().build()?,
            read: 0,
            filled: 0,
            child,
        };
        stack.create_queues().await?;
        Ok(stack)
    }

    async fn create_queues(&mut self) -> Result<()> {
        let create = |name: &str| self.sqs.create_queue().queue_name(name);
        let dead = create(DEAD).send().await?;
        let policy = json!({ "deadLetterTargetArn": arn(DEAD), "maxReceiveCount": 3 });
        let source = create(SOURCE)
            .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
            .send()
            .await?;
        self.dead_url = dead.queue_url.context("no queue URL")?;
        self.source_url = source.queue_url.context("no queue URL")?;
        Ok(())
    }

    /// Ends what was, and puts so many new messages into the dead-letter queue, each with a body of its own.
    pub async fn fill(&mut self, messages: usize) -> Result<()> {
        self.rules(json!([])).await?;
        self.pass(ALL_VISIBLE_MS).await?;
        for url in [&self.source_url, &self.dead_url] {
            self.sqs.purge_queue().queue_url(url).send().await?;
        }
        self.read = self.witness().await?.len();
        self.filled += 1;
        let body = |n: usize| format!("{}-{n:-<BODY$}", self.filled);
        let numbers: Vec<_> = (0..messages).collect();
        stream::iter(numbers.chunks(10))
            .map(|numbers| {
                let mut send = self.sqs.send_message_batch().queue_url(&self.dead_url);
                for n in numbers {
                    let entry = SendMessageBatchRequestEntry::builder().id(n.to_string());
                    send = send.entries(entry.message_body(body(*n)).build()?);
                }
                Ok(send)
            })
            .try_for_each_concurrent(16, |send| async {
                let sent = send.send().await?;
                ensure!(sent.failed.is_empty(), "the queue took not all messages");
                anyhow::Ok(())
            })
            .await
    }

    /// Lets this happen to calls from now on, and counts them anew.
    pub async fn strike(&self, faults: &[Value]) -> Result<()> {
        let mut rules: Vec<_> = MOVING
            .iter()
            .map(|operation| {
                json!({ "service": "sqs", "operation": operation, "share": 0,
                        "fault": { "kind": "delay", "ms": 0 } })
            })
            .collect();
        rules.extend_from_slice(faults);
        self.rules(json!(rules)).await
    }

    async fn rules(&self, rules: Value) -> Result<()> {
        let body = json!({ "seed": 1, "rules": rules }).to_string();
        let put = self.http.put(self.admin("faults")).body(body);
        put.send().await?.error_for_status()?;
        Ok(())
    }

    /// Calls by operation since [`Stack::strike`].
    pub async fn calls(&self) -> Result<BTreeMap<&'static str, u64>> {
        let answer = self.http.get(self.admin("faults")).send().await?;
        let answer: Value = serde_json::from_slice(&answer.error_for_status()?.bytes().await?)?;
        let seen = |at: usize| answer.pointer(&format!("/rules/{at}/seen"))?.as_u64();
        MOVING
            .iter()
            .enumerate()
            .map(|(at, operation)| Ok((*operation, seen(at).context("no counts of calls")?)))
            .collect()
    }

    /// Lets the emulator's time pass.
    pub async fn pass(&self, milliseconds: u64) -> Result<()> {
        let body = json!({ "advance_ms": milliseconds }).to_string();
        let post = self.http.post(self.admin("clock")).body(body);
        post.send().await?.error_for_status()?;
        Ok(())
    }

    /// What happened since the queue was filled.
    pub async fn lines(&self) -> Result<Vec<Line>> {
        let text = self.witness().await?;
        let news = text.get(self.read..).context("the witness is shorter")?;
        news.lines()
            .map(|line| Ok(serde_json::from_str(line)?))
            .collect()
    }

    async fn witness(&self) -> Result<String> {
        let answer = self.http.get(self.admin("witness")).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Visible and hidden messages of the dead-letter queue.
    pub async fn depth(&self) -> Result<(usize, usize)> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let get = self.sqs.get_queue_attributes().queue_url(&self.dead_url);
        let answer = get.set_attribute_names(Some(names.to_vec())).send().await?;
        let attributes = answer.attributes.unwrap_or_default();
        let [visible, hidden] = names.map(|name| attributes.get(&name)?.parse().ok());
        Ok((visible.context("no count")?, hidden.context("no count")?))
    }

    fn admin(&self, path: &str) -> String {
        format!("{}/_patterns/{path}", self.endpoint_url)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It removes its files when it is asked to end.
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
