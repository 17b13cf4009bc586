//! A function without its network: what the Lambda runtime calls is called here, by itself in a process of its own, and the SDK's
//! way to the network is replaced by one that has every answer at hand. From the event's text to the answer's: reading it, the handler,
//! and each call to AWS with its signature, its writing and its reading. Neither HTTP nor a socket is in it.

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use lambda_runtime::{Context, Error, LambdaEvent};
use patterns_lambdas::function::Function;
use patterns_lambdas::{
    auth, aws, batch, gateway, send_notification, send_queued_notification, task,
};
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::event::VARIABLES;
use super::{INVOCATIONS, WARM_UP, cloud, event, share};

/// The argument before the name of the function that is to be measured.
const WITHIN: &str = "within";

/// The function that this process is to measure.
pub fn asked() -> Option<String> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next()? == WITHIN).then(|| arguments.next())?
}

/// Measures the function called `name`, and writes a line of nanoseconds for each invocation to stderr; its log goes to stdout.
pub fn run(name: &str) -> ExitCode {
    patterns_lambdas::run_one(name, invoke(name))
}

/// Lets another process do that, and reads the lines.
pub async fn measure(name: &str) -> Result<Vec<Duration>> {
    let output = Command::new(std::env::current_exe()?)
        .args([WITHIN, name])
        .env_clear()
        .envs(VARIABLES)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{text}");
    let figures = text
        .lines()
        .map(|line| Ok(Duration::from_nanos(line.parse()?)));
    figures.collect::<Result<_>>().context("not a figure")
}

async fn invoke(name: &str) -> Result<(), Error> {
    let at_hand = http_client_fn(|_, _| SharedHttpConnector::new(AtHand));
    let config = &aws::config().into_builder().http_client(at_hand).build();
    match name {
        "create-task" => time(name, task::create::function(config)?).await,
        "get-task" => time(name, task::get::function(config)?).await,
        "list-tasks" => time(name, task::list::function(config)?).await,
        "update-task" => time(name, task::update::function(config)?).await,
        "delete-task" => time(name, task::delete::function(config)?).await,
        "send-notification" => time(name, send_notification::function(config)?).await,
        "send-queued-notification" => time(name, send_queued_notification::function(config)?).await,
        "create-task-subscriber" => time(name, batch::create::function(config)?).await,
        "gateway" => time(name, gateway::function(config)?).await,
        "auth" => time(name, auth::function(config)?).await,
        other => Err(format!("{other} is not measured").into()),
    }
}

async fn time<A: DeserializeOwned>(
    name: &str,
    mut function: impl Function<A>,
) -> Result<(), Error> {
    let event = event::of(name).ok_or("there is no event for it")?;
    let mut figures = Vec::with_capacity(INVOCATIONS);
    for _ in 0..(WARM_UP + INVOCATIONS) / share(name) {
        let mut context = Context::default();
        let end = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(20);
        context.deadline = end.as_millis().try_into()?;
        let started = Instant::now();
        let payload = serde_json::from_str(&event)?;
        std::future::poll_fn(|task| function.poll_ready(task))
            .await
            .map_err(|error| format!("{error:?}"))?;
        let answer = function.call(LambdaEvent::new(payload, context)).await;
        let text = serde_json::to_string(&answer.map_err(|error| format!("{error:?}"))?)?;
        figures.push(started.elapsed());
        if text.contains("\"statusCode\":5") || text.contains("itemIdentifier") {
            return Err(format!("it failed: {text}").into());
        }
    }
    for figure in figures.iter().skip(WARM_UP / share(name)) {
        eprintln!("{}", figure.as_nanos());
    }
    Ok(())
}

/// AWS, at once.
#[derive(Debug)]
struct AtHand;

impl HttpConnector for AtHand {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let path = request.uri().split_once("://").map_or("", |(_, rest)| rest);
        let path = path.find('/').map_or("", |at| path.split_at(at).1);
        let (status, body) = cloud::said(path, |name| request.headers().get(name));
        let mut response = HttpResponse::new(status.into(), body.into());
        response
            .headers_mut()
            .insert("content-type", "application/x-amz-json-1.0");
        HttpConnectorFuture::ready(Ok(response))
    }
}
