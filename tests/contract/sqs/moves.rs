//! Message move tasks.

use aws_sdk_sqs::types::{ListMessageMoveTasksResultEntry, MessageSystemAttributeName as System};

use super::bench::{Bench, Queue, bodies, refused, system, wait_for};

async fn tasks(bench: &Bench, source: &Queue) -> Vec<ListMessageMoveTasksResultEntry> {
    let list = bench.sqs.list_message_move_tasks().source_arn(&source.arn);
    let output = list.max_results(10).send().await.unwrap();
    output.results.unwrap_or_default()
}

/// The newest task, when it has ended.
async fn ended(bench: &Bench, source: &Queue) -> ListMessageMoveTasksResultEntry {
    wait_for("the end of the task", async || {
        let newest = tasks(bench, source).await.remove(0);
        (newest.status() != Some("RUNNING")).then_some(newest)
    })
    .await
}

/// "Amazon SQS API Reference: `StartMessageMoveTask`": without a destination messages go back to their own sources, as new messages
/// with new ids and enqueue times ("Configure a dead-letter queue redrive").
#[tokio::test]
async fn f11_moved_messages_are_new_and_go_back_to_their_sources() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("back").await;
    let ids = bench.let_die(&source, &["1", "2"]).await;
    let old = bench.receive(&dead, 0).await;
    let before: i64 = system(&old[0], &System::SentTimestamp)
        .unwrap()
        .parse()
        .unwrap();
    let start = bench.sqs.start_message_move_task().source_arn(&dead.arn);
    let handle = start.send().await.unwrap().task_handle.unwrap();
    assert!(!handle.is_empty());
    let task = ended(&bench, &dead).await;
    assert_eq!(task.status(), Some("COMPLETED"));
    assert_eq!(task.task_handle(), None);
    assert_eq!(task.source_arn(), Some(dead.arn.as_str()));
    assert_eq!(task.destination_arn(), None);
    assert_eq!(task.max_number_of_messages_per_second(), None);
    assert_eq!(task.approximate_number_of_messages_moved(), 2);
    assert_eq!(task.approximate_number_of_messages_to_move(), Some(2));
    assert_eq!(task.failure_reason(), None);
    assert!(task.started_timestamp() >= before);
    assert_eq!(bench.depth(&dead).await, (0, 0));
    let moved = bench.receive(&source, 30).await;
    assert_eq!(bodies(&moved), ["1", "2"]);
    for message in &moved {
        assert!(!ids.contains(&message.message_id().unwrap().to_owned()));
        let count = system(message, &System::ApproximateReceiveCount);
        assert_eq!(count.as_deref(), Some("1"));
        let sent_at = system(message, &System::SentTimestamp).unwrap();
        assert!(sent_at.parse::<i64>().unwrap() >= task.started_timestamp());
        assert_eq!(system(message, &System::DeadLetterQueueSourceArn), None);
    }
}

/// "Amazon SQS API Reference: `StartMessageMoveTask`": the source must be the dead-letter queue of a queue, and must exist.
#[tokio::test]
async fn f10_only_a_dead_letter_queue_of_a_queue_can_be_moved_from() {
    let bench = Bench::new().await;
    let plain = bench.queue("plain", &[]).await;
    let start = bench.sqs.start_message_move_task();
    let (code, text) = refused(start.clone().source_arn(&plain.arn).send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(text.contains("Dead Letter Queue"), "{text}");
    let missing = bench.cloud.queue_arn("missing");
    for source in [missing.as_str(), "nonsense"] {
        let error = start.clone().source_arn(source).send().await;
        let error = error.err().unwrap().into_service_error();
        assert!(error.is_resource_not_found_exception(), "{error:?}");
    }
    let (_, dead) = bench.queue_with_dead_letters("moved-nowhere").await;
    let start = start.source_arn(&dead.arn);
    let error = start.clone().destination_arn(&missing).send().await;
    let error = error.err().unwrap().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
    let fifo = bench.queue("moved-nowhere-to.fifo", &[]).await;
    for destination in [&dead.arn, &fifo.arn] {
        let bad = start.clone().destination_arn(destination).send().await;
        assert_eq!(refused(bad).0, "InvalidParameterValue");
    }
}

/// "Amazon SQS API Reference: `StartMessageMoveTask`": one active task per queue, 1 to 500 messages a second; and
/// "`CancelMessageMoveTask`": only a running task is cancelled, and what it moved stays moved.
#[tokio::test]
async fn f10_one_task_runs_at_its_rate_until_it_is_cancelled() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("slow").await;
    bench.let_die(&source, &["1", "2", "3", "4", "5"]).await;
    let start = || bench.sqs.start_message_move_task().source_arn(&dead.arn);
    for rate in [0, 501] {
        let bad = start().max_number_of_messages_per_second(rate).send().await;
        assert_eq!(refused(bad).0, "InvalidParameterValue");
    }
    let started = start().max_number_of_messages_per_second(1).send().await;
    let handle = started.unwrap().task_handle.unwrap();
    let running = wait_for("the first message", async || {
        let task = tasks(&bench, &dead).await.remove(0);
        (task.approximate_number_of_messages_moved() > 0).then_some(task)
    })
    .await;
    assert_eq!(running.status(), Some("RUNNING"));
    assert_eq!(running.task_handle(), Some(handle.as_str()));
    assert_eq!(running.max_number_of_messages_per_second(), Some(1));
    assert_eq!(running.approximate_number_of_messages_to_move(), Some(5));
    let (code, text) = refused(start().send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(text.contains("already a task running"), "{text}");

    let cancel = || {
        bench
            .sqs
            .cancel_message_move_task()
            .task_handle(&handle)
            .send()
    };
    let moved = cancel()
        .await
        .unwrap()
        .approximate_number_of_messages_moved();
    assert!((1..5).contains(&moved), "{moved}");
    let task = tasks(&bench, &dead).await.remove(0);
    assert_eq!(task.status(), Some("CANCELLED"));
    assert_eq!(task.task_handle(), None);
    assert_eq!(task.approximate_number_of_messages_moved(), moved);
    let left = u32::try_from(5 - moved).unwrap();
    assert_eq!(bench.depth(&dead).await, (left, 0));
    assert_eq!(bench.depth(&source).await, (5 - left, 0));
    assert_eq!(refused(cancel().await).0, "InvalidParameterValue");
    let nonsense = bench.sqs.cancel_message_move_task().task_handle("nonsense");
    assert_eq!(refused(nonsense.send().await).0, "InvalidParameterValue");
    start().send().await.unwrap();
    assert_eq!(ended(&bench, &dead).await.status(), Some("COMPLETED"));
    assert_eq!(bench.depth(&source).await, (5, 0));
}

/// "Amazon SQS API Reference: `ListMessageMoveTasks`": the most recent one, or up to ten; of an existing queue.
#[tokio::test]
async fn f10_at_most_ten_tasks_are_listed_newest_first() {
    let bench = Bench::new().await;
    let (_, dead) = bench.queue_with_dead_letters("many-moves").await;
    assert!(tasks(&bench, &dead).await.is_empty());
    for rate in 1..=11 {
        let start = bench.sqs.start_message_move_task().source_arn(&dead.arn);
        let start = start.max_number_of_messages_per_second(rate);
        start.send().await.unwrap();
        ended(&bench, &dead).await;
    }
    let rates: Vec<_> = tasks(&bench, &dead)
        .await
        .iter()
        .filter_map(ListMessageMoveTasksResultEntry::max_number_of_messages_per_second)
        .collect();
    assert_eq!(rates, (2..=11).rev().collect::<Vec<_>>());
    let list = bench.sqs.list_message_move_tasks();
    let one = list.clone().source_arn(&dead.arn).send().await.unwrap();
    assert_eq!(one.results().len(), 1);
    for bad in [0, 11] {
        let bad = list.clone().source_arn(&dead.arn).max_results(bad);
        assert_eq!(refused(bad.send().await).0, "InvalidParameterValue");
    }
    let missing = list.source_arn(bench.cloud.queue_arn("missing"));
    let error = missing.send().await.err().unwrap().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

/// "Troubleshooting issues in Amazon SQS": a message that was sent straight to the dead-letter queue has no source, so the task
/// fails; a custom destination is the remedy.
#[tokio::test]
async fn f12_a_message_without_a_source_fails_the_task() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("sourceless").await;
    let other = bench.queue("sourceless-other", &[]).await;
    bench.let_die(&source, &["known"]).await;
    bench.send(&dead, "direct").await;
    let start = bench.sqs.start_message_move_task().source_arn(&dead.arn);
    start.clone().send().await.unwrap();
    let task = ended(&bench, &dead).await;
    assert_eq!(task.status(), Some("FAILED"));
    assert_eq!(
        task.failure_reason(),
        Some("CouldNotDetermineMessageSource")
    );
    assert_eq!(task.approximate_number_of_messages_moved(), 1);
    assert_eq!(bodies(&bench.receive(&source, 30).await), ["known"]);
    assert_eq!(bench.depth(&dead).await, (1, 0));

    start.destination_arn(&other.arn).send().await.unwrap();
    let task = ended(&bench, &dead).await;
    assert_eq!(task.status(), Some("COMPLETED"));
    assert_eq!(task.destination_arn(), Some(other.arn.as_str()));
    assert_eq!(bodies(&bench.receive(&other, 30).await), ["direct"]);
}

/// "Troubleshooting issues in Amazon SQS": a source that was deleted fails the task as a queue that does not exist.
#[tokio::test]
async fn f12_a_source_that_is_gone_fails_the_task() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("gone").await;
    let policy = super::bench::redrive_policy(&dead, 1);
    let name = aws_sdk_sqs::types::QueueAttributeName::RedrivePolicy;
    bench.queue("gone-sibling", &[(name, &policy)]).await;
    bench.let_die(&source, &["x"]).await;
    let delete = bench.sqs.delete_queue().queue_url(&source.url);
    delete.send().await.unwrap();
    let start = bench.sqs.start_message_move_task().source_arn(&dead.arn);
    start.send().await.unwrap();
    let task = ended(&bench, &dead).await;
    assert_eq!(
        task.failure_reason(),
        Some("AWS.SimpleQueueService.NonExistentQueue")
    );
    assert_eq!(bench.depth(&dead).await, (1, 0));
}

/// "Configure a dead-letter queue redrive": FIFO queues too, oldest first, each message in its group.
#[tokio::test]
async fn f15_a_fifo_dead_letter_queue_is_moved_in_order() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("ordered.fifo").await;
    bench.let_die(&source, &["1", "2", "3"]).await;
    let start = bench.sqs.start_message_move_task().source_arn(&dead.arn);
    start.send().await.unwrap();
    assert_eq!(ended(&bench, &dead).await.status(), Some("COMPLETED"));
    let moved = bench.receive(&source, 30).await;
    assert_eq!(bodies(&moved), ["1", "2", "3"]);
    let group = system(&moved[0], &System::MessageGroupId);
    assert_eq!(group.as_deref(), Some("group"));
}
