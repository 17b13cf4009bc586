//! Sending, receiving, deleting.

use aws_sdk_sqs::{
    primitives::Blob,
    types::{
        DeleteMessageBatchRequestEntry, MessageAttributeValue,
        MessageSystemAttributeName as System, MessageSystemAttributeNameForSends,
        MessageSystemAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry,
    },
};

use super::bench::{Bench, bodies, refused, system};

/// "Amazon SQS API Reference: `ReceiveMessage`": every receive raises `ApproximateReceiveCount`; the time of the first one stays.
#[tokio::test]
async fn f01_every_receive_raises_the_receive_count() {
    let bench = Bench::new().await;
    let queue = bench.queue("counted", &[]).await;
    bench.send(&queue, "x").await;
    let mut first = Vec::new();
    for count in ["1", "2", "3"] {
        let message = bench.receive_one(&queue, 0).await;
        let counted = system(&message, &System::ApproximateReceiveCount);
        assert_eq!(counted.as_deref(), Some(count));
        first.push(system(&message, &System::ApproximateFirstReceiveTimestamp).unwrap());
    }
    first.dedup();
    assert_eq!(first.len(), 1);
}

/// "Amazon SQS API Reference: `ReceiveMessage`": at most 10 messages, at most 20 s of waiting.
#[tokio::test]
async fn f02_a_receive_has_limits() {
    let bench = Bench::new().await;
    let queue = bench.queue("limits", &[]).await;
    let receive = || bench.sqs.receive_message().queue_url(&queue.url);
    for bad in [
        receive().max_number_of_messages(0),
        receive().max_number_of_messages(11),
        receive().wait_time_seconds(21),
        receive().visibility_timeout(43_201),
        receive().visibility_timeout(-1),
    ] {
        assert_eq!(refused(bad.send().await).0, "InvalidParameterValue");
    }
    for number in 0..12 {
        bench.send(&queue, &number.to_string()).await;
    }
    assert_eq!(receive().send().await.unwrap().messages().len(), 1);
    assert_eq!(bench.receive(&queue, 30).await.len(), 10);
}

/// "Amazon SQS short and long polling": a long poll answers as soon as there is a message.
#[tokio::test]
async fn f02_a_long_poll_wakes_at_once() {
    let bench = Bench::new().await;
    let queue = bench.queue("polled", &[]).await;
    let receive = bench.sqs.receive_message().queue_url(&queue.url);
    let waiting = tokio::spawn(receive.wait_time_seconds(20).send());
    let since = std::time::Instant::now();
    bench.send(&queue, "x").await;
    assert_eq!(bodies(waiting.await.unwrap().unwrap().messages()), ["x"]);
    assert!(since.elapsed().as_secs() < 15);
}

/// "Amazon SQS API Reference: `ChangeMessageVisibility`": 0 to 12 hours, for messages in flight, and of no effect on later receives.
#[tokio::test]
async fn f03_a_changed_visibility_timeout_is_of_this_receive_only() {
    let bench = Bench::new().await;
    let queue = bench.queue("changed", &[]).await;
    bench.send(&queue, "x").await;
    let message = bench.receive_one(&queue, 30).await;
    let change = || {
        let change = bench.sqs.change_message_visibility().queue_url(&queue.url);
        change.receipt_handle(message.receipt_handle().unwrap())
    };
    for bad in [-1, 43_201] {
        let bad = change().visibility_timeout(bad).send().await;
        assert_eq!(refused(bad).0, "InvalidParameterValue");
    }
    bench.make_visible(&queue, &message).await;
    let error = change().visibility_timeout(1).send().await;
    let error = error.err().unwrap().into_service_error();
    assert!(error.is_message_not_inflight(), "{error:?}");
    // The queue's own timeout, 30 s, holds again.
    let receive = bench.sqs.receive_message().queue_url(&queue.url);
    assert_eq!(receive.send().await.unwrap().messages().len(), 1);
    assert_eq!(bench.depth(&queue).await, (0, 1));
}

/// "Amazon SQS API Reference: `DeleteMessage`": the most recent handle is needed; an older one succeeds without deleting.
#[tokio::test]
async fn f04_an_old_receipt_handle_succeeds_without_deleting() {
    let bench = Bench::new().await;
    let queue = bench.queue("handles", &[]).await;
    bench.send(&queue, "x").await;
    let old = bench.receive_one(&queue, 0).await;
    let latest = bench.receive_one(&queue, 30).await;
    bench.delete(&queue, &old).await;
    assert_eq!(bench.depth(&queue).await, (0, 1));
    bench.delete(&queue, &latest).await;
    assert_eq!(bench.depth(&queue).await, (0, 0));
    let nonsense = bench.sqs.delete_message().queue_url(&queue.url);
    let nonsense = nonsense.receipt_handle("nonsense").send().await;
    assert_eq!(refused(nonsense).0, "ReceiptHandleIsInvalid");
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    let entry = SendMessageBatchRequestEntry::builder();
    entry.id(id).message_body(body).build().unwrap()
}

/// "Amazon SQS API Reference: `SendMessageBatch`": entries fail one by one in an answer with status 200.
#[tokio::test]
async fn f05_a_batch_succeeds_although_entries_fail() {
    let bench = Bench::new().await;
    let queue = bench.queue("partial", &[]).await;
    let late = SendMessageBatchRequestEntry::builder()
        .id("late")
        .message_body("x")
        .delay_seconds(901);
    let batch = bench.sqs.send_message_batch().queue_url(&queue.url);
    let batch = batch
        .entries(entry("good", "x"))
        .entries(late.build().unwrap())
        .entries(entry("binary", "\u{1b}"));
    let sent = batch.send().await.unwrap();
    assert_eq!(sent.successful().len(), 1);
    let failed: Vec<_> = sent
        .failed()
        .iter()
        .map(|entry| (entry.id(), entry.code(), entry.sender_fault()))
        .collect();
    assert_eq!(
        failed,
        [
            ("late", "InvalidParameterValue", true),
            ("binary", "InvalidMessageContents", true)
        ]
    );
    let message = bench.receive_one(&queue, 30).await;
    let entry = |id: &str, handle: &str| {
        let entry = DeleteMessageBatchRequestEntry::builder();
        entry.id(id).receipt_handle(handle).build().unwrap()
    };
    let batch = bench.sqs.delete_message_batch().queue_url(&queue.url);
    let batch = batch
        .entries(entry("good", message.receipt_handle().unwrap()))
        .entries(entry("bad", "nonsense"));
    let deleted = batch.send().await.unwrap();
    assert_eq!(deleted.successful()[0].id(), "good");
    assert_eq!(deleted.failed()[0].code(), "ReceiptHandleIsInvalid");
}

/// "Amazon SQS API Reference: `SendMessageBatch`": at most 10 entries with ids of their own, 1 MiB together.
#[tokio::test]
async fn f05_a_batch_as_a_whole_has_limits() {
    let bench = Bench::new().await;
    let queue = bench.queue("whole", &[]).await;
    let send = async |entries: Vec<SendMessageBatchRequestEntry>| {
        let batch = bench.sqs.send_message_batch().queue_url(&queue.url);
        let sent = batch.set_entries(Some(entries)).send().await;
        sent.err().unwrap().into_service_error()
    };
    let eleven = (0..11).map(|id| entry(&id.to_string(), "x")).collect();
    assert!(send(eleven).await.is_too_many_entries_in_batch_request());
    assert!(send(Vec::new()).await.is_empty_batch_request());
    let same = vec![entry("a", "x"), entry("a", "x")];
    assert!(send(same).await.is_batch_entry_ids_not_distinct());
    assert!(
        send(vec![entry("a b", "x")])
            .await
            .is_invalid_batch_entry_id()
    );
    let half = "x".repeat(524_289);
    let long = vec![entry("a", &half), entry("b", &half)];
    assert!(send(long).await.is_batch_request_too_long());
    assert_eq!(bench.depth(&queue).await, (0, 0));
}

/// "Amazon SQS message quotas": 1 MiB with the attributes, or less if the queue's `MaximumMessageSize` is lower.
#[tokio::test]
async fn f06_a_message_has_at_most_1_mib_or_what_the_queue_allows() {
    let bench = Bench::new().await;
    let size = QueueAttributeName::MaximumMessageSize;
    let large = bench.queue("large", &[]).await;
    assert_eq!(bench.attribute(&large, size.clone()).await, "1048576");
    let small = bench.queue("small", &[(size, "1024")]).await;
    for (queue, most) in [(large, 1_048_576), (small, 1024)] {
        bench.send(&queue, &"x".repeat(most)).await;
        let send = bench.sqs.send_message().queue_url(&queue.url);
        let send = send.message_body("x".repeat(most + 1)).send().await;
        assert_eq!(refused(send).0, "InvalidParameterValue");
    }
}

fn text(value: &str) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder().string_value(value);
    value.data_type("String").build().unwrap()
}

/// "Amazon SQS message metadata": at most 10 attributes; the trace header is none of them.
#[tokio::test]
async fn f18_a_message_has_at_most_ten_attributes_besides_the_trace_header() {
    let bench = Bench::new().await;
    let queue = bench.queue("ten", &[]).await;
    let trace = MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value("Root=1-5759e988-bd862e3fe1be46a994272793")
        .build()
        .unwrap();
    let mut send = bench.sqs.send_message().queue_url(&queue.url);
    send = send
        .message_body("x")
        .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, trace);
    for number in 0..10 {
        send = send.message_attributes(format!("a{number}"), text("x"));
    }
    send.clone().send().await.unwrap();
    let eleven = send.message_attributes("a10", text("x")).send().await;
    assert_eq!(refused(eleven).0, "InvalidParameterValue");
    let message = bench.receive_one(&queue, 30).await;
    assert_eq!(message.message_attributes.as_ref().unwrap().len(), 10);
    assert!(system(&message, &System::AwsTraceHeader).is_some());
}

/// "Amazon SQS message metadata": String, Number and Binary attributes come as they were sent, with the documented MD5 sums.
#[tokio::test]
async fn attributes_of_all_types_arrive_with_their_sums() {
    let bench = Bench::new().await;
    let queue = bench.queue("types", &[]).await;
    let number = MessageAttributeValue::builder()
        .data_type("Number.int")
        .string_value("42");
    let binary = MessageAttributeValue::builder()
        .data_type("Binary")
        .binary_value(Blob::new([0, 1, 255]));
    let send = bench.sqs.send_message().queue_url(&queue.url);
    let send = send
        .message_body("hello")
        .message_attributes("Zeta", text("é"))
        .message_attributes("count", number.build().unwrap())
        .message_attributes("Alpha", binary.build().unwrap());
    let answer = send.send().await.unwrap();
    let message = bench.receive_one(&queue, 30).await;
    // Computed with Python's hashlib from the documented encoding.
    let body = Some("5d41402abc4b2a76b9719d911017c592");
    let attributes = Some("a9e665730154abad56ed3f8fed342f9b");
    assert_eq!(
        (answer.md5_of_message_body(), message.md5_of_body()),
        (body, body)
    );
    assert_eq!(
        (
            answer.md5_of_message_attributes(),
            message.md5_of_message_attributes()
        ),
        (attributes, attributes)
    );
    let got = message.message_attributes.unwrap();
    assert_eq!(got["Alpha"].binary_value().unwrap().as_ref(), [0, 1, 255]);
    assert_eq!(got["count"].data_type(), "Number.int");
}

/// "Amazon SQS delay queues" and "message timers": the sender's delay wins over the queue's.
#[tokio::test]
async fn a_delayed_message_is_not_received() {
    let bench = Bench::new().await;
    let delay = (QueueAttributeName::DelaySeconds, "600");
    let queue = bench.queue("delayed", &[delay]).await;
    bench.send(&queue, "later").await;
    let now = bench.sqs.send_message().queue_url(&queue.url);
    let now = now.message_body("now").delay_seconds(0);
    now.send().await.unwrap();
    assert_eq!(bodies(&bench.receive(&queue, 30).await), ["now"]);
    let delayed = QueueAttributeName::ApproximateNumberOfMessagesDelayed;
    assert_eq!(bench.attribute(&queue, delayed).await, "1");
}
