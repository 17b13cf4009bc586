//! One process of a function, and the Runtime API that it asks for work.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::event::VARIABLES;

/// A function must answer within this time.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running function. It ends with this.
pub struct Host {
    child: Child,
    pid: u32,
    events: mpsc::Sender<String>,
    told: mpsc::Receiver<Told>,
    server: JoinHandle<()>,
    /// From the start of the process until it asked for work.
    pub started_after: Duration,
}

/// How long an invocation took.
pub struct Invoked {
    /// From handing the event over to the answer, with the requests to the Runtime API and to the server that stands for AWS.
    pub whole: Duration,
    /// The processor's time for it: everything but waiting.
    pub cpu: Duration,
}

/// What the process tells.
enum Told {
    Asked,
    Answered,
    Failed(String),
}

struct Exchange {
    events: tokio::sync::Mutex<mpsc::Receiver<String>>,
    told: mpsc::Sender<Told>,
    asked: Mutex<bool>,
}

impl Host {
    pub async fn start(program: &Path, endpoint_url: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let (events, receiver) = mpsc::channel(1);
        let (sender, mut told) = mpsc::channel(4);
        let exchange = Arc::new(Exchange {
            events: tokio::sync::Mutex::new(receiver),
            told: sender,
            asked: Mutex::new(false),
        });
        let router = Router::new().fallback(answer).with_state(exchange);
        let server = tokio::spawn(async move {
            // It ends when this task is aborted.
            let _ = axum::serve(listener, router).await;
        });
        let started = Instant::now();
        let child = Command::new(program)
            .env_clear()
            .envs(VARIABLES)
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_ENDPOINT_URL", endpoint_url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let pid = child.id().context("it has ended")?;
        next(&mut told).await?;
        Ok(Self {
            child,
            pid,
            events,
            told,
            server,
            started_after: started.elapsed(),
        })
    }

    pub async fn invoke(&mut self, event: &str) -> Result<Invoked> {
        let event = event.to_owned();
        let cpu = self.cpu()?;
        let started = Instant::now();
        self.events.send(event).await?;
        next(&mut self.told).await?;
        let whole = started.elapsed();
        Ok(Invoked {
            whole,
            cpu: self.cpu()?.saturating_sub(cpu),
        })
    }

    /// Time on the processor so far: of the one thread that the functions have (`proc_pid_schedstat`, in nanoseconds).
    fn cpu(&self) -> Result<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid))?;
        let nanoseconds = text.split_whitespace().next().context("no figure")?;
        Ok(Duration::from_nanos(nanoseconds.parse()?))
    }

    /// Resident memory.
    pub fn rss_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next());
        Ok(kib.context("no VmRSS")?.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
        // It may have ended by itself.
        let _ = self.child.start_kill();
    }
}

async fn next(told: &mut mpsc::Receiver<Told>) -> Result<()> {
    let told = tokio::time::timeout(PATIENCE, told.recv()).await;
    match told.context("it did not answer")?.context("it has ended")? {
        Told::Asked | Told::Answered => Ok(()),
        Told::Failed(why) => {
            ensure!(why.is_empty(), "it failed: {why}");
            Ok(())
        }
    }
}

async fn answer(
    State(exchange): State<Arc<Exchange>>,
    request: Request<axum::body::Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET {
        let first = !std::mem::replace(
            &mut *exchange
                .asked
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
            true,
        );
        if first {
            // Nobody listens any more when the benchmark ends.
            let _ = exchange.told.send(Told::Asked).await;
        }
        let Some(event) = exchange.events.lock().await.recv().await else {
            return StatusCode::GONE.into_response();
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let deadline = now.unwrap_or_default() + PATIENCE;
        let headers = [
            ("lambda-runtime-aws-request-id", "request".to_owned()),
            (
                "lambda-runtime-deadline-ms",
                deadline.as_millis().to_string(),
            ),
            (
                "lambda-runtime-invoked-function-arn",
                "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
            ),
        ];
        return (headers, event).into_response();
    }
    let body = axum::body::to_bytes(body, usize::MAX).await;
    let text = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    let failed = !parts.uri.path().ends_with("/response")
        || text.contains("\"statusCode\":5")
        || text.contains("itemIdentifier");
    let told = if failed {
        Told::Failed(text)
    } else {
        Told::Answered
    };
    let _ = exchange.told.send(told).await;
    StatusCode::ACCEPTED.into_response()
}
