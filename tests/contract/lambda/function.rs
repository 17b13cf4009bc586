//! The function that the cases run: this test program again, which speaks the Lambda Runtime API and does what its event says.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// The test below, as its program knows it.
pub const NAME: &str = "function::process";

/// What a function answers.
enum Answer {
    Response(Value),
    Error(Value),
}

#[tokio::test]
#[ignore = "the body of a function's process, started by the emulator"]
async fn process() {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API")
        .expect("only the emulator starts this, with AWS_LAMBDA_RUNTIME_API set");
    let base = format!("http://{api}/2018-06-01/runtime");
    if std::env::var("VARIABLE").as_deref() == Ok("broken") {
        std::process::exit(7);
    }
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    loop {
        let next = client
            .get(format!("{base}/invocation/next"))
            .send()
            .await
            .unwrap();
        let header = |name: &str| next.headers()[name].to_str().unwrap().to_owned();
        let id = header("lambda-runtime-aws-request-id");
        let deadline = header("lambda-runtime-deadline-ms");
        let arn = header("lambda-runtime-invoked-function-arn");
        let event: Value = serde_json::from_slice(&next.bytes().await.unwrap()).unwrap();
        let about = json!({
            "id": id, "deadline": deadline, "arn": arn, "pid": std::process::id(), "event": event,
            "variable": std::env::var("VARIABLE").unwrap_or_default(),
        });
        let answered = format!("{base}/invocation/{id}");
        let (path, body) = match about["event"]["do"].as_str() {
            Some("misuse") => ("response", misuse(&client, &base).await),
            Some("twice") => {
                let first = client.post(format!("{answered}/response"));
                first.body(&b"\xff no JSON"[..]).send().await.unwrap();
                ("error", json!("second"))
            }
            _ => match work(&about).await {
                Answer::Response(body) => ("response", body),
                Answer::Error(body) => ("error", body),
            },
        };
        let answer = client.post(format!("{answered}/{path}"));
        // One that is too large may be refused before it is sent whole.
        let _ = answer.body(body.to_string()).send().await;
    }
}

/// What the Runtime API answers to calls that it does not know.
async fn misuse(client: &reqwest::Client, base: &str) -> Value {
    let other = "0".repeat(1000);
    let mut statuses = Vec::new();
    for (method, path) in [
        ("POST", "invocation/other/response"),
        ("POST", "invocation/other/error"),
        ("POST", &format!("invocation/{other}/response")),
        ("POST", "invocation/..%2f..%2fnext/response"),
        ("GET", "nonsense"),
        ("PUT", "invocation/next"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method, format!("{base}/{path}"));
        let answer = request.body("{").send().await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    json!(statuses)
}

async fn work(about: &Value) -> Answer {
    let marks = PathBuf::from(std::env::var("MARKS").unwrap());
    note(&marks, about);
    let event = &about["event"];
    if let Some(records) = event["Records"].as_array() {
        return batch(&marks, records).await;
    }
    match event["do"].as_str() {
        Some("fail") => Answer::Error(json!({"errorType": "Broken", "errorMessage": "as asked"})),
        Some("exit") => std::process::exit(3),
        Some("hang") => std::future::pending().await,
        Some("hold") => {
            hold(&marks).await;
            Answer::Response(about.clone())
        }
        Some("flood") => Answer::Response(json!("x".repeat(7 * 1024 * 1024))),
        Some("fill") => Answer::Error(json!({"errorMessage": "x".repeat(5000)})),
        Some("say") => {
            println!("a line that was asked for");
            Answer::Response(Value::Null)
        }
        Some("environment") => {
            let all: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
            Answer::Response(json!(all))
        }
        _ => Answer::Response(about.clone()),
    }
}

/// Messages that say `poison` fail; one that says `hold` waits for its release, and one that says `exit` ends the process.
async fn batch(marks: &Path, records: &[Value]) -> Answer {
    if records.iter().any(|record| record["body"] == "hold") {
        hold(marks).await;
    }
    if records.iter().any(|record| record["body"] == "exit") {
        std::process::exit(3);
    }
    let failed: Vec<Value> = records
        .iter()
        .filter(|record| record["body"] == "poison")
        .map(|record| json!({"itemIdentifier": record["messageId"]}))
        .collect();
    Answer::Response(json!({"batchItemFailures": failed}))
}

async fn hold(marks: &Path) {
    while !marks.join("go").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One write, so that lines of several processes do not mix.
fn note(marks: &Path, about: &Value) {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(marks.join("runs"))
        .unwrap();
    file.write_all(format!("{about}\n").as_bytes()).unwrap();
}
