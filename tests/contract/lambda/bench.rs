//! An emulator of its own for each case, or the place that the environment names, with clients and functions to try.

use std::io::Write as _;
use std::time::{Duration, Instant};

use aws_sdk_lambda::error::SdkError;
use aws_sdk_lambda::operation::put_function_concurrency::{
    PutFunctionConcurrencyError, PutFunctionConcurrencyOutput,
};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use patterns_local::clock::Clock;
use patterns_local::{Local, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::cloud::{self, Cloud};

pub struct Bench {
    pub lambda: aws_sdk_lambda::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    pub cloud: Cloud,
    local: Option<Local>,
    dir: TempDir,
}

impl Bench {
    pub async fn start() -> Self {
        Self::with_concurrency(50).await
    }

    /// In a place that is not ours its own concurrency holds.
    pub async fn with_concurrency(concurrency: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if let Some(cloud) = Cloud::elsewhere().await {
            let emulator = cloud.config.endpoint_url().is_some();
            assert!(
                emulator,
                "the functions of these cases run from the files of this machine"
            );
            return Self::of(cloud, None, dir);
        }
        let local = Local::start(cloud::options(concurrency, dir.path().to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self::of(Cloud::ours(&local.endpoint_url), Some(local), dir)
    }

    /// Where events wait as long as on AWS, on a clock that the case moves. None where the cases run elsewhere.
    pub async fn with_clock(concurrency: u32) -> Option<(Self, Clock)> {
        if cloud::leaves_out("it moves the emulator's clock") {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let local = Local::start(Options {
            retry_waits: [Duration::from_mins(1), Duration::from_mins(2)],
            ..cloud::options(concurrency, dir.path().to_owned())
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"));
        let clock = local.clock.clone();
        let bench = Self::of(Cloud::ours(&local.endpoint_url), Some(local), dir);
        Some((bench, clock))
    }

    /// One that keeps its state. None where the cases run elsewhere.
    pub async fn keeping() -> Option<Self> {
        if cloud::leaves_out("it restarts the emulator") {
            return None;
        }
        Some(Self::kept(tempfile::tempdir().unwrap()).await)
    }

    /// Ends the emulator, and starts the next one with what it kept.
    pub async fn restart(self) -> Self {
        self.local.unwrap().stop().await;
        Self::kept(self.dir).await
    }

    async fn kept(dir: TempDir) -> Self {
        let local = Local::start(Options {
            state_dir: Some(dir.path().join("state")),
            ..cloud::options(50, dir.path().join("functions"))
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"));
        Self::of(Cloud::ours(&local.endpoint_url), Some(local), dir)
    }

    fn of(cloud: Cloud, local: Option<Local>, dir: TempDir) -> Self {
        Self {
            lambda: aws_sdk_lambda::Client::new(&cloud.config),
            sqs: aws_sdk_sqs::Client::new(&cloud.config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&cloud.config),
            cloud,
            local,
            dir,
        }
    }

    /// Ends the functions and the emulator.
    pub async fn stop(self) {
        if let Some(local) = self.local {
            local.stop().await;
            return;
        }
        let mappings = self.lambda.list_event_source_mappings().send().await;
        for mapping in mappings.unwrap().event_source_mappings() {
            let of_this_case = mapping
                .function_arn()
                .is_some_and(|arn| arn.contains(&self.name("")));
            if of_this_case {
                let delete = self.lambda.delete_event_source_mapping();
                let delete = delete.set_uuid(mapping.uuid.clone());
                delete.send().await.unwrap();
            }
        }
        for name in self.functions().await {
            let delete = self.lambda.delete_function().function_name(name);
            delete.send().await.unwrap();
        }
    }

    /// The names of the case's functions.
    pub async fn functions(&self) -> Vec<String> {
        let list = self.lambda.list_functions().into_paginator().page_size(2);
        let mut functions = list.items().send();
        let mut names = Vec::new();
        while let Some(function) = functions.next().await {
            names.push(function.unwrap().function_name.unwrap());
        }
        names.retain(|name| name.starts_with(&self.name("")));
        names
    }

    /// The name of the function that the case calls `plain`.
    pub fn name(&self, plain: &str) -> String {
        self.cloud.name(plain)
    }

    pub fn function_arn(&self, plain: &str) -> String {
        self.cloud
            .arn("lambda", &format!("function:{}", self.name(plain)))
    }

    pub fn role(&self) -> String {
        format!("arn:aws:iam::{}:role/any", self.cloud.account)
    }

    /// Lets all functions that hold go on.
    pub fn release(&self) {
        std::fs::write(self.dir.path().join("go"), "").unwrap();
    }

    /// The lines that the function has left, one for each time it was run.
    pub fn runs(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("runs")).unwrap_or_default();
        // The last line may be half written.
        text.split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What a function wrote into a file of that name, as soon as it is there.
    pub fn mark(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The folders of unpacked zips.
    pub fn unpacked(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir())
            .collect()
    }

    /// Creates the function of `function.rs` from a zip.
    pub async fn create(&self, name: &str, timeout_seconds: i32) {
        self.create_from(name, timeout_seconds, bootstrap()).await;
    }

    /// Creates a function from `zip`.
    pub async fn create_from(&self, name: &str, timeout_seconds: i32, zip: Vec<u8>) {
        self.lambda
            .create_function()
            .function_name(self.name(name))
            .runtime(Runtime::Providedal2023)
            .role(self.role())
            .handler("any")
            .timeout(timeout_seconds)
            .environment(self.environment("first"))
            .code(FunctionCode::builder().zip_file(Blob::new(zip)).build())
            .send()
            .await
            .unwrap();
    }

    pub fn environment(&self, variable: &str) -> Environment {
        let program = std::env::current_exe().unwrap();
        Environment::builder()
            .variables("PROGRAM", program.to_str().unwrap())
            .variables("MARKS", self.dir.path().to_str().unwrap())
            .variables("VARIABLE", variable)
            .build()
    }

    pub async fn reserve(
        &self,
        plain: &str,
        most: i32,
    ) -> Result<PutFunctionConcurrencyOutput, SdkError<PutFunctionConcurrencyError>> {
        let request = self.lambda.put_function_concurrency();
        let request = request.function_name(self.name(plain));
        request.reserved_concurrent_executions(most).send().await
    }

    /// Invokes and waits; answers the payload and the function error.
    pub async fn invoke(&self, plain: &str, event: Value) -> (Value, Option<String>) {
        self.invoke_as(&self.name(plain), event).await
    }

    /// The same, by any name that AWS takes for a function.
    pub async fn invoke_as(&self, name: &str, event: Value) -> (Value, Option<String>) {
        let output = self
            .lambda
            .invoke()
            .function_name(name)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(output.payload().unwrap().as_ref());
        let payload = serde_json::from_str(&text);
        let payload = payload.unwrap_or_else(|_| panic!("answered with what is no JSON: {text}"));
        (payload, output.function_error().map(str::to_owned))
    }

    /// Sends an event and answers its request id.
    pub async fn send_event(&self, name: &str, event: &Value) -> String {
        use aws_sdk_lambda::operation::RequestId as _;
        let output = self
            .lambda
            .invoke()
            .function_name(self.name(name))
            .invocation_type(aws_sdk_lambda::types::InvocationType::Event)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        assert_eq!(output.status_code(), 202);
        output.request_id().unwrap().to_owned()
    }

    /// Creates a queue and answers its URL and ARN.
    pub async fn queue(
        &self,
        name: &str,
        attributes: &[(QueueAttributeName, &str)],
    ) -> (String, String) {
        let mut request = self.sqs.create_queue().queue_name(self.name(name));
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), *value);
        }
        let url = request.send().await.unwrap().queue_url.unwrap();
        (url, self.cloud.queue_arn(name))
    }

    /// Creates a queue whose messages are visible again after 1 s and end in a dead-letter queue after `receives`.
    /// Answers its URL, its ARN, and the URL of the dead-letter queue.
    pub async fn source_with_dead_letters(&self, receives: u32) -> (String, String, String) {
        let (dead_url, dead_arn) = self.queue("dead", &[]).await;
        let policy = json!({"deadLetterTargetArn": dead_arn, "maxReceiveCount": receives});
        let policy = policy.to_string();
        let attributes = [
            (QueueAttributeName::VisibilityTimeout, "1"),
            (QueueAttributeName::RedrivePolicy, policy.as_str()),
        ];
        let (url, arn) = self.queue("source", &attributes).await;
        (url, arn, dead_url)
    }

    /// The next message of a queue, which is deleted.
    pub async fn take(&self, url: &str) -> aws_sdk_sqs::types::Message {
        let since = Instant::now();
        while since.elapsed() < cloud::patience() {
            let output = self
                .sqs
                .receive_message()
                .queue_url(url)
                .wait_time_seconds(5)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All)
                .send()
                .await
                .unwrap();
            if let Some(message) = output.messages.and_then(|mut messages| messages.pop()) {
                let handle = message.receipt_handle().unwrap();
                let delete = self
                    .sqs
                    .delete_message()
                    .queue_url(url)
                    .receipt_handle(handle);
                delete.send().await.unwrap();
                return message;
            }
        }
        panic!("no message came to {url}");
    }

    /// Messages that are visible and in flight.
    pub async fn depth(&self, url: &str) -> (u32, u32) {
        let output = self
            .sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(QueueAttributeName::All)
            .send()
            .await
            .unwrap();
        let attributes = output.attributes.unwrap();
        let of = |name| attributes[&name].parse().unwrap();
        (
            of(QueueAttributeName::ApproximateNumberOfMessages),
            of(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        )
    }

    /// Sum of a metric of `AWS/Lambda` for a function.
    pub async fn sum(&self, metric: &str, function: &str) -> f64 {
        use aws_sdk_cloudwatch::primitives::DateTime;
        use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
        let now = std::time::SystemTime::now();
        let dimension = Dimension::builder()
            .name("FunctionName")
            .value(self.name(function))
            .build();
        let metric = Metric::builder()
            .namespace("AWS/Lambda")
            .metric_name(metric)
            .dimensions(dimension)
            .build();
        let stat = MetricStat::builder()
            .metric(metric)
            .period(60)
            .stat("Sum")
            .build();
        let query = MetricDataQuery::builder().id("m").metric_stat(stat).build();
        let output = self
            .cloudwatch
            .get_metric_data()
            .start_time(DateTime::from(now - Duration::from_mins(5)))
            .end_time(DateTime::from(now + Duration::from_mins(1)))
            .metric_data_queries(query)
            .send()
            .await
            .unwrap();
        output.metric_data_results()[0].values().iter().sum()
    }
}

/// A mapping from a queue to the function `f`, to which more can be said.
pub fn mapping(
    bench: &Bench,
    queue_arn: &str,
) -> aws_sdk_lambda::operation::create_event_source_mapping::builders::CreateEventSourceMappingFluentBuilder
{
    let request = bench.lambda.create_event_source_mapping();
    request
        .function_name(bench.name("f"))
        .event_source_arn(queue_arn)
}

/// Waits until `condition` holds.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(
            since.elapsed() < cloud::patience(),
            "waited in vain until {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A zip whose `bootstrap` becomes the function of `function.rs`.
pub fn bootstrap() -> Vec<u8> {
    bootstrap_after("", 0o755)
}

/// The same, whose `bootstrap` has this mode and first runs the lines `before`.
pub fn bootstrap_after(before: &str, mode: u32) -> Vec<u8> {
    let script = format!(
        "#!/bin/sh\n{before}\nexec \"$PROGRAM\" {} --ignored --exact --nocapture\n",
        super::function::NAME
    );
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(mode);
    writer.start_file("bootstrap", options).unwrap();
    writer.write_all(script.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}
