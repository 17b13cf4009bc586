//! An emulator of its own for each case, with clients and functions to try.

use std::io::Write as _;
use std::time::{Duration, Instant};

use aws_sdk_lambda::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::{Environment, FunctionCode, Runtime};
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use patterns_local::{Local, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// What is waited for must come within this time, or the case fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits between attempts of an event: short, because nothing here depends on their length.
const RETRY_WAITS: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(40)];

pub struct Bench {
    pub local: Local,
    pub lambda: aws_sdk_lambda::Client,
    pub sqs: aws_sdk_sqs::Client,
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    dir: TempDir,
}

impl Bench {
    pub async fn start() -> Self {
        Self::with(50, Vec::new()).await
    }

    pub async fn with(concurrency: u32, templates: Vec<(String, String)>) -> Self {
        Self::waiting(concurrency, templates, RETRY_WAITS).await
    }

    /// Events wait as long as on AWS, on the emulator's clock.
    pub async fn with_delays_of_aws(concurrency: u32) -> Self {
        let waits = [Duration::from_mins(1), Duration::from_mins(2)];
        Self::waiting(concurrency, Vec::new(), waits).await
    }

    async fn waiting(
        concurrency: u32,
        templates: Vec<(String, String)>,
        retry_waits: [Duration; 2],
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let exe = env!("CARGO_BIN_EXE_patterns-local");
        let local = Local::start(Options {
            port: 0,
            concurrency,
            retry_waits,
            exec_command: vec![exe.into(), "exec".into()],
            function_command: vec![exe.into(), "function".into()],
            work_dir: dir.path().to_owned(),
            templates,
            admin: false,
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"));
        let credentials = Credentials::new("any", "any", None, None, "test");
        let url = &local.endpoint_url;
        let region = Region::new("us-east-1");
        let latest = BehaviorVersion::latest();
        let lambda = aws_sdk_lambda::Config::builder()
            .behavior_version(latest)
            .region(region.clone())
            .credentials_provider(credentials.clone())
            // A throttle is a case to see, not to hide.
            .retry_config(aws_sdk_lambda::config::retry::RetryConfig::disabled())
            .endpoint_url(url)
            .build();
        let sqs = aws_sdk_sqs::Config::builder()
            .behavior_version(latest)
            .region(region.clone())
            .credentials_provider(credentials.clone())
            .endpoint_url(url)
            .build();
        let cloudwatch = aws_sdk_cloudwatch::Config::builder()
            .behavior_version(latest)
            .region(region)
            .credentials_provider(credentials)
            .endpoint_url(url)
            .build();
        Self {
            lambda: aws_sdk_lambda::Client::from_conf(lambda),
            sqs: aws_sdk_sqs::Client::from_conf(sqs),
            cloudwatch: aws_sdk_cloudwatch::Client::from_conf(cloudwatch),
            local,
            dir,
        }
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
            .function_name(name)
            .runtime(Runtime::Providedal2023)
            .role("arn:aws:iam::000000000000:role/any")
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

    /// Invokes and waits; answers the payload and the function error.
    pub async fn invoke(&self, name: &str, event: Value) -> (Value, Option<String>) {
        let output = self
            .lambda
            .invoke()
            .function_name(name)
            .payload(Blob::new(event.to_string()))
            .send()
            .await
            .unwrap();
        let payload = serde_json::from_slice(output.payload().unwrap().as_ref()).unwrap();
        (payload, output.function_error().map(str::to_owned))
    }

    /// Sends an event and answers its request id.
    pub async fn send_event(&self, name: &str, event: &Value) -> String {
        use aws_sdk_lambda::operation::RequestId as _;
        let output = self
            .lambda
            .invoke()
            .function_name(name)
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
        let mut request = self.sqs.create_queue().queue_name(name);
        for (attribute, value) in attributes {
            request = request.attributes(attribute.clone(), *value);
        }
        let url = request.send().await.unwrap().queue_url.unwrap();
        (url, format!("arn:aws:sqs:us-east-1:000000000000:{name}"))
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
        while since.elapsed() < PATIENCE {
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
            .value(function)
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
    request.function_name("f").event_source_arn(queue_arn)
}

/// Waits until `condition` holds.
pub async fn wait_until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let since = Instant::now();
    while !condition().await {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
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
