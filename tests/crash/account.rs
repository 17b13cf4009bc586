//! An AWS account for one test: the emulator, its queues and its function, with faults, clock and witness.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::operation::create_queue::builders::CreateQueueFluentBuilder;
use aws_sdk_sqs::types::{
    MessageSystemAttributeNameForSends, MessageSystemAttributeValue, QueueAttributeName,
    SendMessageBatchRequestEntry,
};
use futures::{StreamExt, stream};
use patterns_local::{Local, Options};
use serde::Deserialize;
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::events::Event;
use super::function;

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_patterns-local");

/// How long a condition may take to become true. Far more than it needs: a busy machine must not fail a test.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// Longer than a redrive hides what it receives: after it, what a killed daemon had in hand is visible again.
pub const HIDDEN: Duration = Duration::from_secs(31);

/// Nothing happened for this long: whoever waits, waits for something hidden.
const QUIET: Duration = Duration::from_secs(2);

/// Where the events failed, and so where they go back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// From `orders-dlq` to `orders`.
    Queue,
    /// From `notify-dlq` to the function `notify`.
    Function,
    /// From `orders-dlq.fifo` to `orders.fifo`, group by group in order.
    Fifo,
}

impl Route {
    pub fn dead_letters(self) -> &'static str {
        match self {
            Self::Queue => "orders-dlq",
            Self::Function => "notify-dlq",
            Self::Fifo => "orders-dlq.fifo",
        }
    }

    pub fn target(self) -> &'static str {
        match self {
            Self::Queue => "orders",
            Self::Function => "notify",
            Self::Fifo => "orders.fifo",
        }
    }

    /// Faults by which some of what is sent is refused for now.
    pub fn refuses_for_now(self) -> Value {
        let operation = match self {
            Self::Queue | Self::Fifo => "SendMessageBatch",
            Self::Function => "Invoke",
        };
        json!([{"operation": operation, "times": 3, "fault": {"kind": "error", "error": "throttling"}}])
    }
}

pub struct Account {
    pub local: Local,
    pub sqs: aws_sdk_sqs::Client,
    pub dir: tempfile::TempDir,
    http: reqwest::Client,
    lines: Vec<Line>,
    read: u64,
}

/// A line of the witness.
#[derive(Debug, Deserialize)]
pub struct Line {
    pub n: u64,
    pub at: i64,
    pub event: String,
    pub queue: Option<String>,
    pub function: Option<String>,
    pub message_id: Option<String>,
    pub request_id: Option<String>,
    pub body: Option<String>,
    pub attributes: Option<String>,
    pub trace_header: Option<String>,
    pub payload: Option<String>,
}

impl Account {
    pub async fn start(route: Route) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let local = Local::start(Options {
            port: 0,
            concurrency: 4,
            retry_waits: [Duration::ZERO; 2],
            exec_command: vec![PROGRAM.into(), "exec".into()],
            function_command: vec![PROGRAM.into(), "function".into()],
            work_dir: dir.path().join("account"),
            state_dir: None,
            templates: Vec::new(),
            admin: true,
        })
        .await;
        let local = local.unwrap_or_else(|error| panic!("{error}"));
        let credentials = Credentials::new("any", "any", None, None, "test");
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .endpoint_url(&local.endpoint_url)
            .build();
        let account = Self {
            local,
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            dir,
            http: reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
            lines: Vec::new(),
            read: 0,
        };
        account.create_queue(route.dead_letters()).await;
        match route {
            Route::Queue | Route::Fifo => account.create_target(route).await,
            Route::Function => account.create_function(route).await,
        }
        account
    }

    async fn create_queue(&self, name: &str) {
        self.queue(name).send().await.unwrap();
    }

    fn queue(&self, name: &str) -> CreateQueueFluentBuilder {
        let create = self.sqs.create_queue().queue_name(name);
        let fifo = is_fifo(name);
        create.set_attributes(fifo.then(|| {
            let name = QueueAttributeName::FifoQueue;
            HashMap::from([(name, "true".to_owned())])
        }))
    }

    /// Creates the queue that the events go back to, whose failures go to the dead-letter queue.
    pub async fn create_target(&self, route: Route) {
        let policy =
            json!({"deadLetterTargetArn": arn(route.dead_letters()), "maxReceiveCount": 3});
        self.queue(route.target())
            .attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
            .send()
            .await
            .unwrap();
    }

    /// Creates the function `notify`, whose failures go to `notify-dlq` both ways: as dead letters and as records.
    async fn create_function(&self, route: Route) {
        let folder = self.dir.path().join("notify");
        std::fs::create_dir(&folder).unwrap();
        let program = folder.join("bootstrap");
        std::fs::write(&program, function::bootstrap()).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let queue = arn(route.dead_letters());
        let function = json!({
            "FunctionName": "notify", "Runtime": "provided.al2023", "Role": "arn:aws:iam::000000000000:role/any",
            "Handler": "any", "Timeout": 60, "Code": {"S3Bucket": "hot-reload", "S3Key": folder},
            "DeadLetterConfig": {"TargetArn": queue},
        });
        self.put_function("POST", "/2015-03-31/functions", &function)
            .await;
        let config = json!({"DestinationConfig": {"OnFailure": {"Destination": queue}}});
        let path = "/2019-09-25/functions/notify/event-invoke-config";
        self.put_function("PUT", path, &config).await;
    }

    /// Makes the function give up at once, and soon.
    pub async fn hasten(&self) {
        let timeout = json!({"Timeout": 3});
        let path = "/2015-03-31/functions/notify/configuration";
        self.put_function("PUT", path, &timeout).await;
        let queue = arn(Route::Function.dead_letters());
        let config = json!({"MaximumRetryAttempts": 0,
            "DestinationConfig": {"OnFailure": {"Destination": queue}}});
        let path = "/2019-09-25/functions/notify/event-invoke-config";
        self.put_function("PUT", path, &config).await;
    }

    async fn put_function(&self, method: &str, path: &str, body: &Value) {
        let credential = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/lambda/aws4_request";
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", self.local.endpoint_url);
        let request = self.http.request(method, url);
        let request = request.header("authorization", credential);
        let answer = request.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    pub fn url(&self, queue: &str) -> String {
        format!("{}/000000000000/{queue}", self.local.endpoint_url)
    }

    /// Puts failed events into a dead-letter queue; into a FIFO queue in their order.
    pub async fn fail(&self, queue: &str, events: &[Event]) {
        let url = self.url(queue);
        let at_once = if is_fifo(queue) { 1 } else { 8 };
        stream::iter(events.chunks(10))
            .for_each_concurrent(at_once, |chunk| {
                let request = self.sqs.send_message_batch().queue_url(&url);
                let entries = chunk.iter().enumerate().map(|(id, event)| entry(id, event));
                let request = request.set_entries(Some(entries.collect()));
                async {
                    let answer = request.send().await.unwrap();
                    assert!(answer.failed().is_empty(), "{answer:?}");
                }
            })
            .await;
    }

    /// Messages in a queue, those in flight included.
    pub async fn depth(&self, queue: &str) -> u64 {
        let request = self.sqs.get_queue_attributes().queue_url(self.url(queue));
        let request = request.attribute_names(QueueAttributeName::All);
        let attributes = request.send().await.unwrap().attributes.unwrap();
        let of = |name| attributes[&name].parse::<u64>().unwrap();
        of(QueueAttributeName::ApproximateNumberOfMessages)
            + of(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
    }

    /// Lets this go wrong from now on, instead of what was set before.
    pub async fn faults(&self, rules: &Value) {
        let url = format!("{}/_patterns/faults", self.local.endpoint_url);
        let body = json!({"seed": 1, "rules": rules}).to_string();
        let answer = self.http.put(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{:?}", answer.text().await);
    }

    /// How many calls the rules have struck so far.
    pub async fn struck(&self) -> u64 {
        let url = format!("{}/_patterns/faults", self.local.endpoint_url);
        let text = self.http.get(url).send().await.unwrap().text().await;
        let rules: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let rules = rules["rules"].as_array().unwrap();
        rules
            .iter()
            .map(|rule| rule["struck"].as_u64().unwrap())
            .sum()
    }

    /// Lets so much time pass that everything hidden is visible again.
    pub fn uncover(&self) {
        self.local.clock.advance(HIDDEN).unwrap();
    }

    /// The account's time, epoch milliseconds.
    pub fn now(&self) -> i64 {
        self.local.clock.now().as_millisecond()
    }

    /// Everything that the witness has told so far.
    pub async fn witnessed(&mut self) -> &[Line] {
        let url = format!(
            "{}/_patterns/witness?from={}",
            self.local.endpoint_url, self.read
        );
        let text = self.http.get(url).send().await.unwrap().text().await;
        let text = text.unwrap();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        self.lines.extend(
            text[..whole]
                .lines()
                .map(|line| serde_json::from_str::<Line>(line).unwrap()),
        );
        let count = self.lines.len() as u64;
        assert_eq!(self.lines.last().map_or(0, |line| line.n), count, "a gap");
        &self.lines
    }

    /// Waits until the witness has told more than `count` lines.
    pub async fn something_happens(&mut self, count: usize) {
        let since = Instant::now();
        while self.witnessed().await.len() <= count {
            assert!(since.elapsed() < PATIENCE, "nothing happens");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until so many more events have arrived in that queue, or the operation has ended.
    pub async fn proceeds(&mut self, queue: &str, events: usize, daemon: &Daemon, operation: &str) {
        let since = Instant::now();
        let enough = self.arrived(queue).await + events;
        while self.arrived(queue).await < enough && daemon.ended(operation).await.is_none() {
            assert!(since.elapsed() < PATIENCE, "the redrive does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn arrived(&mut self, queue: &str) -> usize {
        let lines = self.witnessed().await.iter();
        lines
            .filter(|line| line.event == "sent" && line.queue.as_deref() == Some(queue))
            .count()
    }

    /// Waits until `condition` gives something. Where nothing happens meanwhile, the account's time is moved: what is
    /// waited for may be hidden.
    pub async fn until<T>(&mut self, what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
        let (since, mut seen, mut changed) = (Instant::now(), 0, Instant::now());
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
            let count = self.witnessed().await.len();
            if count != seen {
                (seen, changed) = (count, Instant::now());
            } else if changed.elapsed() > QUIET {
                self.uncover();
                changed = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until everything that a killed daemon had on its way has arrived.
    pub async fn settle(&mut self) {
        let mut seen = usize::MAX;
        while seen != self.witnessed().await.len() {
            seen = self.lines.len();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the function has succeeded with every event that it was given.
    pub async fn all_succeed(&mut self) {
        let since = Instant::now();
        loop {
            let lines = self.witnessed().await;
            let ids = |event| {
                let lines = lines.iter().filter(move |line| line.event == event);
                lines.filter_map(|line| line.request_id.as_deref())
            };
            let accepted: HashSet<_> = ids("accepted").collect();
            if ids("succeeded").collect::<HashSet<_>>() == accepted {
                return;
            }
            assert_eq!(ids("dropped").count(), 0);
            assert!(since.elapsed() < PATIENCE, "not all events succeed");
            // One that was throttled waits for its next attempt.
            self.uncover();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// A FIFO queue's name says so. (Amazon SQS API Reference, `CreateQueue`.)
fn is_fifo(queue: &str) -> bool {
    queue.rsplit_once('.').is_some_and(|(_, end)| end == "fifo")
}

pub fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{queue}")
}

fn entry(id: usize, event: &Event) -> SendMessageBatchRequestEntry {
    let trace = event.trace.as_ref().map(|trace| {
        let value = MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(trace);
        let name = MessageSystemAttributeNameForSends::AwsTraceHeader;
        HashMap::from([(name, value.build().unwrap())])
    });
    SendMessageBatchRequestEntry::builder()
        .id(id.to_string())
        .message_body(&event.body)
        .set_message_group_id(event.group.clone())
        .set_message_deduplication_id(event.group.as_ref().map(|_| event.sum()))
        .set_message_attributes(Some(event.attributes.clone()))
        .set_message_system_attributes(trace)
        .build()
        .unwrap()
}
