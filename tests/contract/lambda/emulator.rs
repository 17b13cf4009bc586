//! The emulator as a process of its own, where a case kills or measures it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::bench::wait_until;
use super::cloud::Cloud;

pub struct Emulator {
    process: Child,
    url: String,
}

impl Emulator {
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One that keeps its state in `directory`.
    pub fn keeping_in(directory: &Path) -> Self {
        Self::with(&["--state-dir", directory.to_str().unwrap()])
    }

    fn with(arguments: &[&str]) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_patterns-local"))
            .args(["--headless", "--no-daemon", "--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let ready: Value = serde_json::from_str(&ready).unwrap();
        let url = ready["endpoint_url"].as_str().unwrap().to_owned();
        Self { process, url }
    }

    /// Clients of it.
    pub fn cloud(&self) -> Cloud {
        Cloud::ours(&self.url)
    }

    /// Creates a function that runs the shell script `bootstrap` in `folder`.
    pub async fn create(&self, name: &str, folder: &Path, bootstrap: &str) {
        let program = folder.join("bootstrap");
        std::fs::write(&program, bootstrap).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).unwrap();
        let function = json!({
            "FunctionName": name, "Runtime": "provided.al2023", "Role": "arn:aws:iam::000000000000:role/any", "Handler": "h",
            "Timeout": 60, "Code": {"S3Bucket": "hot-reload", "S3Key": folder},
        });
        let created = self.post("/2015-03-31/functions", "", &function).await;
        assert_eq!(created.status(), 201);
    }

    /// Invokes; `kind` is the invocation type.
    pub async fn invoke(&self, name: &str, kind: &str) -> reqwest::Response {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        self.post(&path, kind, &json!({})).await
    }

    async fn post(&self, path: &str, kind: &str, body: &Value) -> reqwest::Response {
        let credential = "AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/lambda/aws4_request";
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}{path}", self.url));
        let request = request.header("authorization", credential);
        let request = request.header("x-amz-invocation-type", kind);
        request.body(body.to_string()).send().await.unwrap()
    }

    /// The most memory it has had so far, in KB.
    pub fn peak_kb(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
        let peak = peak.unwrap().split_whitespace().nth(1).unwrap();
        peak.parse().unwrap()
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.process.kill().unwrap();
        let process = &mut self.process;
        wait_until("it has ended", || {
            let ended = process.try_wait().unwrap().is_some();
            async move { ended }
        })
        .await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
