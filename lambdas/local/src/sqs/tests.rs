#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;

fn sqs() -> Sqs {
    Sqs::new(
        Clock::default(),
        Metrics::new(Clock::default()),
        Witness::default(),
        "http://127.0.0.1:4566".to_owned(),
    )
}

async fn ask(sqs: &Sqs, operation: &str, input: Value) -> Value {
    let input = input.to_string();
    let answer = sqs.handle(operation, input.as_bytes()).await.unwrap();
    serde_json::from_slice(&answer).unwrap()
}

async fn refused(sqs: &Sqs, operation: &str, input: Value) -> AwsError {
    let input = input.to_string();
    sqs.handle(operation, input.as_bytes()).await.unwrap_err()
}

async fn queue(sqs: &Sqs, name: &str) -> String {
    let created = ask(sqs, "CreateQueue", json!({ "QueueName": name })).await;
    created["QueueUrl"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn creating_again_is_the_same_queue_unless_an_attribute_differs() {
    let sqs = sqs();
    let create = |visibility: &str| json!({ "QueueName": "jobs", "Attributes": { "VisibilityTimeout": visibility } });
    let first = ask(&sqs, "CreateQueue", create("5")).await;
    assert_eq!(first["QueueUrl"], "http://127.0.0.1:4566/000000000000/jobs");
    assert_eq!(ask(&sqs, "CreateQueue", create("5")).await, first);
    assert_eq!(
        ask(&sqs, "CreateQueue", json!({ "QueueName": "jobs" })).await,
        first
    );
    let error = refused(&sqs, "CreateQueue", create("6")).await;
    assert_eq!(
        (error.code, error.query_code),
        ("QueueNameExists", Some("QueueAlreadyExists"))
    );
}

#[test]
fn the_name_of_a_deleted_queue_is_free_after_a_minute() {
    let mut queues = Queues::default();
    queues.deleted_at.insert("jobs".to_owned(), 1_000);
    queues.forget_deleted(60_999);
    assert!(queues.deleted_at.contains_key("jobs"));
    queues.forget_deleted(61_000);
    assert!(queues.deleted_at.is_empty());
}

#[tokio::test]
async fn a_hundred_move_tasks_run_in_the_account_and_no_more() {
    let sqs = sqs();
    queue(&sqs, "elsewhere").await;
    for number in 0..=100 {
        let name = format!("dlq-{number}");
        let url = queue(&sqs, &name).await;
        let policy = json!({ "deadLetterTargetArn": queue_arn(&name), "maxReceiveCount": 1 });
        let create = json!({ "QueueName": format!("source-{number}"), "Attributes": { "RedrivePolicy": policy.to_string() } });
        ask(&sqs, "CreateQueue", create).await;
        // At one a second the task runs for longer than this test.
        let entries: Vec<_> = (0..10)
            .map(|id| json!({ "Id": id.to_string(), "MessageBody": "x" }))
            .collect();
        let send = json!({ "QueueUrl": url, "Entries": entries });
        for _ in 0..10 {
            ask(&sqs, "SendMessageBatch", send.clone()).await;
        }
        let start = json!({ "SourceArn": queue_arn(&name), "DestinationArn": queue_arn("elsewhere"), "MaxNumberOfMessagesPerSecond": 1 });
        let start = start.to_string();
        let started = sqs.handle("StartMessageMoveTask", start.as_bytes());
        match started.await {
            Ok(_) => assert!(number < 100),
            Err(error) => assert_eq!((number, error.code), (100, "UnsupportedOperation")),
        }
    }
}

/// The consumer that a mapping is must not keep what it processed because one handle of its batch is too old.
#[tokio::test]
async fn one_expired_handle_of_a_fifo_queue_does_not_keep_the_other_messages() {
    let sqs = sqs();
    let create = json!({ "QueueName": "jobs.fifo", "Attributes": { "FifoQueue": "true" } });
    let created = ask(&sqs, "CreateQueue", create).await;
    let url = &created["QueueUrl"];
    for id in ["a", "b"] {
        let send = json!({ "QueueUrl": url, "MessageBody": id, "MessageGroupId": id, "MessageDeduplicationId": id });
        ask(&sqs, "SendMessage", send).await;
    }
    let arn = queue_arn("jobs.fifo");
    let got = sqs.receive(&arn, 10, Duration::ZERO).await.unwrap();
    let handles: Vec<_> = got
        .iter()
        .map(|message| message.receipt_handle.clone())
        .collect();
    sqs.change_in("jobs.fifo", &handles[0], 0).unwrap();
    let error = sqs.delete(&arn, &handles).unwrap_err();
    assert!(error.message.contains("expired"), "{error}");
    let shown = sqs.attributes(&arn).unwrap();
    assert_eq!(shown["ApproximateNumberOfMessages"], "1");
    assert_eq!(shown["ApproximateNumberOfMessagesNotVisible"], "0");
}

#[tokio::test]
async fn a_batch_as_a_whole_is_refused_for_what_is_wrong_with_it() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    let entry = |id: &str, bytes: usize| json!({ "Id": id, "MessageBody": "x".repeat(bytes) });
    let eleven = (0..11)
        .map(|id| entry(&id.to_string(), 1))
        .collect::<Vec<_>>();
    for (entries, code) in [
        (json!([]), "EmptyBatchRequest"),
        (json!(eleven), "TooManyEntriesInBatchRequest"),
        (
            json!([entry("a", 1), entry("a", 1)]),
            "BatchEntryIdsNotDistinct",
        ),
        (json!([entry("a b", 1)]), "InvalidBatchEntryId"),
        (
            json!([entry("a", 600_000), entry("b", 600_000)]),
            "BatchRequestTooLong",
        ),
    ] {
        let error = refused(
            &sqs,
            "SendMessageBatch",
            json!({ "QueueUrl": url, "Entries": entries }),
        )
        .await;
        assert_eq!(error.code, code);
    }
    assert_eq!(
        sqs.attributes(&queue_arn("jobs")).unwrap()["ApproximateNumberOfMessages"],
        "0"
    );
}

#[tokio::test]
async fn entries_fail_one_by_one() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    let entries = json!([
        { "Id": "good", "MessageBody": "x" },
        { "Id": "late", "MessageBody": "x", "DelaySeconds": 901 },
        { "Id": "escape", "MessageBody": "\u{1b}[2J" },
        { "Id": "empty", "MessageBody": "" },
        { "Id": "type", "MessageBody": "x", "MessageAttributes": { "a": { "DataType": "Date", "StringValue": "x" } } },
        { "Id": "number", "MessageBody": "x", "MessageAttributes": { "a": { "DataType": "Number", "StringValue": "x" } } },
    ]);
    let answer = ask(
        &sqs,
        "SendMessageBatch",
        json!({ "QueueUrl": url, "Entries": entries }),
    )
    .await;
    assert_eq!(answer["Successful"].as_array().unwrap().len(), 1);
    let failed: Vec<_> = answer["Failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["Id"], &entry["Code"]))
        .collect();
    let expected = [
        ("late", "InvalidParameterValue"),
        ("escape", "InvalidMessageContents"),
        ("empty", "MissingParameter"),
        ("type", "InvalidParameterValue"),
        ("number", "InvalidParameterValue"),
    ]
    .map(|(id, code)| (json!(id), json!(code)));
    assert_eq!(
        failed,
        expected
            .iter()
            .map(|(id, code)| (id, code))
            .collect::<Vec<_>>()
    );

    let got = ask(&sqs, "ReceiveMessage", json!({ "QueueUrl": url })).await;
    let handle = &got["Messages"][0]["ReceiptHandle"];
    let entries =
        json!([{ "Id": "1", "ReceiptHandle": handle }, { "Id": "2", "ReceiptHandle": "nonsense" }]);
    let answer = ask(
        &sqs,
        "DeleteMessageBatch",
        json!({ "QueueUrl": url, "Entries": entries }),
    )
    .await;
    assert_eq!(answer["Successful"], json!([{ "Id": "1" }]));
    assert_eq!(answer["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
}

#[tokio::test]
async fn limits_hold_at_their_edges() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    let attributes = |count: usize| -> serde_json::Map<String, Value> {
        (0..count)
            .map(|number| {
                (
                    format!("a{number}"),
                    json!({ "DataType": "String", "StringValue": "x" }),
                )
            })
            .collect()
    };
    let send = |body: usize, count: usize| json!({ "QueueUrl": url, "MessageBody": "x".repeat(body), "MessageAttributes": attributes(count) });
    ask(&sqs, "SendMessage", send(1_048_576, 0)).await;
    // Name, type and value of ten attributes are 90 bytes.
    ask(&sqs, "SendMessage", send(1_048_576 - 90, 10)).await;
    for input in [send(1_048_577, 0), send(1_048_576 - 89, 10), send(1, 11)] {
        assert_eq!(
            refused(&sqs, "SendMessage", input).await.query_code,
            Some("InvalidParameterValue")
        );
    }
    for (operation, parameter, bad) in [
        ("ReceiveMessage", "MaxNumberOfMessages", 0),
        ("ReceiveMessage", "MaxNumberOfMessages", 11),
        ("ReceiveMessage", "WaitTimeSeconds", 21),
        ("ReceiveMessage", "VisibilityTimeout", 43_201),
        ("ReceiveMessage", "VisibilityTimeout", -1),
    ] {
        let error = refused(&sqs, operation, json!({ "QueueUrl": url, parameter: bad })).await;
        assert!(error.message.contains(parameter), "{error}");
    }
}

#[tokio::test]
async fn only_the_attributes_asked_for_are_shown_and_the_sum_is_of_those() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
    let input = json!({
        "QueueUrl": url,
        "MessageBody": "x",
        "MessageAttributes": { "trace.id": text("1"), "trace.span": text("2"), "other": text("3") },
        "MessageSystemAttributes": { "AWSTraceHeader": text("Root=1") },
    });
    ask(&sqs, "SendMessage", input).await;
    let mut receive = json!({ "QueueUrl": url, "VisibilityTimeout": 0 });
    let plain = ask(&sqs, "ReceiveMessage", receive.clone()).await;
    let fields: Vec<_> = plain["Messages"][0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["MessageId", "ReceiptHandle", "MD5OfBody", "Body"]);

    receive["MessageAttributeNames"] = json!(["trace.*"]);
    receive["MessageSystemAttributeNames"] = json!(["AWSTraceHeader"]);
    let filtered = ask(&sqs, "ReceiveMessage", receive).await;
    let message = &filtered["Messages"][0];
    assert_eq!(
        message["MessageAttributes"],
        json!({ "trace.id": text("1"), "trace.span": text("2") })
    );
    assert_eq!(message["Attributes"], json!({ "AWSTraceHeader": "Root=1" }));
    // Computed with Python's hashlib from the documented encoding.
    assert_eq!(
        message["MD5OfMessageAttributes"],
        "1ab164f89b8e2da62f49b50602cdf107"
    );
}

#[tokio::test]
async fn a_redrive_policy_needs_its_target_and_names_its_sources() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    let policy = |target: &str| {
        let policy =
            json!({ "deadLetterTargetArn": queue_arn(target), "maxReceiveCount": 3 }).to_string();
        json!({ "QueueUrl": url, "Attributes": { "RedrivePolicy": policy } })
    };
    let error = refused(&sqs, "SetQueueAttributes", policy("jobs-dlq")).await;
    assert!(error.message.contains("does not exist"), "{error}");
    let dead = queue(&sqs, "jobs-dlq").await;
    ask(&sqs, "SetQueueAttributes", policy("jobs-dlq")).await;
    let sources = ask(
        &sqs,
        "ListDeadLetterSourceQueues",
        json!({ "QueueUrl": dead }),
    )
    .await;
    assert_eq!(sources, json!({ "queueUrls": [url] }));
}

#[tokio::test]
async fn queues_are_listed_in_pages() {
    let sqs = sqs();
    for name in ["a1", "a2", "a3", "b1"] {
        queue(&sqs, name).await;
    }
    let mut names = Vec::new();
    let mut request = json!({ "QueueNamePrefix": "a", "MaxResults": 2 });
    loop {
        let page = ask(&sqs, "ListQueues", request.clone()).await;
        names.extend(
            page["QueueUrls"]
                .as_array()
                .unwrap()
                .iter()
                .map(|url| url.as_str().unwrap()[35..].to_owned()),
        );
        match page.get("NextToken") {
            Some(token) => request["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["a1", "a2", "a3"]);
}

#[tokio::test]
async fn a_second_purge_within_a_minute_is_refused() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    sqs.send(
        &queue_arn("jobs"),
        Outgoing {
            body: "x".to_owned(),
            ..Outgoing::default()
        },
    )
    .unwrap();
    ask(&sqs, "PurgeQueue", json!({ "QueueUrl": url })).await;
    assert_eq!(
        sqs.attributes(&queue_arn("jobs")).unwrap()["ApproximateNumberOfMessages"],
        "0"
    );
    assert_eq!(
        refused(&sqs, "PurgeQueue", json!({ "QueueUrl": url }))
            .await
            .code,
        "PurgeQueueInProgress"
    );
}

#[tokio::test]
async fn a_waiting_receiver_gets_what_is_sent_and_learns_that_its_queue_is_gone() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    let arn = queue_arn("jobs");
    let wait = Duration::from_mins(10);
    let receiver = tokio::spawn({
        let (sqs, arn) = (sqs.clone(), arn.clone());
        async move { sqs.receive(&arn, 10, wait).await }
    });
    tokio::task::yield_now().await;
    let id = sqs
        .send(
            &arn,
            Outgoing {
                body: "x".to_owned(),
                ..Outgoing::default()
            },
        )
        .unwrap();
    let got = receiver.await.unwrap().unwrap();
    assert_eq!(got[0].message_id, id);
    sqs.change_in("jobs", &got[0].receipt_handle, 0).unwrap();
    let again = sqs.receive(&arn, 10, wait).await.unwrap();
    assert_eq!(again[0].attributes["ApproximateReceiveCount"], "2");
    sqs.delete(&arn, &[got[0].receipt_handle.clone()]).unwrap();
    assert_eq!(
        sqs.attributes(&arn).unwrap()["ApproximateNumberOfMessagesNotVisible"],
        "1"
    );
    sqs.delete(&arn, &[again[0].receipt_handle.clone()])
        .unwrap();
    assert_eq!(
        sqs.attributes(&arn).unwrap()["ApproximateNumberOfMessagesNotVisible"],
        "0"
    );

    let receiver = tokio::spawn({
        let sqs = sqs.clone();
        async move { sqs.receive(&arn, 10, wait).await }
    });
    tokio::task::yield_now().await;
    ask(&sqs, "DeleteQueue", json!({ "QueueUrl": url })).await;
    assert_eq!(
        receiver.await.unwrap().unwrap_err().code,
        "QueueDoesNotExist"
    );
}

#[tokio::test]
async fn nonsense_is_refused_and_never_a_panic() {
    let sqs = sqs();
    let url = queue(&sqs, "jobs").await;
    for operation in [
        "CreateQueue",
        "GetQueueUrl",
        "ListQueues",
        "DeleteQueue",
        "PurgeQueue",
        "ListDeadLetterSourceQueues",
        "GetQueueAttributes",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
        "ListQueueTags",
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
    ] {
        let error = refused(&sqs, operation, json!([1])).await;
        assert_eq!(error.code, "SerializationException", "{operation}");
        if !matches!(operation, "CreateQueue" | "GetQueueUrl" | "ListQueues") {
            assert_eq!(
                refused(&sqs, operation, json!({})).await.query_code,
                Some("MissingParameter"),
                "{operation}"
            );
            for (bad, code) in [
                ("jobs", "InvalidAddress"),
                ("/", "InvalidAddress"),
                ("http://x/111111111111/jobs", "QueueDoesNotExist"),
            ] {
                let error = refused(&sqs, operation, json!({ "QueueUrl": bad, "Attributes": {}, "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 1 })).await;
                assert_eq!(error.code, code, "{operation} {bad}");
            }
        }
    }
    for operation in [
        "StartMessageMoveTask",
        "ListMessageMoveTasks",
        "CancelMessageMoveTask",
    ] {
        for (bad, code) in [
            (json!([1]), "SerializationException"),
            (json!({}), "MissingRequiredParameterException"),
        ] {
            assert_eq!(refused(&sqs, operation, bad).await.code, code);
        }
    }
    assert_eq!(
        refused(&sqs, "ReceiveEverything", json!({})).await.code,
        "UnknownOperationException"
    );
    assert_eq!(
        refused(&sqs, "SendMessage", json!({ "QueueUrl": url }))
            .await
            .query_code,
        Some("MissingParameter")
    );
}
