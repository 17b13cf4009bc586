//! FIFO queues.

use aws_sdk_sqs::types::{
    MessageSystemAttributeName as System, QueueAttributeName, SendMessageBatchRequestEntry,
};

use super::bench::{Bench, bodies, redrive_policy, refused, system};

/// "Amazon SQS API Reference: `CreateQueue`": the name of a FIFO queue ends with `.fifo`, and `FifoQueue` cannot be changed.
#[tokio::test]
async fn fifo_names_and_the_fifo_attribute_belong_together() {
    let bench = Bench::new().await;
    let create = |name: &str, fifo: Option<&str>| {
        let request = bench.sqs.create_queue();
        let request = request.queue_name(bench.cloud.name(name));
        match fifo {
            Some(value) => request.attributes(QueueAttributeName::FifoQueue, value),
            None => request,
        }
        .send()
    };
    for (name, fifo, code) in [
        ("kind.fifo", None, "InvalidParameterValue"),
        ("kind", Some("true"), "InvalidParameterValue"),
        (".fifo", Some("true"), "InvalidParameterValue"),
        ("kind", Some("false"), "InvalidAttributeName"),
    ] {
        assert_eq!(refused(create(name, fifo).await).0, code, "{name} {fifo:?}");
    }
    let queue = bench.queue("kind.fifo", &[]).await;
    for (name, value) in [
        (QueueAttributeName::FifoQueue, "true"),
        (QueueAttributeName::ContentBasedDeduplication, "false"),
        (QueueAttributeName::DeduplicationScope, "queue"),
        (QueueAttributeName::FifoThroughputLimit, "perQueue"),
    ] {
        assert_eq!(bench.attribute(&queue, name).await, value);
    }
    let change = bench.sqs.set_queue_attributes().queue_url(&queue.url);
    let change = change.attributes(QueueAttributeName::FifoQueue, "false");
    assert_eq!(refused(change.send().await).0, "InvalidAttributeValue");
}

/// "Amazon SQS API Reference: `SendMessage`": a FIFO queue needs `MessageGroupId` and a deduplication id, from the sender or from
/// the content, and takes no delay per message; a standard queue takes no deduplication id.
#[tokio::test]
async fn each_kind_of_queue_asks_for_its_own_parameters() {
    let bench = Bench::new().await;
    let fifo = bench.queue("parameters.fifo", &[]).await;
    let standard = bench.queue("parameters", &[]).await;
    let send = |url: &str| bench.sqs.send_message().queue_url(url).message_body("x");
    let no_group = send(&fifo.url).message_deduplication_id("1");
    assert_eq!(refused(no_group.send().await).0, "MissingParameter");
    let no_id = send(&fifo.url).message_group_id("g");
    let (code, text) = refused(no_id.clone().send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(text.contains("ContentBasedDeduplication"), "{text}");
    let with_id = no_id.message_deduplication_id("1");
    for bad in [
        with_id.clone().delay_seconds(1),
        with_id.clone().message_group_id("with space"),
        with_id.clone().message_group_id("x".repeat(129)),
        with_id.clone().message_deduplication_id(""),
        send(&standard.url).message_deduplication_id("1"),
    ] {
        assert_eq!(refused(bad.send().await).0, "InvalidParameterValue");
    }
    with_id.delay_seconds(0).send().await.unwrap();
    assert_eq!(bench.depth(&fifo).await, (1, 0));
}

/// "Amazon SQS API Reference: `SendMessage`: `MessageGroupId`": on a standard queue it names the tenant and orders nothing.
#[tokio::test]
async fn a_standard_queue_takes_a_message_group_id() {
    let bench = Bench::new().await;
    let queue = bench.queue("tenants", &[]).await;
    for body in ["1", "2"] {
        let send = bench.sqs.send_message().queue_url(&queue.url);
        let send = send.message_group_id("tenant").message_body(body);
        let answer = send.send().await.unwrap();
        assert_eq!(answer.sequence_number(), None);
    }
    let first = bench.sqs.receive_message().queue_url(&queue.url);
    assert_eq!(first.send().await.unwrap().messages().len(), 1);
    let second = bench.receive_one(&queue, 30).await;
    assert_eq!(
        system(&second, &System::MessageGroupId).as_deref(),
        Some("tenant")
    );
    assert_eq!(system(&second, &System::SequenceNumber), None);
}

/// "Exactly-once processing in Amazon SQS" and "Amazon SQS API Reference: `SendMessage`": a duplicate is accepted, answered as the
/// first message was, and not delivered; the id is remembered although the first message was deleted.
#[tokio::test]
async fn f15_a_duplicate_is_accepted_and_not_delivered() {
    let bench = Bench::new().await;
    let queue = bench.queue("duplicates.fifo", &[]).await;
    let send = |body: &str| {
        let send = bench.sqs.send_message().queue_url(&queue.url);
        let send = send.message_group_id("g").message_deduplication_id("id");
        send.message_body(body).send()
    };
    let first = send("first").await.unwrap();
    let message = bench.receive_one(&queue, 30).await;
    bench.delete(&queue, &message).await;
    let second = send("second").await.unwrap();
    assert_eq!(second.message_id(), first.message_id());
    assert_eq!(second.sequence_number(), first.sequence_number());
    assert_ne!(second.md5_of_message_body(), first.md5_of_message_body());
    assert_eq!(bench.depth(&queue).await, (0, 0));
    assert_eq!(
        system(&message, &System::MessageDeduplicationId).as_deref(),
        Some("id")
    );
    assert_eq!(
        system(&message, &System::SequenceNumber).as_deref(),
        first.sequence_number()
    );
}

/// "Amazon SQS API Reference: `SendMessage`: `MessageDeduplicationId`": with `ContentBasedDeduplication` it is the SHA-256 of the
/// body, not of the attributes, unless the sender gives one.
#[tokio::test]
async fn content_based_deduplication_is_by_the_sha_256_of_the_body() {
    let bench = Bench::new().await;
    let content_based = (QueueAttributeName::ContentBasedDeduplication, "true");
    let queue = bench.queue("content.fifo", &[content_based]).await;
    let send = bench.sqs.send_message().queue_url(&queue.url);
    let send = send.message_group_id("g").message_body("hello");
    let sha = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    send.clone().send().await.unwrap();
    send.clone().send().await.unwrap();
    send.clone()
        .message_deduplication_id(sha)
        .send()
        .await
        .unwrap();
    send.message_deduplication_id("own").send().await.unwrap();
    let messages = bench.receive(&queue, 30).await;
    let ids = messages
        .iter()
        .map(|message| system(message, &System::MessageDeduplicationId).unwrap());
    assert_eq!(ids.collect::<Vec<_>>(), [sha, "own"]);
}

/// "High throughput for FIFO queues in Amazon SQS": `DeduplicationScope` may be the message group.
#[tokio::test]
async fn deduplication_may_be_by_group() {
    let bench = Bench::new().await;
    let scope = (QueueAttributeName::DeduplicationScope, "messageGroup");
    let limit = (QueueAttributeName::FifoThroughputLimit, "perMessageGroupId");
    let queue = bench.queue("scope.fifo", &[scope, limit]).await;
    for group in ["a", "b", "a"] {
        bench.send_in(&queue, group, "same").await;
    }
    assert_eq!(bench.depth(&queue).await, (2, 0));
    let create = bench.sqs.create_queue();
    let create = create.queue_name(bench.cloud.name("scope-2.fifo"));
    let create = create
        .attributes(QueueAttributeName::FifoQueue, "true")
        .attributes(QueueAttributeName::FifoThroughputLimit, "perMessageGroupId");
    assert_eq!(refused(create.send().await).0, "InvalidAttributeValue");
}

/// "FIFO delivery logic in Amazon SQS": while messages of a group are in flight, no more of the group are returned; other groups
/// are. So more of a group can be received only after deleting.
#[tokio::test]
async fn f16_in_flight_messages_block_their_group() {
    let bench = Bench::new().await;
    let queue = bench.queue("groups.fifo", &[]).await;
    for body in ["a1", "a2", "b1"] {
        bench.send_in(&queue, &body[..1], body).await;
    }
    let one = bench.sqs.receive_message().queue_url(&queue.url);
    let one = one.send().await.unwrap().messages.unwrap().remove(0);
    assert_eq!(one.body(), Some("a1"));
    assert_eq!(bodies(&bench.receive(&queue, 30).await), ["b1"]);
    assert!(bench.receive(&queue, 30).await.is_empty());
    bench.delete(&queue, &one).await;
    assert_eq!(bodies(&bench.receive(&queue, 30).await), ["a2"]);
}

/// "FIFO delivery logic in Amazon SQS": a receive returns as many messages of one group as possible, in order; a batch is sent in
/// order; sequence numbers grow.
#[tokio::test]
async fn a_batch_keeps_its_order_and_sequence_numbers_grow() {
    let bench = Bench::new().await;
    let queue = bench.queue("order.fifo", &[]).await;
    let mut batch = bench.sqs.send_message_batch().queue_url(&queue.url);
    for number in 0..10 {
        let entry = SendMessageBatchRequestEntry::builder()
            .id(number.to_string())
            .message_body(number.to_string())
            .message_group_id(["even", "odd"][number % 2])
            .message_deduplication_id(number.to_string());
        batch = batch.entries(entry.build().unwrap());
    }
    let sent = batch.send().await.unwrap();
    let numbers: Vec<_> = sent
        .successful()
        .iter()
        .map(|entry| entry.sequence_number().unwrap())
        .collect();
    assert_eq!(numbers.len(), 10);
    assert!(numbers.is_sorted_by(|earlier, later| earlier < later));
    assert!(numbers.iter().all(|number| number.len() == 20));
    let messages = bench.receive(&queue, 30).await;
    assert_eq!(
        bodies(&messages),
        ["0", "2", "4", "6", "8", "1", "3", "5", "7", "9"]
    );
}

/// "FIFO delivery logic in Amazon SQS": a consumer that waits for a blocked group gets it as soon as the group is free.
#[tokio::test]
async fn a_long_poll_wakes_when_its_group_is_free() {
    let bench = Bench::new().await;
    let queue = bench.queue("waiting.fifo", &[]).await;
    bench.send_in(&queue, "g", "1").await;
    let first = bench.receive_one(&queue, 600).await;
    bench.send_in(&queue, "g", "2").await;
    let wait = bench.sqs.receive_message().queue_url(&queue.url);
    let waiting = tokio::spawn(wait.wait_time_seconds(20).send());
    bench.delete(&queue, &first).await;
    let got = waiting.await.unwrap().unwrap();
    assert_eq!(bodies(got.messages()), ["2"]);
}

/// "Amazon SQS API Reference: `ReceiveMessage`: `ReceiveRequestAttemptId`": deleting after the visibility timeout fails in a FIFO
/// queue; deleting twice does not.
#[tokio::test]
async fn an_expired_handle_of_a_fifo_queue_is_refused() {
    let bench = Bench::new().await;
    let queue = bench.queue("expired.fifo", &[]).await;
    bench.send_in(&queue, "g", "1").await;
    let old = bench.receive_one(&queue, 0).await;
    let delete = bench.sqs.delete_message().queue_url(&queue.url);
    let delete = delete.receipt_handle(old.receipt_handle().unwrap());
    let (code, text) = refused(delete.send().await);
    assert_eq!(code, "InvalidParameterValue");
    assert!(text.contains("expired"), "{text}");
    let latest = bench.receive_one(&queue, 30).await;
    bench.delete(&queue, &latest).await;
    bench.delete(&queue, &latest).await;
    assert_eq!(bench.depth(&queue).await, (0, 0));
}

/// "Amazon SQS API Reference: `ReceiveMessage`: `ReceiveRequestAttemptId`": the same attempt gets the same messages and handles,
/// until one of them is deleted.
#[tokio::test]
async fn a_receive_attempt_can_be_repeated() {
    let bench = Bench::new().await;
    let queue = bench.queue("attempts.fifo", &[]).await;
    bench.send_in(&queue, "g", "1").await;
    let receive = || {
        let receive = bench.sqs.receive_message().queue_url(&queue.url);
        receive.receive_request_attempt_id("attempt").send()
    };
    let first = receive().await.unwrap();
    let again = receive().await.unwrap();
    assert_eq!(first.messages().len(), 1);
    assert_eq!(first.messages(), again.messages());
    bench.delete(&queue, &first.messages()[0]).await;
    assert!(receive().await.unwrap().messages().is_empty());
}

/// "Using dead-letter queues in Amazon SQS": the dead-letter queue of a FIFO queue is a FIFO queue, and of a standard queue a
/// standard one.
#[tokio::test]
async fn f15_a_fifo_source_needs_a_fifo_dead_letter_queue() {
    let bench = Bench::new().await;
    let standard = bench.queue("parity-dlq", &[]).await;
    let fifo = bench.queue("parity-dlq.fifo", &[]).await;
    for (source, dead) in [
        (bench.queue("parity.fifo", &[]).await, standard),
        (bench.queue("parity", &[]).await, fifo),
    ] {
        let set = bench.sqs.set_queue_attributes().queue_url(&source.url);
        let policy = redrive_policy(&dead, 1);
        let set = set.attributes(QueueAttributeName::RedrivePolicy, policy);
        let (code, text) = refused(set.send().await);
        assert_eq!(code, "InvalidParameterValue");
        assert!(text.contains("same type"), "{text}");
    }
}

/// "Using dead-letter queues in Amazon SQS": on the move into a FIFO dead-letter queue the message id becomes the deduplication id
/// and the enqueue time is reset; group and message id stay.
#[tokio::test]
async fn f07_f15_a_fifo_dead_letter_has_a_new_enqueue_time_and_its_id_for_deduplication() {
    let bench = Bench::new().await;
    let (source, dead) = bench.queue_with_dead_letters("letters.fifo").await;
    let id = bench.send_in(&source, "group", "body").await;
    let first = bench.receive_one(&source, 0).await;
    let sent_at: i64 = system(&first, &System::SentTimestamp)
        .unwrap()
        .parse()
        .unwrap();
    // The enqueue time has milliseconds: the next one must have come before the message moves.
    super::bench::wait_for("the next millisecond", || async {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        (now.as_millis() > u128::try_from(sent_at).unwrap()).then_some(())
    })
    .await;
    assert!(bench.receive(&source, 0).await.is_empty());
    let moved = bench.receive_one(&dead, 30).await;
    assert_eq!(moved.message_id(), Some(id.as_str()));
    assert_eq!(system(&moved, &System::MessageDeduplicationId), Some(id));
    assert_eq!(
        system(&moved, &System::MessageGroupId).as_deref(),
        Some("group")
    );
    let moved_at: i64 = system(&moved, &System::SentTimestamp)
        .unwrap()
        .parse()
        .unwrap();
    assert!(moved_at > sent_at, "{moved_at} {sent_at}");
    assert_eq!(
        system(&moved, &System::DeadLetterQueueSourceArn),
        Some(source.arn)
    );
}
