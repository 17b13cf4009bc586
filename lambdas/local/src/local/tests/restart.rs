//! One directory and one emulator after another: what was there is there again.

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName as Name};

use super::*;

async fn start_in(directory: &tempfile::TempDir, template: &str) -> Result<Local, StartError> {
    let path = directory.path();
    Local::start(Options {
        port: 0,
        concurrency: 50,
        retry_waits: [Duration::from_secs(1), Duration::from_secs(2)],
        exec_command: Vec::new(),
        function_command: Vec::new(),
        work_dir: path.join("functions"),
        state_dir: Some(path.join("aws")),
        templates: vec![("orders".to_owned(), template.to_owned())],
        admin: false,
    })
    .await
}

const TEMPLATE: &str = r#"
Resources:
  Work:
    Type: AWS::SQS::Queue
    Properties: {QueueName: work, VisibilityTimeout: 60}
  Ordered:
    Type: AWS::SQS::Queue
    Properties: {QueueName: ordered.fifo, FifoQueue: true}
  Idle:
    Type: AWS::SQS::Queue
    Properties: {QueueName: idle}
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: provided.al2023
      Handler: worker
      FunctionName: worker
      Events:
        Idle:
          Type: SQS
          Properties: {Queue: !GetAtt Idle.Arn, FilterCriteria: {Filters: [{Pattern: '{"body":{"kind":["job"]}}'}]}}
  Items:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: items
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expiresAt, Enabled: true}
"#;

struct Queue {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    fn of(local: &Local, name: &str) -> Self {
        Self {
            client: aws_sdk_sqs::Client::new(&sdk(local)),
            url: format!("{}/000000000000/{name}", local.endpoint_url),
        }
    }

    async fn receive(&self, most: i32) -> Vec<Message> {
        let call = self.client.receive_message().queue_url(&self.url);
        let call = call
            .max_number_of_messages(most)
            .message_attribute_names("All")
            .message_system_attribute_names(Name::All);
        call.send().await.unwrap().messages.unwrap_or_default()
    }

    async fn send_in(&self, group: &str, body: &str) {
        let call = self.client.send_message().queue_url(&self.url);
        let call = call.message_body(body).message_group_id(group);
        call.message_deduplication_id(body).send().await.unwrap();
    }

    async fn delete(&self, handle: &str) {
        let call = self.client.delete_message().queue_url(&self.url);
        call.receipt_handle(handle).send().await.unwrap();
    }

    async fn release(&self, handle: &str) {
        let call = self.client.change_message_visibility().queue_url(&self.url);
        let call = call.receipt_handle(handle).visibility_timeout(0);
        call.send().await.unwrap();
    }
}

fn system<'a>(message: &'a Message, name: &Name) -> &'a str {
    &message.attributes.as_ref().unwrap()[name]
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    let bodies = messages.iter().map(|message| message.body().unwrap());
    bodies.collect()
}

#[tokio::test]
async fn a_message_comes_back_with_its_attributes_its_counts_and_its_handles() {
    let directory = tempfile::tempdir().unwrap();
    let local = start_in(&directory, TEMPLATE).await.unwrap();
    let work = Queue::of(&local, "work");
    for body in ["seen", "held"] {
        let bytes = MessageAttributeValue::builder()
            .data_type("Binary")
            .binary_value(Blob::new([0, 255]));
        let call = work.client.send_message().queue_url(&work.url);
        let call = call
            .message_body(body)
            .message_attributes("bytes", bytes.build().unwrap());
        call.send().await.unwrap();
    }
    let before = work.receive(2).await;
    assert_eq!(bodies(&before), ["seen", "held"]);
    work.release(before[0].receipt_handle().unwrap()).await;
    local.stop().await;

    let local = start_in(&directory, TEMPLATE).await.unwrap();
    let work = Queue::of(&local, "work");
    let after = work.receive(10).await;
    assert_eq!(bodies(&after), ["seen"], "the other is still in flight");
    let (before_it, after_it) = (&before[0], &after[0]);
    assert_eq!(before_it.message_id, after_it.message_id);
    assert_eq!(before_it.message_attributes, after_it.message_attributes);
    assert_eq!(system(after_it, &Name::ApproximateReceiveCount), "2");
    for same in [
        Name::SentTimestamp,
        Name::ApproximateFirstReceiveTimestamp,
        Name::SenderId,
    ] {
        assert_eq!(system(before_it, &same), system(after_it, &same));
    }
    // The handle of a receive before the restart is still the message's latest.
    work.delete(before[1].receipt_handle().unwrap()).await;
    work.delete(after_it.receipt_handle().unwrap()).await;
    local.stop().await;

    let local = start_in(&directory, TEMPLATE).await.unwrap();
    let shown = sqs(
        &local,
        "GetQueueAttributes",
        json!({"QueueUrl": Queue::of(&local, "work").url, "AttributeNames": ["All"]}),
    );
    let shown: Value = shown.await.json().await.unwrap();
    let shown = &shown["Attributes"];
    assert_eq!(shown["ApproximateNumberOfMessages"], "0");
    assert_eq!(shown["ApproximateNumberOfMessagesNotVisible"], "0");
    local.stop().await;
}

#[tokio::test]
async fn a_fifo_queue_keeps_its_order_its_held_groups_and_what_it_has_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let local = start_in(&directory, TEMPLATE).await.unwrap();
    let queue = Queue::of(&local, "ordered.fifo");
    for (group, body) in [("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2")] {
        queue.send_in(group, body).await;
    }
    let first = queue.receive(1).await;
    assert_eq!(bodies(&first), ["a1"]);
    local.stop().await;

    let local = start_in(&directory, TEMPLATE).await.unwrap();
    let queue = Queue::of(&local, "ordered.fifo");
    // A duplicate of before, and one that is new.
    queue.send_in("b", "b1").await;
    queue.send_in("b", "b3").await;
    let others = queue.receive(10).await;
    assert_eq!(bodies(&others), ["b1", "b2", "b3"], "group a is held");
    let number = |message: &Message| {
        let number = system(message, &Name::SequenceNumber);
        number.parse::<u128>().unwrap()
    };
    assert!(others.is_sorted_by_key(number));
    queue.delete(first[0].receipt_handle().unwrap()).await;
    assert_eq!(bodies(&queue.receive(10).await), ["a2"]);
    local.stop().await;
}

#[tokio::test]
async fn items_and_functions_stay_and_a_template_that_changed_is_applied() {
    let directory = tempfile::tempdir().unwrap();
    let local = start_in(&directory, TEMPLATE).await.unwrap();
    let tables = aws_sdk_dynamodb::Client::new(&sdk(&local));
    let pk = AttributeValue::S("1".to_owned());
    let put = tables.put_item().table_name("items").item("pk", pk.clone());
    put.send().await.unwrap();
    let mappings = aws_sdk_lambda::Client::new(&sdk(&local));
    let before = mappings.list_event_source_mappings().send().await.unwrap();
    let before = before.event_source_mappings.unwrap();
    local.stop().await;

    let changed = TEMPLATE.replace("Handler: worker", "Handler: another");
    let local = start_in(&directory, &changed).await.unwrap();
    let tables = aws_sdk_dynamodb::Client::new(&sdk(&local));
    let got = tables.get_item().table_name("items").key("pk", pk);
    assert!(got.send().await.unwrap().item.is_some());
    let lambda = aws_sdk_lambda::Client::new(&sdk(&local));
    let function = lambda.get_function_configuration().function_name("worker");
    let function = function.send().await.unwrap();
    assert_eq!(function.handler(), Some("another"));
    let after = lambda.list_event_source_mappings().send().await.unwrap();
    let after = after.event_source_mappings.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].uuid, before[0].uuid);
    assert_eq!(after[0].filter_criteria, before[0].filter_criteria);
    local.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_stops_the_start_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    start_in(&directory, TEMPLATE).await.unwrap().stop().await;
    for (name, from, to, part) in [
        (
            "queues.ndjson",
            "\"version\":1",
            "\"version\":2",
            "version 2",
        ),
        ("queues.ndjson", "\"End\"\n", "", "not complete"),
        (
            "functions.json",
            "\"version\":1",
            "\"version\":2",
            "version 2",
        ),
        ("functions.json", "{", "{{", "line 1"),
    ] {
        let path = directory.path().join("aws").join(name);
        let whole = std::fs::read_to_string(&path).unwrap();
        let broken = whole.replacen(from, to, 1);
        assert_ne!(whole, broken, "{from} in {whole}");
        std::fs::write(&path, &broken).unwrap();
        let error = start_in(&directory, TEMPLATE).await.err().unwrap();
        let error = error.to_string();
        for part in [part, name, "--state-dir"] {
            assert!(error.contains(part), "{part} in {error}");
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), broken);
        std::fs::write(&path, whole).unwrap();
    }
    start_in(&directory, TEMPLATE).await.unwrap().stop().await;
}
