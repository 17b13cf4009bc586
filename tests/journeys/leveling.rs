//! Queue-based load leveling: a queue between those who ask and those who do.

use std::time::Duration;

use aws_sdk_sqs::types::MessageAttributeValue;
use reqwest::Method;
use serde_json::json;

use crate::handoff::logs;
use crate::story::{QUEUE, QUEUE_CONSUMER, QUEUE_FAILURES, consume};
use crate::tasks::call;
use crate::world::{World, eventually};

const PATTERN: &str = "queue-leveling";

/// Messages in a queue, also those that somebody has in hand.
pub async fn depth(world: &World, queue: &str) -> u64 {
    use aws_sdk_sqs::types::QueueAttributeName::{
        ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible,
    };
    let sqs = aws_sdk_sqs::Client::new(&world.sdk());
    let url = sqs.get_queue_url().queue_name(queue).send().await.unwrap();
    let answer = sqs
        .get_queue_attributes()
        .queue_url(url.queue_url.unwrap())
        .attribute_names(ApproximateNumberOfMessages)
        .attribute_names(ApproximateNumberOfMessagesNotVisible)
        .send()
        .await
        .unwrap();
    let figures = answer.attributes.unwrap();
    figures
        .values()
        .map(|figure| figure.parse::<u64>().unwrap())
        .sum()
}

/// The highest age of a queue's oldest message in the last hour and the next, in seconds: tests move the clock on.
pub async fn oldest(world: &World, queue: &str) -> f64 {
    use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat};
    let dimension = Dimension::builder().name("QueueName").value(queue).build();
    let metric = Metric::builder()
        .namespace("AWS/SQS")
        .metric_name("ApproximateAgeOfOldestMessage")
        .dimensions(dimension)
        .build();
    let stat = MetricStat::builder()
        .metric(metric)
        .period(60)
        .stat("Maximum");
    let query = MetricDataQuery::builder()
        .id("age")
        .metric_stat(stat.build());
    let time = |seconds: i64| {
        let at = jiff::Timestamp::now().as_second() + seconds;
        aws_sdk_cloudwatch::primitives::DateTime::from_secs(at)
    };
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&world.sdk());
    let get = cloudwatch.get_metric_data();
    let get = get.start_time(time(-3600)).end_time(time(3600));
    let answer = get.metric_data_queries(query.build()).send().await.unwrap();
    let values = answer.metric_data_results()[0].values();
    values.iter().copied().fold(0.0, f64::max)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_consumer_keeps_no_producer_waiting() {
    let world = World::start_with(&["--admin"]);
    consume(&world, false).await;
    for number in 0..30 {
        let task = json!({"title": format!("task {number}")});
        assert_eq!(world.post_task(PATTERN, &task).await.0, 201);
    }
    assert_eq!(depth(&world, QUEUE).await, 30, "the backlog waits");
    assert!(world.deliveries(PATTERN).await.is_empty());
    for minutes in [5, 10] {
        world.advance(Duration::from_mins(5)).await;
        eventually("the oldest grows older", async || {
            (oldest(&world, QUEUE).await >= f64::from(minutes * 60)).then_some(())
        })
        .await;
    }
    consume(&world, true).await;
    eventually("each is delivered once", async || {
        let deliveries = world.deliveries(PATTERN).await;
        let once = deliveries
            .iter()
            .filter(|(_, status, attempts)| status == "DELIVERED" && *attempts == 1);
        (once.count() == 30).then_some(())
    })
    .await;
    eventually("the queue is empty", async || {
        (depth(&world, QUEUE).await == 0).then_some(())
    })
    .await;
    assert_eq!(depth(&world, QUEUE_FAILURES).await, 0);
}

/// The original refused the whole batch when one record lacked its `event`.
#[tokio::test(flavor = "multi_thread")]
async fn d5_what_cannot_be_read_fails_alone() {
    let world = World::start();
    let queues = aws_sdk_sqs::Client::new(&world.sdk());
    let url = queues
        .get_queue_url()
        .queue_name(QUEUE)
        .send()
        .await
        .unwrap();
    let url = url.queue_url.unwrap();
    consume(&world, false).await;
    let at = "2026-01-01T00:00:00Z";
    let task = |id: u32| {
        json!({"task": {"id": format!("t{id}"), "title": "x", "isComplete": false, "createdAt": at, "updatedAt": at}})
            .to_string()
    };
    let named = |word: &str| {
        MessageAttributeValue::builder()
            .data_type("String")
            .string_value(word)
            .build()
            .unwrap()
    };
    for (body, event) in [
        (task(1), Some("task_created")),
        ("{".to_owned(), Some("task_created")),
        (task(2), None),
        (task(3), Some("task_eaten")),
        (task(4), Some("task_updated")),
        ("[]".to_owned(), None),
        (task(5), Some("task_deleted")),
    ] {
        let message = queues.send_message().queue_url(&url).message_body(body);
        let message = match event {
            Some(name) => message.message_attributes("event", named(name)),
            None => message,
        };
        message.send().await.unwrap();
    }
    consume(&world, true).await;
    eventually("four are dead letters", async || {
        (depth(&world, QUEUE_FAILURES).await == 4 && depth(&world, QUEUE).await == 0).then_some(())
    })
    .await;
    let mut delivered: Vec<_> = world.deliveries(PATTERN).await;
    delivered.sort();
    let delivered: Vec<_> = delivered
        .iter()
        .map(|(id, status, attempts)| (id.as_str(), status.as_str(), *attempts))
        .collect();
    assert_eq!(
        delivered,
        [
            ("DELIVERY#task_created-t1", "DELIVERED", 1),
            ("DELIVERY#task_deleted-t5", "DELIVERED", 1),
            (
                "DELIVERY#task_updated-t4-2026-01-01T00:00:00Z",
                "DELIVERED",
                1
            ),
        ],
        "updates and deletions are events like others, and no neighbour was tried twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn d12_a_correlation_id_goes_all_the_way_and_through_a_redrive() {
    let world = World::start();
    world
        .set(QUEUE_CONSUMER, &[("DELIVERY_FAIL_RATE", "1")])
        .await;
    let headers = [
        ("content-type", "application/json"),
        ("x-correlation-id", "order-7.a_b"),
    ];
    let body = r#"{"title": "x"}"#;
    let (status, _) = call(&world, PATTERN, Method::POST, "/tasks", &headers, body).await;
    assert_eq!(status, 201);
    let failed = eventually("a failed event", async || {
        let list = world.command(&["failed", "list", QUEUE_FAILURES]).json;
        list["events"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!(failed["correlation_id"], "order-7.a_b");
    let attempts = logs(&world, QUEUE_CONSUMER, "order-7.a_b").await;
    assert!(!attempts.is_empty(), "each attempt is told of");
    assert!(
        attempts
            .iter()
            .all(|line| line.contains("\"correlationId\":\"order-7.a_b\"")
                && line.contains("\"requestId\":")),
        "{attempts:?}"
    );
    world
        .set(QUEUE_CONSUMER, &[("DELIVERY_FAIL_RATE", "0")])
        .await;
    let redriven = world.command(&[
        "redrive",
        QUEUE_FAILURES,
        "--yes",
        "--force",
        "--all-at-once",
    ]);
    assert_eq!(redriven.code, 0, "{}", redriven.json);
    eventually("it is delivered under its id", async || {
        let lines = logs(&world, QUEUE_CONSUMER, "notification delivered").await;
        lines
            .iter()
            .any(|line| line.contains("order-7.a_b"))
            .then_some(())
    })
    .await;
    let bodies = logs(&world, QUEUE_CONSUMER, "title").await;
    assert!(bodies.is_empty(), "bodies are not logged: {bodies:?}");
}
