//! DynamoDB: dynoxide, in memory or in a file, on an inner loopback address; requests are passed on and answers come back unchanged.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::Response,
};
use dynoxide::Database;
use serde_json::{Value, json};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{clock::Clock, error::AwsError, state::Unusable};

/// A complete signature, which dynoxide insists on. The front has seen that the client signed; nobody checks values.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=local";

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");

/// What clients look at in an answer: without the checksum some SDKs complain.
const RETURNED: [HeaderName; 3] = [
    header::CONTENT_TYPE,
    HeaderName::from_static("x-amzn-requestid"),
    HeaderName::from_static("x-amz-crc32"),
];

/// The account's tables. Cheap to clone; the server stops with the last clone.
#[derive(Clone)]
pub struct Dynamo {
    url: String,
    client: reqwest::Client,
    server: TaskTracker,
    stop: CancellationToken,
    _stopped_at_last: Arc<DropGuard>,
}

/// Why DynamoDB did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database could not be made.
    #[error("the DynamoDB engine did not start: {0}")]
    Database(String),
    /// The kept tables cannot be read.
    #[error(transparent)]
    Kept(#[from] Unusable),
    /// No inner port.
    #[error("no inner port for DynamoDB: {0}")]
    Listen(#[from] std::io::Error),
    /// No client for the inner port.
    #[error("no client for the inner DynamoDB port: {0}")]
    Client(#[from] reqwest::Error),
}

impl Dynamo {
    /// Starts without tables, or with those in `file`, which also takes every change. In memory `clock` decides when items expire;
    /// in a file the system's clock does, because the engine offers no other.
    pub fn start(clock: Clock, file: Option<&Path>) -> Result<Self, StartError> {
        let database = match file {
            None => Database::memory_with_clock(Arc::new(clock))
                .map_err(|error| StartError::Database(error.to_string()))?,
            Some(file) => {
                let unusable = |why: String| Unusable::new(file, why);
                let path = file.to_str().ok_or_else(|| {
                    unusable("its path is not UTF-8, as the engine wants it".to_owned())
                })?;
                let database = Database::new(path).map_err(|error| unusable(error.to_string()))?;
                // The one call that sets SQLite's `synchronous = NORMAL`: changes outlive this process, however it ends, but nobody
                // waits for the disk, which takes milliseconds for each write.
                let set = database.disable_bulk_loading();
                set.map_err(|error| unusable(error.to_string()))?;
                database
            }
        };
        let listener = TcpListener::bind((inner_address(), 0))?;
        let url = format!("http://{}/", listener.local_addr()?);
        let stop = CancellationToken::new();
        let server = TaskTracker::new();
        serve(listener, database, stop.clone(), &server)?;
        server.close();
        Ok(Self {
            url,
            server,
            stop: stop.clone(),
            // A proxy of the user's environment has no business on loopback.
            client: reqwest::Client::builder().no_proxy().build()?,
            _stopped_at_last: Arc::new(stop.drop_guard()),
        })
    }

    /// Ends the engine, and closes its file, within `time`.
    pub async fn stop(&self, time: Duration) {
        self.stop.cancel();
        if tokio::time::timeout(time, self.server.wait())
            .await
            .is_err()
        {
            tracing::warn!("DynamoDB did not end in time");
        }
    }

    /// Passes a client's request on.
    pub async fn forward(&self, headers: &HeaderMap, body: Bytes) -> Response {
        let mut request = self.signed().body(body);
        for name in [header::CONTENT_TYPE, TARGET] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        match exchange(request).await {
            Ok((status, headers, body)) => {
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                for name in RETURNED {
                    if let Some(value) = headers.get(&name) {
                        response.headers_mut().insert(name, value.clone());
                    }
                }
                response
            }
            Err(error) => {
                let body = json!({ "__type": "com.amazonaws.dynamodb.v20120810#InternalServerError", "message": unreachable(&error) });
                let mut response = Response::new(Body::from(body.to_string()));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// Calls one operation, such as `CreateTable`, for the emulator itself.
    pub async fn call(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let request = self
            .signed()
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.0")
            .header(TARGET, format!("DynamoDB_20120810.{operation}"))
            .body(input.to_string());
        let internal = |message: String| AwsError::new(500, "InternalServerError", message);
        let (status, _, body) = exchange(request)
            .await
            .map_err(|error| internal(unreachable(&error)))?;
        let answer: Value =
            serde_json::from_slice(&body).map_err(|error| internal(error.to_string()))?;
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer.get(name).and_then(Value::as_str);
        let message = text("message")
            .or_else(|| text("Message"))
            .unwrap_or_default();
        let name = text("__type")
            .and_then(|name| name.rsplit('#').next())
            .unwrap_or_default();
        Err(AwsError::new(
            status.as_u16(),
            code(name),
            format!("DynamoDB {operation}: {name}: {message}"),
        ))
    }

    fn signed(&self) -> reqwest::RequestBuilder {
        self.client
            .post(&self.url)
            .header(header::AUTHORIZATION, AUTHORIZATION)
            .header("x-amz-date", "20260101T000000Z")
    }
}

/// The engine works on the thread that asks it, one request after another: a thread of its own, so that nothing else waits.
fn serve(
    listener: TcpListener,
    database: Database,
    stop: CancellationToken,
    tracker: &TaskTracker,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let running = tracker.token();
    let served = async move {
        let listener = tokio::net::TcpListener::from_std(listener);
        let listener = listener.map_err(|error| error.to_string())?;
        dynoxide::server::serve_with_shutdown(listener, database, stop.cancelled_owned()).await
    };
    let run = move || {
        if let Err(error) = runtime.block_on(served) {
            tracing::error!(error, "DynamoDB stopped");
        }
        // What still ran ends first, and with it the engine's file is closed.
        drop(runtime);
        drop(running);
    };
    thread::Builder::new()
        .name("dynamodb".to_owned())
        .spawn(run)?;
    Ok(())
}

async fn exchange(
    request: reqwest::RequestBuilder,
) -> Result<(StatusCode, HeaderMap, Bytes), reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok((status, headers, response.bytes().await?))
}

fn unreachable(error: &reqwest::Error) -> String {
    format!(
        "The DynamoDB engine inside patterns-local did not answer ({error}). Restart patterns-local."
    )
}

/// The errors that callers inside the emulator tell apart.
fn code(name: &str) -> &'static str {
    match name {
        "ResourceInUseException" => "ResourceInUseException",
        "ResourceNotFoundException" => "ResourceNotFoundException",
        _ => "ValidationException",
    }
}

/// Any of the 2^24 addresses in 127.0.0.0/8: the engine answers cross-origin requests, and with the port this is too much
/// for a web page to guess.
fn inner_address() -> Ipv4Addr {
    let [a, b, c, ..] = *uuid::Uuid::new_v4().as_bytes();
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[tokio::test]
    async fn tables_keep_items_and_errors_keep_their_names() {
        let dynamo = Dynamo::start(Clock::default(), None).unwrap();
        let table = json!({
            "TableName": "tasks",
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            "BillingMode": "PAY_PER_REQUEST",
        });
        dynamo.call("CreateTable", table.clone()).await.unwrap();
        let item = json!({ "id": { "S": "1" }, "title": { "S": "x" } });
        dynamo
            .call("PutItem", json!({ "TableName": "tasks", "Item": item }))
            .await
            .unwrap();
        let got = dynamo
            .call(
                "GetItem",
                json!({ "TableName": "tasks", "Key": { "id": { "S": "1" } } }),
            )
            .await
            .unwrap();
        assert_eq!(got["Item"], item);
        let again = dynamo.call("CreateTable", table).await.unwrap_err();
        assert_eq!(again.code, "ResourceInUseException");
    }
}
