//! What `--state-dir` keeps: the emulator ends, or is killed, and the next one in the same place goes on.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use super::bench::{Bench, mapping, wait_until};
use super::cloud;
use super::emulator::Emulator;
use super::event_source::send;

#[tokio::test(flavor = "multi_thread")]
async fn functions_of_a_zip_run_again_and_their_mappings_drain() {
    let Some(bench) = Bench::keeping().await else {
        return;
    };
    bench.create("f", 1).await;
    let (_, arn) = bench.queue("q", &[]).await;
    mapping(&bench, &arn).send().await.unwrap();
    bench.reserve("f", 3).await.unwrap();

    let bench = bench.restart().await;
    let (_, error) = bench.invoke("f", json!({"n": 1})).await;
    assert_eq!(error, None);
    let (url, _) = bench.queue("q", &[]).await;
    send(&bench, &url, &["later"]).await;
    wait_until("the message is processed", || async {
        bench.runs().len() == 2
    })
    .await;
    let concurrency = bench.lambda.get_function_concurrency();
    let concurrency = concurrency.function_name("f").send().await.unwrap();
    assert_eq!(concurrency.reserved_concurrent_executions(), Some(3));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_had_not_ended_runs_again_under_its_id() {
    let Some(bench) = Bench::keeping().await else {
        return;
    };
    bench.create("f", 30).await;
    let id = bench.send_event("f", &json!({"do": "hold"})).await;
    wait_until("it runs", || async { bench.runs().len() == 1 }).await;

    let bench = bench.restart().await;
    wait_until("it runs again", || async { bench.runs().len() == 2 }).await;
    assert_eq!(bench.runs()[1]["id"], id);
    bench.release();
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_emulator_has_kept_what_it_had_written() {
    if cloud::leaves_out("it kills the emulator") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let emulator = Emulator::keeping_in(dir.path());
    let config = emulator.cloud().config.clone();
    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = sqs.create_queue().queue_name("q").send().await.unwrap();
    let send = sqs.send_message().queue_url(queue.queue_url.unwrap());
    send.message_body("kept whole").send().await.unwrap();
    let tables = aws_sdk_dynamodb::Client::new(&config);
    let item = tables.put_item().table_name("queue-leveling-TasksTable");
    let key = AttributeValue::S("TASK#kept".to_owned());
    item.item("pk", key.clone()).send().await.unwrap();
    let queues = dir.path().join("aws/queues.ndjson");
    wait_until("the message is written", || async {
        std::fs::read_to_string(&queues).is_ok_and(|text| text.contains("kept whole"))
    })
    .await;
    emulator.kill().await;

    let emulator = Emulator::keeping_in(dir.path());
    let config = emulator.cloud().config.clone();
    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = sqs.get_queue_url().queue_name("q").send().await.unwrap();
    let receive = sqs.receive_message().queue_url(queue.queue_url.unwrap());
    let received = receive.send().await.unwrap();
    assert_eq!(received.messages()[0].body(), Some("kept whole"));
    let tables = aws_sdk_dynamodb::Client::new(&config);
    let item = tables.get_item().table_name("queue-leveling-TasksTable");
    let item = item.key("pk", key).send().await.unwrap();
    assert!(item.item.is_some());
    emulator.kill().await;
}
