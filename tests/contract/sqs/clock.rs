//! What takes minutes or days, seen by moving the emulator's clock.

use std::time::Duration;

use aws_sdk_sqs::types::QueueAttributeName;

use super::bench::{Steered, bodies};

const DAY: Duration = Duration::from_hours(24);

/// Amazon SQS Developer Guide, "Using dead-letter queues in Amazon SQS": in a standard dead-letter queue a message expires by its original enqueue
/// time.
#[tokio::test]
async fn f9_fourteen_days_of_retention_count_from_the_original_send() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let (source, dead) = bench.queue_with_dead_letters("aging").await;
    let retention = [(QueueAttributeName::MessageRetentionPeriod, "1209600")];
    for queue in [&source, &dead] {
        let request = bench.sqs.set_queue_attributes().queue_url(&queue.url);
        let request = request.attributes(retention[0].0.clone(), retention[0].1);
        request.send().await.unwrap();
    }
    bench.send(&source, "x").await;
    steered.advance(DAY * 10).await;
    assert_eq!(bench.receive(&source, 0).await.len(), 1);
    assert!(bench.receive(&source, 0).await.is_empty());
    assert_eq!(bench.depth(&dead).await, (1, 0));
    // Four days there, not fourteen.
    steered.advance(Duration::from_mins(4 * 24 * 60 - 1)).await;
    assert_eq!(bench.depth(&dead).await, (1, 0));
    steered.advance(Duration::from_mins(1)).await;
    assert_eq!(bench.depth(&dead).await, (0, 0));
    steered.local.stop().await;
}

/// Amazon SQS Developer Guide, "Using dead-letter queues in Amazon SQS": in a FIFO dead-letter queue the enqueue time is reset.
#[tokio::test]
async fn f9_the_retention_of_a_fifo_dead_letter_queue_begins_with_the_move() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let (source, dead) = bench.queue_with_dead_letters("aging.fifo").await;
    bench.send_in(&source, "g", "x").await;
    // The default retention is four days.
    steered.advance(DAY * 3).await;
    bench.receive_one(&source, 0).await;
    assert!(bench.receive(&source, 0).await.is_empty());
    steered.advance(DAY * 3).await;
    assert_eq!(bench.depth(&dead).await, (1, 0));
    steered.advance(DAY).await;
    assert_eq!(bench.depth(&dead).await, (0, 0));
    steered.local.stop().await;
}

/// Amazon SQS Developer Guide, "Exactly-once processing in Amazon SQS": the deduplication interval is five minutes.
#[tokio::test]
async fn a_deduplication_id_is_remembered_for_five_minutes() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("once.fifo", &[]).await;
    let first = bench.send_in(&queue, "g", "x").await;
    steered.advance(Duration::from_secs(299)).await;
    assert_eq!(bench.send_in(&queue, "g", "x").await, first);
    assert_eq!(bench.depth(&queue).await, (1, 0));
    steered.advance(Duration::from_secs(1)).await;
    assert_ne!(bench.send_in(&queue, "g", "x").await, first);
    assert_eq!(bench.depth(&queue).await, (2, 0));
    steered.local.stop().await;
}

/// Amazon SQS API Reference, `PurgeQueue` (once in 60 seconds) and `DeleteQueue` (60 seconds before the name can be used again).
#[tokio::test]
async fn a_minute_after_a_purge_or_a_deletion_both_are_possible_again() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("again", &[]).await;
    let purge = || bench.sqs.purge_queue().queue_url(&queue.url).send();
    purge().await.unwrap();
    purge().await.unwrap_err();
    steered.advance(Duration::from_mins(1)).await;
    purge().await.unwrap();
    let delete = bench.sqs.delete_queue().queue_url(&queue.url);
    delete.send().await.unwrap();
    let create = || bench.sqs.create_queue().queue_name("again").send();
    create().await.unwrap_err();
    steered.advance(Duration::from_mins(1)).await;
    create().await.unwrap();
    steered.local.stop().await;
}

/// Amazon SQS Developer Guide, "Amazon SQS visibility timeout" and "Amazon SQS delay queues".
#[tokio::test]
async fn a_waiting_receiver_gets_what_a_move_of_the_clock_makes_visible() {
    let Some(steered) = Steered::start().await else {
        return;
    };
    let bench = &steered.bench;
    let queue = bench.queue("late", &[]).await;
    let request = bench.sqs.send_message().queue_url(&queue.url);
    let request = request.message_body("x").delay_seconds(900);
    request.send().await.unwrap();
    let receiving = tokio::spawn({
        let request = bench.sqs.receive_message().queue_url(&queue.url);
        async move { request.wait_time_seconds(20).send().await.unwrap() }
    });
    // Whether the wait has begun or not: what is visible then is received.
    steered.advance(Duration::from_mins(15)).await;
    let messages = receiving.await.unwrap().messages.unwrap_or_default();
    assert_eq!(bodies(&messages), ["x"]);
    steered.local.stop().await;
}
