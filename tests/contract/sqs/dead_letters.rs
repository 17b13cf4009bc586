//! Redrive policies of standard queues.

use aws_sdk_cloudwatch::{
    primitives::DateTime,
    types::{Dimension, Statistic},
};
use aws_sdk_sqs::types::{MessageSystemAttributeName as System, QueueAttributeName};

use super::bench::{Bench, Queue, redrive_policy, refused, system, wait_for};

/// "Using dead-letter queues in Amazon SQS": after `maxReceiveCount` receives the message moves with its id, its enqueue time and
/// its body, and names its source in `DeadLetterQueueSourceArn`; what was sent straight to the queue names none.
#[tokio::test]
async fn f07_f14_a_dead_letter_keeps_id_and_enqueue_time_and_names_its_source() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("letters").await;
    let id = bench.send(&source, "x").await;
    let first = bench.receive_one(&source, 0).await;
    assert_eq!(
        bench.depth(&source).await,
        (1, 0),
        "it moves at the next receive"
    );
    assert!(bench.receive(&source, 0).await.is_empty());
    let moved = bench.receive_one(&dead, 30).await;
    assert_eq!(moved.message_id(), Some(id.as_str()));
    for same in [
        System::SentTimestamp,
        System::ApproximateFirstReceiveTimestamp,
    ] {
        assert_eq!(system(&moved, &same), system(&first, &same));
    }
    assert_eq!(
        system(&moved, &System::DeadLetterQueueSourceArn),
        Some(source.arn)
    );
    bench.send(&dead, "direct").await;
    let direct = bench.receive_one(&dead, 30).await;
    assert_eq!(system(&direct, &System::DeadLetterQueueSourceArn), None);
}

/// "Troubleshooting issues in Amazon SQS": `NumberOfMessagesSent` does not count what failed processing brings into a dead-letter
/// queue.
#[tokio::test]
async fn f08_arrivals_by_failed_processing_are_not_counted_as_sent() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("metered").await;
    bench.let_die(&source, &["x"]).await;
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&bench.cloud.config);
    let sent = async |queue: &Queue| {
        use aws_sdk_cloudwatch::types::{Metric, MetricDataQuery, MetricStat};
        let dimension = Dimension::builder().name("QueueName").value(&queue.name);
        let metric = Metric::builder()
            .namespace("AWS/SQS")
            .metric_name("NumberOfMessagesSent")
            .dimensions(dimension.build());
        let stat = MetricStat::builder()
            .metric(metric.build())
            .period(60)
            .stat(Statistic::Sum.as_str());
        let query = MetricDataQuery::builder()
            .id("sent")
            .metric_stat(stat.build());
        let now = std::time::SystemTime::now();
        let minutes = std::time::Duration::from_mins;
        let output = cloudwatch
            .get_metric_data()
            .start_time(DateTime::from(now - minutes(5)))
            .end_time(DateTime::from(now + minutes(1)))
            .metric_data_queries(query.build())
            .send()
            .await
            .unwrap();
        output.metric_data_results()[0].values().iter().sum::<f64>()
    };
    wait_for("the metric", async || {
        (sent(&source).await > 0.5).then_some(())
    })
    .await;
    assert!(sent(&dead).await < 0.5);
}

/// "Amazon SQS API Reference: `CreateQueue`: `RedrivePolicy`": its target must exist.
#[tokio::test]
async fn a_redrive_policy_needs_its_target() {
    let bench = Bench::new().await;
    let missing = Queue {
        name: String::new(),
        url: String::new(),
        arn: bench.cloud.queue_arn("missing"),
    };
    let name = bench.cloud.name("targetless");
    let create = bench.sqs.create_queue().queue_name(name);
    let policy = redrive_policy(&missing, 1);
    let create = create.attributes(QueueAttributeName::RedrivePolicy, policy);
    assert_eq!(refused(create.send().await).0, "InvalidParameterValue");
}

/// "Amazon SQS API Reference: `CreateQueue`: `RedriveAllowPolicy`": `denyAll` and `byQueue` decide which queues may name this one.
#[tokio::test]
async fn a_redrive_allow_policy_is_enforced() {
    let bench = Bench::new().await;
    let dead = bench.queue("guarded-dlq", &[]).await;
    let friend = bench.queue("friend", &[]).await;
    let stranger = bench.queue("stranger", &[]).await;
    let allow = async |policy: String| {
        let set = bench.sqs.set_queue_attributes().queue_url(&dead.url);
        let name = QueueAttributeName::RedriveAllowPolicy;
        set.attributes(name, policy).send().await
    };
    let name_it = async |source: &Queue| {
        let set = bench.sqs.set_queue_attributes().queue_url(&source.url);
        let policy = redrive_policy(&dead, 1);
        let set = set.attributes(QueueAttributeName::RedrivePolicy, policy);
        set.send().await
    };
    allow(r#"{"redrivePermission":"denyAll"}"#.to_owned())
        .await
        .unwrap();
    assert_eq!(refused(name_it(&friend).await).0, "InvalidParameterValue");
    let by_queue =
        serde_json::json!({ "redrivePermission": "byQueue", "sourceQueueArns": [friend.arn] });
    allow(by_queue.to_string()).await.unwrap();
    assert_eq!(refused(name_it(&stranger).await).0, "InvalidParameterValue");
    name_it(&friend).await.unwrap();
    let bad = allow(r#"{"redrivePermission":"byQueue"}"#.to_owned()).await;
    assert_eq!(refused(bad).0, "InvalidAttributeValue");
    allow(String::new()).await.unwrap();
    name_it(&stranger).await.unwrap();
}

/// "Amazon SQS API Reference: `ListDeadLetterSourceQueues`": the queues whose redrive policy names this one.
#[tokio::test]
async fn a_dead_letter_queue_names_its_sources() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("listed").await;
    let list = bench.sqs.list_dead_letter_source_queues();
    let listed = list.queue_url(&dead.url).send().await.unwrap();
    assert_eq!(listed.queue_urls(), [source.url]);
}
