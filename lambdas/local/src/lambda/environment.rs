//! One execution environment: one process of a function, which does one invocation at a time
//! (AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle").

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use super::LambdaParts;
use super::function::Configuration;
use super::output::{Output, Pipes};
use super::runtime_api::{Delivery, RuntimeApi, Signal, failure};
use super::start::Start;
use super::{code, ending};
use crate::account;
use crate::clock::Clock;
use crate::process::tree::{self, Tree};

/// A start may take this long before it counts as part of the invocation (same page, "Init phase").
const INIT_LIMIT: Duration = Duration::from_secs(10);

/// One invocation as its caller asked for it.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// Names it, the same in all attempts of an event.
    pub request_id: String,
    /// The event, which is JSON.
    pub payload: Bytes,
    /// X-Ray's header.
    pub trace_id: String,
    /// Base64 JSON from the caller.
    pub client_context: Option<String>,
}

/// How an invocation ended.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The answer, or a description of the failure.
    pub payload: Bytes,
    /// The function failed, whether it said so itself or not.
    pub failed: bool,
    /// The last of what it wrote.
    pub tail: Vec<u8>,
    /// From taking the work to the answer.
    pub duration: Duration,
}

/// The process ended while it had nothing to do, so that it never took the work.
pub struct Gone;

/// One process.
pub struct Environment {
    configuration: Arc<Configuration>,
    program: PathBuf,
    tree: Tree,
    api: RuntimeApi,
    output: Output,
    pipes: Pipes,
    clock: Clock,
    started: Instant,
    /// Held while it starts, so that not too many start at once.
    starting: Option<Start>,
    /// It has answered at least once.
    warm: bool,
    /// It can do more work.
    sound: bool,
    /// When it became idle, on the emulator's clock.
    pub idle_since: Timestamp,
}

impl Environment {
    /// Starts a process.
    pub async fn start(
        parts: &LambdaParts,
        configuration: Arc<Configuration>,
        starting: Start,
    ) -> io::Result<Self> {
        let api = RuntimeApi::listen().await?;
        let output = Output::new(parts.logs.clone(), parts.clock.clone(), &configuration);
        let (program, arguments, folder) = configuration.code.command(
            &configuration.handler,
            &parts.function_command,
            &parts.work_dir,
        )?;
        let mut command = tree::command(&parts.exec_command, &program, &arguments)?;
        command
            .envs(variables(
                &configuration,
                &parts.endpoint_url,
                &api.address,
                output.stream(),
            ))
            .env("LAMBDA_TASK_ROOT", &folder)
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut tree = Tree::spawn(&mut command)?;
        let mut pipes = Pipes::default();
        let (stdout, stderr) = tree.output();
        if let Some(pipe) = stdout {
            pipes.watch(&pipe)?;
            tokio::spawn(output.clone().read(pipe));
        }
        if let Some(pipe) = stderr {
            pipes.watch(&pipe)?;
            tokio::spawn(output.clone().read(pipe));
        }
        Ok(Self {
            configuration,
            program: program.into(),
            tree,
            api,
            output,
            pipes,
            clock: parts.clock.clone(),
            started: Instant::now(),
            starting: Some(starting),
            warm: false,
            sound: true,
            idle_since: parts.clock.now(),
        })
    }

    /// Whether it runs `configuration` and can do more work.
    pub fn serves(&mut self, configuration: &Arc<Configuration>) -> bool {
        self.sound && Arc::ptr_eq(&self.configuration, configuration) && !self.tree.has_ended()
    }

    /// Does one invocation. Its limits count real time, for they bound a real process.
    pub async fn invoke(&mut self, invocation: &Invocation) -> Result<Reply, Gone> {
        let cold = !self.warm;
        let mut limit = self.configuration.timeout;
        let mut failed_start = None;
        if cold {
            failed_start = self.initialise().await.err();
            self.starting = None;
            // What the start took beyond its limit is taken from the invocation's time.
            limit = limit.saturating_sub(self.started.elapsed().saturating_sub(INIT_LIMIT));
        }
        let init = cold.then(|| self.started.elapsed());
        self.output.start(&invocation.request_id);
        let started = Instant::now();
        let outcome = match failed_start {
            Some(outcome) => outcome,
            None => self.work(invocation, started + limit).await,
        };
        if matches!(outcome, Outcome::Exit(_)) && !cold && !self.api.is_taken() {
            return Err(Gone);
        }
        self.warm = true;
        self.sound =
            matches!(outcome, Outcome::Response(_) | Outcome::Error(_)) && !self.api.is_taken();
        if !self.sound {
            self.tree.kill();
        }
        let duration = started.elapsed();
        self.pipes.drain().await;
        let reply = self.report(invocation, outcome, duration, init);
        self.idle_since = self.clock.now();
        Ok(reply)
    }

    /// Waits until the process asks for work.
    async fn initialise(&mut self) -> Result<(), Outcome> {
        let limit = self.started + INIT_LIMIT + self.configuration.timeout;
        tokio::select! {
            biased;
            signal = self.api.signals.recv() => match signal {
                Some(Signal::Ready) => Ok(()),
                Some(Signal::InitError(body)) => Err(Outcome::InitError(body)),
                Some(Signal::Response(_) | Signal::Error(_)) | None => Err(Outcome::Timeout),
            },
            status = self.tree.wait() => Err(if code::is_program(&self.program) {
                Outcome::Exit(status.ok())
            } else {
                Outcome::NotExecutable
            }),
            () = tokio::time::sleep_until(limit) => Err(Outcome::Timeout),
        }
    }

    /// Hands over the work and waits for the answer until `deadline`.
    async fn work(&mut self, invocation: &Invocation, deadline: Instant) -> Outcome {
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = i64::try_from(left.as_millis()).unwrap_or(i64::MAX);
        let delivery = Delivery {
            request_id: invocation.request_id.clone(),
            payload: invocation.payload.clone(),
            // The process compares it with the system's clock, which no test moves.
            deadline_ms: Timestamp::now().as_millisecond().saturating_add(left_ms),
            function_arn: self.configuration.arn(),
            trace_id: invocation.trace_id.clone(),
            client_context: invocation.client_context.clone(),
        };
        // The channel holds one, and the last one was taken: this does not wait.
        if self.api.deliveries.send(delivery).await.is_err() {
            return Outcome::Timeout;
        }
        loop {
            let signal = tokio::select! {
                biased;
                signal = self.api.signals.recv() => signal,
                status = self.tree.wait() => return Outcome::Exit(status.ok()),
                () = tokio::time::sleep_until(deadline) => return Outcome::Timeout,
            };
            match signal {
                Some(Signal::Response(body)) => return Outcome::Response(body),
                Some(Signal::Error(body)) => return Outcome::Error(body),
                Some(Signal::InitError(body)) => return Outcome::InitError(body),
                Some(Signal::Ready) => {}
                None => return Outcome::Timeout,
            }
        }
    }

    /// Writes how it ended to the log, and answers what the caller gets.
    fn report(
        &self,
        invocation: &Invocation,
        outcome: Outcome,
        duration: Duration,
        init: Option<Duration>,
    ) -> Reply {
        let id = &invocation.request_id;
        let (payload, failed, status) = match outcome {
            Outcome::Response(payload) => (payload, false, "success"),
            Outcome::Error(payload) | Outcome::InitError(payload) => (payload, true, "error"),
            Outcome::Exit(status) => {
                let message = format!("RequestId: {id} Error: {}", ending::describe(status));
                self.output.line(&message);
                (failure("Runtime.ExitError", &message), true, "error")
            }
            Outcome::NotExecutable => {
                let program = self.program.display();
                let message =
                    format!("RequestId: {id} Error: fork/exec {program}: permission denied");
                self.output.line(&message);
                (
                    failure("Runtime.InvalidEntrypoint", &message),
                    true,
                    "error",
                )
            }
            Outcome::Timeout => {
                let seconds = self.configuration.timeout.as_secs_f64();
                let message = format!("Task timed out after {seconds:.2} seconds");
                let time = format!("{:.3}", self.clock.now());
                self.output.line(&format!("{time} {id} {message}"));
                let message = format!("RequestId: {id} Error: {message}");
                (failure("Sandbox.Timedout", &message), true, "timeout")
            }
        };
        let memory = self.configuration.memory_mb;
        self.output.end(id, status, duration, init, memory);
        Reply {
            payload,
            failed,
            tail: self.output.last_lines(),
            duration,
        }
    }
}

/// How the process ended its work.
enum Outcome {
    Response(Bytes),
    Error(Bytes),
    InitError(Bytes),
    Exit(Option<ExitStatus>),
    /// The program is not there, or nobody may run it.
    NotExecutable,
    Timeout,
}

/// What the process finds in its environment (AWS Lambda developer guide, "Defined runtime environment variables").
/// The function's own variables may replace the first four, which AWS does not reserve. `AWS_EXECUTION_ENV` is not defined for
/// provided.al2 and provided.al2023.
fn variables(
    configuration: &Configuration,
    endpoint_url: &str,
    runtime_api: &str,
    log_stream: &str,
) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| {
        variables.insert(name.to_owned(), value.to_owned());
    };
    set("AWS_ENDPOINT_URL", endpoint_url);
    set("LANG", "en_US.UTF-8");
    set("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin");
    set("TZ", ":UTC");
    for (name, value) in &configuration.variables {
        set(name, value);
    }
    set("_HANDLER", &configuration.handler);
    set("AWS_REGION", account::REGION);
    set("AWS_DEFAULT_REGION", account::REGION);
    // Any values serve: nothing on this side checks them.
    set("AWS_ACCESS_KEY_ID", "test");
    set("AWS_SECRET_ACCESS_KEY", "test");
    set("AWS_SESSION_TOKEN", "test");
    set("AWS_LAMBDA_FUNCTION_NAME", &configuration.name);
    set("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST");
    set(
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        &configuration.memory_mb.to_string(),
    );
    set("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand");
    set("AWS_LAMBDA_LOG_GROUP_NAME", &configuration.log_group);
    set("AWS_LAMBDA_LOG_STREAM_NAME", log_stream);
    set("AWS_LAMBDA_LOG_FORMAT", &configuration.log_format);
    set("AWS_LAMBDA_RUNTIME_API", runtime_api);
    variables
}
