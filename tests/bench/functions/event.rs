//! What functions find in their environment, and what they are invoked with.

use serde_json::{Value, json};

use super::cloud::TASK;

/// Every variable that any of them requires.
pub const VARIABLES: [(&str, &str); 37] = [
    ("AWS_REGION", "us-east-1"),
    ("AWS_ACCESS_KEY_ID", "any"),
    ("AWS_SECRET_ACCESS_KEY", "any"),
    ("AWS_LAMBDA_FUNCTION_NAME", "f"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
    ("AWS_LAMBDA_LOG_GROUP_NAME", "g"),
    ("AWS_LAMBDA_LOG_STREAM_NAME", "s"),
    ("AWS_LAMBDA_LOG_FORMAT", "JSON"),
    ("ACCOUNTS_TABLE", "t"),
    ("AUDIT_TABLE", "t"),
    ("BATCHES_TABLE", "t"),
    ("CHECKOUT_OUTBOX_TABLE", "t"),
    ("DELIVERIES_TABLE", "t"),
    ("LEEDS_TABLE", "t"),
    ("NOTIFICATIONS_TABLE", "t"),
    ("ORDERS_TABLE", "t"),
    ("OUTBOX_TABLE", "t"),
    ("PARTS_TABLE", "t"),
    ("PAYMENTS_TABLE", "t"),
    ("PRODUCTS_TABLE", "t"),
    ("REQUESTS_TABLE", "t"),
    ("SUBSCRIPTIONS_TABLE", "t"),
    ("TASKS_TABLE", "t"),
    ("UPLOADS_TABLE", "t"),
    ("CHECKOUT_QUEUE_URL", "http://127.0.0.1/0/q"),
    ("CHUNK_QUEUE_URL", "http://127.0.0.1/0/q"),
    ("ROW_QUEUE_URL", "http://127.0.0.1/0/q"),
    ("NOTIFICATION_QUEUE_URL", "http://127.0.0.1/0/q"),
    ("PRIORITY_QUEUE_URL", "http://127.0.0.1/0/q"),
    ("DEAD_LETTER_QUEUE_URLS", "http://127.0.0.1/0/q"),
    ("NOTIFIER", "sqs"),
    ("LIST_TASKS_FUNCTION_NAME", "g"),
    ("AUTH_TARGET", "lambda://auth"),
    ("PAYMENT_TARGET", "lambda://payment"),
    ("GATEWAY_ROUTES", "auth=lambda://auth"),
    ("RATE_LIMIT_PER_MINUTE", "1000000"),
];

/// What `function` is invoked with, where it is measured at work.
pub fn of(function: &str) -> Option<String> {
    let task = json!({"title": "Buy milk", "detail": "two litres"});
    let event = match function {
        "create-task" => request("POST", "/tasks", &task),
        "get-task" => request("GET", &format!("/tasks/{TASK}"), &Value::Null),
        "list-tasks" => request("GET", "/tasks", &Value::Null),
        "update-task" => request(
            "PUT",
            &format!("/tasks/{TASK}"),
            &json!({"title": "Buy milk", "isComplete": true}),
        ),
        "delete-task" => request("DELETE", &format!("/tasks/{TASK}"), &Value::Null),
        "gateway" => request("GET", "/auth/me", &Value::Null),
        "auth" => request(
            "POST",
            "/auth/register",
            &json!({"email": "ada@example.com", "name": "Ada", "password": "correct horse"}),
        ),
        "send-notification" => envelope(),
        "send-queued-notification" => records(1, |_| envelope()),
        "create-task-subscriber" => records(
            10,
            |row| json!({"batchId": "b", "chunk": 1, "correlationId": "c", "row": row, "task": task}),
        ),
        _ => return None,
    };
    Some(event.to_string())
}

fn envelope() -> Value {
    let at = "2026-01-01T00:00:00Z";
    json!({
        "id": format!("task_created-{TASK}"), "action": "task_created", "correlationId": "c", "occurredAt": at, "source": "bench",
        "payload": {"task": {"id": TASK, "title": "Buy milk", "isComplete": false, "createdAt": at, "updatedAt": at}},
    })
}

/// An event of an HTTP API, payload format 2.0.
fn request(method: &str, path: &str, body: &Value) -> Value {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "bench", "x-correlation-id": "c"},
        "requestContext": {
            "accountId": "000000000000", "apiId": "a", "domainName": "bench", "domainPrefix": "bench", "requestId": "r",
            "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 0,
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "bench"},
        },
        "pathParameters": {"taskId": TASK, "proxy": path},
        "isBase64Encoded": false,
    });
    if let (Some(event), false) = (event.as_object_mut(), body.is_null()) {
        event.insert("body".to_owned(), json!(body.to_string()));
    }
    event
}

/// A batch of a queue.
fn records(count: u32, body: impl Fn(u32) -> Value) -> Value {
    let records = (1..=count).map(|number| {
        json!({
            "messageId": number.to_string(), "receiptHandle": "h", "body": body(number + 1).to_string(),
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {}, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:q", "awsRegion": "us-east-1",
        })
    });
    json!({"Records": records.collect::<Vec<_>>()})
}
