//! The API of tasks: what each request is answered with, good and bad.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::world::World;

/// Sends a request and answers with the status and the JSON of the answer, which is null where there is none.
pub async fn call(
    world: &World,
    pattern: &str,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<reqwest::Body>,
) -> (StatusCode, Value) {
    let url = format!("{}{path}", world.api(pattern));
    let mut request = reqwest::Client::new().request(method, url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_request_says_what_is_wrong_with_it() {
    let world = World::start();
    let pattern = "internal-handoff";
    let large = json!({"title": "x", "more": "y".repeat(200_000)}).to_string();
    let long = format!("{{\"title\": \"{}\"}}", "x".repeat(101));
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (header, body, status, part) in [
        (JSON, "", 400, "Request body is required"),
        (JSON, "{", 400, "Invalid JSON in request body"),
        (JSON, "[]", 400, "JSON object"),
        (JSON, "{}", 400, "title: Title is required"),
        (
            JSON,
            &long,
            400,
            "title: Title must not exceed 100 characters",
        ),
        (JSON, r#"{"title": 5}"#, 400, "title: "),
        (
            JSON,
            r#"{"title": "x", "isComplete": "true"}"#,
            400,
            "isComplete: ",
        ),
        (
            JSON,
            r#"{"title": "x", "dueAt": "2025-12-31"}"#,
            400,
            "dueAt: ",
        ),
        (
            JSON,
            r#"{"title": "x", "status": "eaten"}"#,
            400,
            "status: ",
        ),
        (
            JSON,
            r#"{"title": "x", "status": "completed", "isComplete": false}"#,
            400,
            "contradict",
        ),
        (JSON, &large, 413, "131072 bytes"),
        (form, r#"{"title": "x"}"#, 415, "application/json"),
        (
            ("idempotency-key", ""),
            r#"{"title": "x"}"#,
            400,
            "Idempotency-Key",
        ),
    ] {
        let id = ("x-correlation-id", "bad-1");
        let (answered, error) = call(
            &world,
            pattern,
            Method::POST,
            "/tasks",
            &[header, id],
            body.to_owned(),
        )
        .await;
        assert_eq!(answered, status, "{body:.80}: {error}");
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
        assert_eq!(error["error"], error["message"]);
        assert_eq!(error["correlationId"], "bad-1");
    }
    // Without a content type, and with more than is known, it is fine.
    let more = r#"{"title": "x", "colour": "red"}"#;
    let (status, task) = call(&world, pattern, Method::POST, "/tasks", &[], more).await;
    assert_eq!((status.as_u16(), &task["colour"]), (201, &Value::Null));

    let path = format!("/tasks/{}", task["id"].as_str().unwrap());
    for (body, part) in [
        (r#"{"title": "x"}"#, "isComplete or status is required"),
        ("{}", "Title is required"),
    ] {
        let (status, error) = call(&world, pattern, Method::PUT, &path, &[JSON], body).await;
        assert_eq!(status, 400);
        assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    }
    let absurd = format!("/tasks/{}", "x".repeat(3_000));
    for nobody in [
        "/tasks/no-such-task",
        "/tasks/%2e%2e%2f",
        "/tasks/%00",
        &absurd,
    ] {
        for method in [Method::GET, Method::DELETE] {
            let (status, error) = call(&world, pattern, method, nobody, &[], "").await;
            assert_eq!(status, 404, "{nobody:.40}: {error}");
        }
    }
    let encoded = path.replace('-', "%2D");
    let (status, same) = call(&world, pattern, Method::GET, &encoded, &[], "").await;
    assert_eq!((status.as_u16(), &same["id"]), (200, &task["id"]));
    no_page(&world).await;
    assert_eq!(world.items("internal-handoff-TasksTable").await.len(), 1);
}

/// Pages that cannot be asked for.
async fn no_page(world: &World) {
    let long = format!("nextToken={}", "x".repeat(3_000));
    for query in [
        "limit=0",
        "limit=1001",
        "limit=many",
        "limit=-1",
        "nextToken=",
        &long,
    ] {
        let path = format!("/tasks?{query}");
        let (status, error) = call(world, "internal-handoff", Method::GET, &path, &[], "").await;
        assert_eq!(status, 400, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_idempotency_key_makes_one_task() {
    let world = World::start();
    let pattern = "queue-leveling";
    let headers = [JSON, ("idempotency-key", "order-7")];
    let post = |body: &'static str| call(&world, pattern, Method::POST, "/tasks", &headers, body);
    let body = r#"{"title": "Only once"}"#;
    let at_once = futures::future::join_all((0..8).map(|_| post(body))).await;
    let mut ids = BTreeSet::new();
    for (status, answer) in &at_once {
        match status.as_u16() {
            201 => ids.insert(answer["id"].to_string()),
            409 => continue,
            other => panic!("{other}: {answer}"),
        };
    }
    assert_eq!(ids.len(), 1, "{at_once:?}");
    let (status, again) = post(body).await;
    assert_eq!(status, 201);
    assert!(ids.contains(&again["id"].to_string()));
    assert_eq!(post(r#"{"title": "Another"}"#).await.0, 422);
    assert_eq!(world.items("queue-leveling-TasksTable").await.len(), 1);
}

/// More than the 1 MB at which a page of a scan ends.
#[tokio::test(flavor = "multi_thread")]
async fn d10_a_long_list_is_complete() {
    const TASKS: usize = 1_500;
    let world = World::start();
    let dynamo = aws_sdk_dynamodb::Client::new(&world.sdk());
    let text = |value: String| AttributeValue::S(value);
    let at = || text("2026-01-01T00:00:00Z".to_owned());
    for batch in (0..TASKS).collect::<Vec<_>>().chunks(25) {
        let writes = batch.iter().map(|number| {
            let put = PutRequest::builder()
                .item("pk", text(format!("TASK#{number}")))
                .item("id", text(number.to_string()))
                .item("title", text(format!("task {number}")))
                .item("detail", text("d".repeat(1_000)))
                .item("isComplete", AttributeValue::Bool(false))
                .item("createdAt", at())
                .item("updatedAt", at())
                .build()
                .unwrap();
            WriteRequest::builder().put_request(put).build()
        });
        let table = "internal-handoff-TasksTable";
        let written = dynamo
            .batch_write_item()
            .request_items(table, writes.collect())
            .send()
            .await
            .unwrap();
        assert!(
            written
                .unprocessed_items()
                .is_none_or(std::collections::HashMap::is_empty)
        );
    }
    let list = |query: String| {
        let path = format!("/tasks{query}");
        let world = &world;
        async move {
            call(world, "internal-handoff", Method::GET, &path, &[], "")
                .await
                .1
        }
    };
    let ids = |tasks: &Value| -> Vec<String> {
        let tasks = tasks.as_array().unwrap().iter();
        tasks
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let all: BTreeSet<_> = ids(&list(String::new()).await).into_iter().collect();
    assert_eq!(all.len(), TASKS);

    let mut paged = Vec::new();
    let mut query = "?limit=400".to_owned();
    loop {
        let page = list(query).await;
        let tasks = ids(&page["tasks"]);
        assert!(tasks.len() <= 400);
        paged.extend(tasks);
        let Some(next) = page["nextToken"].as_str() else {
            break;
        };
        query = format!("?limit=400&nextToken={next}");
    }
    assert_eq!(paged.len(), TASKS, "each once");
    assert_eq!(paged.into_iter().collect::<BTreeSet<_>>(), all);
}

/// Another function asks without HTTP, and gets a typed answer or an error.
#[tokio::test(flavor = "multi_thread")]
async fn d9_tasks_are_listed_for_other_functions_too() {
    let world = World::start();
    let lambda = aws_sdk_lambda::Client::new(&world.sdk());
    let ask = async |payload: &str| {
        lambda
            .invoke()
            .function_name("internal-handoff-list-tasks")
            .payload(aws_sdk_lambda::primitives::Blob::new(payload))
            .send()
            .await
            .unwrap()
    };
    let answer = ask("{}").await;
    assert_eq!(answer.function_error(), None);
    let tasks: Value = serde_json::from_slice(answer.payload().unwrap().as_ref()).unwrap();
    assert_eq!(tasks, json!({"tasks": []}));
    let wrong = ask(r#"{"limit": "many"}"#).await;
    assert!(wrong.function_error().is_some());
    let error: Value = serde_json::from_slice(wrong.payload().unwrap().as_ref()).unwrap();
    assert_eq!(error["errorType"], "InvalidRequest", "{error}");
}
