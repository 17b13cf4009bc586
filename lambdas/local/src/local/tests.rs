//! The emulator over the wire: plain HTTP for the door and the shapes of errors, the AWS SDK for what must satisfy it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::time::Instant;

use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use super::*;

mod deploy;
mod restart;

const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=b";

async fn start() -> (Local, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let local = start_with(0, &directory, Vec::new()).await.unwrap();
    (local, directory)
}

async fn start_with(
    port: u16,
    directory: &tempfile::TempDir,
    templates: Vec<(String, String)>,
) -> Result<Local, StartError> {
    Local::start(Options {
        port,
        concurrency: 50,
        retry_waits: [Duration::from_secs(1), Duration::from_secs(2)],
        exec_command: Vec::new(),
        function_command: Vec::new(),
        work_dir: directory.path().to_owned(),
        state_dir: None,
        templates,
        admin: false,
    })
    .await
}

fn post(local: &Local, path: &str) -> RequestBuilder {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.post(format!("{}{path}", local.endpoint_url))
}

fn target(local: &Local, target: &str) -> RequestBuilder {
    post(local, "/")
        .header("x-amz-target", target)
        .header("authorization", SIGNATURE)
}

async fn sqs(local: &Local, operation: &str, input: Value) -> Response {
    target(local, &format!("AmazonSQS.{operation}"))
        .body(input.to_string())
        .send()
        .await
        .unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).unwrap().to_str().unwrap()
}

fn sdk(local: &Local) -> aws_config::SdkConfig {
    let credentials = Credentials::new("any", "thing", None, None, "test");
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .endpoint_url(&local.endpoint_url)
        .region(aws_config::Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let (local, directory) = start().await;
    let port = local
        .endpoint_url
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let error = start_with(port, &directory, Vec::new())
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        format!(
            "port {port} is taken by another program; stop it or choose another with `--port 0` (any free one)"
        )
    );
    local.stop().await;
    let refused = tokio::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port))
        .await
        .unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::ConnectionRefused,
        "a stopped emulator gives the port back"
    );
}

#[tokio::test]
async fn a_template_that_is_not_right_names_its_stack() {
    let directory = tempfile::tempdir().unwrap();
    let templates = vec![("broken".to_owned(), "Resources: [".to_owned())];
    let error = start_with(0, &directory, templates).await.err().unwrap();
    assert!(error.to_string().starts_with("stack broken: "), "{error}");
}

#[tokio::test]
async fn the_door_is_shut_for_web_pages_and_strangers() {
    let (local, _directory) = start().await;
    let signed = || target(&local, "AmazonSQS.ListQueues").body("{}");
    assert_eq!(signed().send().await.unwrap().status(), 200);
    assert_eq!(
        signed()
            .header("origin", "https://evil.example")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    assert_eq!(
        signed()
            .header("host", "evil.example")
            .send()
            .await
            .unwrap()
            .status(),
        403
    );
    let unsigned = post(&local, "/")
        .header("x-amz-target", "AmazonSQS.ListQueues")
        .send()
        .await
        .unwrap();
    assert_eq!(unsigned.status(), 403);
    let body: Value = unsigned.json().await.unwrap();
    assert_eq!(body["message"], "Missing Authentication Token");
    let api = post(&local, "/_apis/none/tasks")
        .header("origin", "null")
        .send()
        .await
        .unwrap();
    assert_eq!(api.status(), 403);
    local.stop().await;
}

#[tokio::test]
async fn errors_have_the_shape_of_their_protocol_and_every_answer_an_id() {
    let (local, _directory) = start().await;
    let missing = sqs(&local, "GetQueueUrl", json!({ "QueueName": "none" })).await;
    assert_eq!(missing.status(), 400);
    assert_eq!(
        header(&missing, "x-amzn-query-error"),
        "AWS.SimpleQueueService.NonExistentQueue;Sender"
    );
    assert_eq!(
        header(&missing, "content-type"),
        "application/x-amz-json-1.0"
    );
    assert_eq!(header(&missing, "x-amzn-requestid").len(), 36);
    let body: Value = missing.json().await.unwrap();
    assert_eq!(
        body,
        json!({ "__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist." })
    );

    let unknown = target(&local, "Kinesis_20131202.PutRecord")
        .send()
        .await
        .unwrap();
    let body: Value = unknown.json().await.unwrap();
    assert_eq!(
        body["__type"],
        "com.amazon.coral.service#UnknownOperationException"
    );
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("Kinesis_20131202.PutRecord")
    );

    for garbage in ["{", "[]", "\"x\"", "{\"QueueUrl\": 7}"] {
        let refused = target(&local, "AmazonSQS.SendMessage")
            .body(garbage)
            .send()
            .await
            .unwrap();
        assert_eq!(refused.status(), 400, "{garbage}");
        assert!(
            refused
                .text()
                .await
                .unwrap()
                .contains("SerializationException"),
            "{garbage}"
        );
    }

    let long = sqs(
        &local,
        "SendMessage",
        json!({ "MessageBody": "x".repeat(9 * 1024 * 1024) }),
    )
    .await;
    assert_eq!(long.status(), 413);
    local.stop().await;
}

#[tokio::test]
async fn dynamodb_is_reached_through_the_front_and_its_checksum_comes_back() {
    let (local, _directory) = start().await;
    let request = target(&local, "DynamoDB_20120810.ListTables")
        .header("content-type", "application/x-amz-json-1.0");
    let tables = request.body("{}").send().await.unwrap();
    assert_eq!(tables.status(), 200);
    assert!(header(&tables, "x-amz-crc32").parse::<u32>().is_ok());
    assert_eq!(
        tables.json::<Value>().await.unwrap(),
        json!({ "TableNames": [] })
    );
    local.stop().await;
}

#[tokio::test]
async fn sts_says_who_everybody_is() {
    let (local, _directory) = start().await;
    let ask = |action: &str| {
        post(&local, "/")
            .header("authorization", SIGNATURE)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("Action={action}&Version=2011-06-15"))
            .send()
    };
    let identity = ask("GetCallerIdentity")
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        identity.contains("<Account>000000000000</Account>"),
        "{identity}"
    );
    let other = ask("AssumeRole").await.unwrap();
    assert_eq!(other.status(), 400);
    assert!(
        other
            .text()
            .await
            .unwrap()
            .contains("<Code>InvalidAction</Code>")
    );
    local.stop().await;
}

#[tokio::test]
async fn a_long_poll_wakes_with_the_message_and_ends_with_the_emulator() {
    let (local, _directory) = start().await;
    let created: Value = sqs(&local, "CreateQueue", json!({ "QueueName": "jobs" }))
        .await
        .json()
        .await
        .unwrap();
    let url = created["QueueUrl"].clone();
    let poll = |wait: u32| {
        sqs(
            &local,
            "ReceiveMessage",
            json!({ "QueueUrl": url, "WaitTimeSeconds": wait }),
        )
    };
    let began = Instant::now();
    let (got, _) = tokio::join!(poll(20), async {
        // The poll may or may not wait already; it must not miss the message either way.
        sqs(
            &local,
            "SendMessage",
            json!({ "QueueUrl": url, "MessageBody": "x", "DelaySeconds": 1 }),
        )
        .await
    });
    let got: Value = got.json().await.unwrap();
    assert_eq!(got["Messages"][0]["Body"], "x");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "woken by the end of the delay, not by the end of the wait"
    );

    let request = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 }).to_string();
    let waiting = tokio::spawn(
        target(&local, "AmazonSQS.ReceiveMessage")
            .body(request)
            .send(),
    );
    let began = Instant::now();
    local.stop().await;
    // Answered, refused or cut off: in any case not waiting.
    drop(waiting.await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn the_sdk_sends_receives_and_sees_the_dead_letter() {
    let (local, _directory) = start().await;
    let client = aws_sdk_sqs::Client::new(&sdk(&local));
    let dead = client
        .create_queue()
        .queue_name("jobs-dlq")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:jobs-dlq","maxReceiveCount":"1"}"#;
    let url = client
        .create_queue()
        .queue_name("jobs")
        .attributes(QueueAttributeName::VisibilityTimeout, "0")
        .attributes(QueueAttributeName::RedrivePolicy, policy)
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    let attribute = MessageAttributeValue::builder()
        .data_type("Number")
        .string_value("7")
        .build()
        .unwrap();
    let entries = ["a", "b"].map(|id| {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(id)
            .message_body(id);
        entry
            .message_attributes("attempt", attribute.clone())
            .build()
            .unwrap()
    });
    let sent = client
        .send_message_batch()
        .queue_url(&url)
        .set_entries(Some(entries.into()))
        .send()
        .await
        .unwrap();
    assert_eq!((sent.successful().len(), sent.failed().len()), (2, 0));
    let receive = |url: &str| {
        let request = client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10);
        request
            .message_system_attribute_names("All".into())
            .message_attribute_names("All")
            .send()
    };
    assert_eq!(receive(&url).await.unwrap().messages().len(), 2);
    assert_eq!(receive(&url).await.unwrap().messages().len(), 0);
    let dead_letters = receive(&dead).await.unwrap();
    assert_eq!(dead_letters.messages().len(), 2);
    for message in dead_letters.messages() {
        let system = message.attributes().unwrap();
        let source = &system[&"DeadLetterQueueSourceArn".into()];
        assert_eq!(source, "arn:aws:sqs:us-east-1:000000000000:jobs");
        assert_eq!(message.message_attributes().unwrap()["attempt"], attribute);
        assert!(
            sent.successful()
                .iter()
                .any(|entry| Some(entry.message_id()) == message.message_id())
        );
    }
    let missing = client
        .get_queue_url()
        .queue_name("none")
        .send()
        .await
        .unwrap_err();
    assert!(missing.into_service_error().is_queue_does_not_exist());
    local.stop().await;
}

#[tokio::test]
async fn the_sdk_reads_what_the_queues_measured() {
    let (local, _directory) = start().await;
    let config = sdk(&local);
    let queues = aws_sdk_sqs::Client::new(&config);
    let url = queues
        .create_queue()
        .queue_name("jobs")
        .send()
        .await
        .unwrap()
        .queue_url
        .unwrap();
    for _ in 0..3 {
        queues
            .send_message()
            .queue_url(&url)
            .message_body("x")
            .send()
            .await
            .unwrap();
    }
    let query = |id: &str, metric: &str, stat: &str| {
        let dimension = Dimension::builder().name("QueueName").value("jobs").build();
        let metric = Metric::builder()
            .namespace("AWS/SQS")
            .metric_name(metric)
            .dimensions(dimension)
            .build();
        let stat = MetricStat::builder()
            .metric(metric)
            .period(3600)
            .stat(stat)
            .build();
        MetricDataQuery::builder().id(id).metric_stat(stat).build()
    };
    let now = jiff::Timestamp::now().as_second();
    let client = aws_sdk_cloudwatch::Client::new(&config);
    let read = || {
        client
            .get_metric_data()
            .metric_data_queries(query("sent", "NumberOfMessagesSent", "Sum"))
            .metric_data_queries(query(
                "depth",
                "ApproximateNumberOfMessagesVisible",
                "Maximum",
            ))
            .start_time(aws_sdk_cloudwatch::primitives::DateTime::from_secs(
                now - 3600,
            ))
            .end_time(aws_sdk_cloudwatch::primitives::DateTime::from_secs(
                now + 3600,
            ))
            .scan_by(ScanBy::TimestampAscending)
            .send()
    };
    // The gauges are taken once a second.
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let results = read().await.unwrap();
        let total = |at: usize| {
            results.metric_data_results()[at]
                .values()
                .iter()
                .sum::<f64>()
        };
        let times = results.metric_data_results()[0].timestamps();
        assert!((times[0].secs() - now).abs() <= 7200);
        assert!((total(0) - 3.0).abs() < 1e-9);
        if (total(1) - 3.0).abs() < 1e-9 {
            break;
        }
        assert!(Instant::now() < deadline, "no gauge of the depth in 30 s");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let math = MetricDataQuery::builder()
        .id("m")
        .expression("sent * 2")
        .build();
    let time = aws_sdk_cloudwatch::primitives::DateTime::from_secs;
    let request = client.get_metric_data().metric_data_queries(math);
    let refused = request
        .start_time(time(now - 60))
        .end_time(time(now))
        .send()
        .await
        .unwrap_err();
    let refused = refused.into_service_error();
    assert_eq!(refused.meta().code(), Some("InvalidParameterValue"));
    assert!(refused.meta().message().unwrap().contains("metric math"));
    local.stop().await;
}
