//! Stands for AWS: takes every write, and has one task.

use anyhow::Result;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The task's id.
pub const TASK: &str = "0d9f2a31-8a3c-4bb4-a2a5-6f0d4e3f7c55";

/// Listens on a free port, and answers its URL.
pub async fn start() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    tokio::spawn(async move {
        // It ends with the program.
        let _ = axum::serve(listener, Router::new().fallback(answer)).await;
    });
    Ok(url)
}

async fn answer(uri: Uri, headers: HeaderMap, _body: axum::body::Bytes) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (status, body) = said(uri.path(), header);
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (status, kind, body).into_response()
}

/// What AWS says to a request.
pub fn said<'a>(
    path: &str,
    header: impl Fn(&'static str) -> Option<&'a str>,
) -> (StatusCode, String) {
    if path.starts_with("/2015-03-31/functions/") {
        return if header("x-amz-invocation-type") == Some("Event") {
            (StatusCode::ACCEPTED, String::new())
        } else {
            let answer = json!({"statusCode": 200, "headers": {"content-type": "application/json"}, "body": "{}"});
            (StatusCode::OK, answer.to_string())
        };
    }
    let operation = header("x-amz-target").and_then(|target| target.rsplit('.').next());
    let body = match operation.unwrap_or_default() {
        "GetItem" => json!({"Item": task()}),
        "UpdateItem" => json!({"Attributes": {}}),
        "Scan" | "Query" => json!({"Items": vec![task(); 10], "Count": 10}),
        "SendMessage" => json!({"MessageId": "m", "MD5OfMessageBody": "0"}),
        _ => json!({}),
    };
    (StatusCode::OK, body.to_string())
}

fn task() -> Value {
    let at = json!({"S": "2026-01-01T00:00:00Z"});
    json!({
        "pk": {"S": format!("TASK#{TASK}")}, "id": {"S": TASK}, "title": {"S": "Buy milk"}, "detail": {"S": "two litres"},
        "isComplete": {"BOOL": false}, "createdAt": at, "updatedAt": at,
    })
}
