//! The order of a run: first what wants a quiet machine, then all programs in turns.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use aws_sdk_lambda::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    primitives::Blob,
    types::{FunctionCode, Runtime},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use zip::write::SimpleFileOptions;

use super::{
    client::Connection,
    depth, footprint, function,
    load::{self, Load, Requests},
    report::{Invocations, Report, Turns},
    target::Target,
};

/// Name of the function that is invoked.
const ECHO: &str = "bench-echo";

/// Invocations of each client in one turn.
const INVOCATIONS: usize = 100;

/// What to measure and for how long.
#[derive(Debug)]
pub struct Plan {
    pub ministack: Option<PathBuf>,
    pub rounds: u32,
    pub load: Duration,
    pub idle: Duration,
    pub deep: usize,
}

pub async fn all(plan: &Plan) -> Result<Report> {
    say("start and idle …");
    let alone = footprint::measure(false, plan.rounds, plan.idle).await?;
    let with_daemon = footprint::measure(true, plan.rounds, plan.idle).await?;
    say("a deep queue …");
    let depth = depth::measure(plan.deep, plan.rounds).await?;

    let mut local = Contender::prepare(Target::local(false)?).await?;
    let mut ministack = match &plan.ministack {
        Some(program) => Some(Contender::prepare(Target::ministack(program).await?).await?),
        None => None,
    };
    let null = Target::null()?;
    let mut null_turns = Turns::default();
    for round in 1..=plan.rounds {
        say(&format!("round {round} of {} …", plan.rounds));
        local.turn(round, plan.load).await?;
        if let Some(ministack) = &mut ministack {
            ministack.turn(round, plan.load).await?;
        }
        let requests = Requests::new("http://127.0.0.1/000000000000/null");
        for load in [Load::Send, Load::SendBatch] {
            let rate = load::rate(null.address, load, &requests, plan.load)?;
            null_turns.entry(load).or_default().push(rate);
        }
    }
    Ok(Report::new(
        plan.rounds,
        alone,
        with_daemon,
        depth,
        local.results(),
        ministack.map(Contender::results),
        null_turns,
    ))
}

/// Progress, for whoever waits; stdout is for the report.
fn say(what: &str) {
    eprintln!("{what}");
}

/// An emulator with a warm function, and what was measured of it so far.
struct Contender {
    target: Target,
    lambda: Client,
    connection: Connection,
    rates: Turns,
    invocations: Invocations,
}

impl Contender {
    async fn prepare(target: Target) -> Result<Self> {
        let config = aws_sdk_lambda::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("any", "any", None, None, "bench"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(format!("http://{}", target.address))
            .build();
        let lambda = Client::from_conf(config);
        lambda
            .create_function()
            .function_name(ECHO)
            .role("arn:aws:iam::000000000000:role/bench")
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .timeout(10)
            .code(FunctionCode::builder().zip_file(Blob::new(zip()?)).build())
            .send()
            .await
            .context("CreateFunction")?;
        let mut contender = Self {
            connection: Connection::open(target.address).await?,
            target,
            lambda,
            rates: BTreeMap::new(),
            invocations: Invocations::default(),
        };
        contender.invoke().await?;
        // The first ones start the process.
        contender.invocations = Invocations::default();
        Ok(contender)
    }

    async fn turn(&mut self, round: u32, time: Duration) -> Result<()> {
        let url = create_queue(&mut self.connection, &format!("bench-{round}")).await?;
        let requests = Requests::new(&url);
        for load in [Load::Send, Load::SendBatch, Load::Settle, Load::SettleBatch] {
            let rate = load::rate(self.target.address, load, &requests, time)?;
            self.rates.entry(load).or_default().push(rate);
        }
        let body = json!({ "QueueUrl": url }).to_string();
        self.connection
            .sqs("AmazonSQS.DeleteQueue", body.into())
            .await?;
        self.invoke().await
    }

    /// By the SDK, as people do, and by the plain client, which adds less of its own.
    async fn invoke(&mut self) -> Result<()> {
        const PAYLOAD: &[u8] = br#"{"task":"measure"}"#;
        for _ in 0..INVOCATIONS {
            let started = Instant::now();
            let answer = self
                .lambda
                .invoke()
                .function_name(ECHO)
                .payload(Blob::new(PAYLOAD))
                .send()
                .await?;
            self.invocations.sdk_ms.push(milliseconds(started));
            anyhow::ensure!(
                answer.function_error.is_none(),
                "the function failed: {:?}",
                answer.payload
            );
        }
        for _ in 0..INVOCATIONS {
            let started = Instant::now();
            self.connection
                .invoke(ECHO, Bytes::from_static(PAYLOAD))
                .await?;
            self.invocations.plain_ms.push(milliseconds(started));
        }
        Ok(())
    }

    fn results(self) -> (Turns, Invocations) {
        (self.rates, self.invocations)
    }
}

fn milliseconds(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

/// The URL of a new queue.
pub async fn create_queue(connection: &mut Connection, name: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Created {
        #[serde(rename = "QueueUrl")]
        queue_url: String,
    }
    let body = json!({ "QueueName": name }).to_string();
    let answer = connection.sqs("AmazonSQS.CreateQueue", body.into()).await?;
    let created: Created = serde_json::from_slice(&answer)?;
    Ok(created.queue_url)
}

fn zip() -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(
        "bootstrap",
        SimpleFileOptions::default().unix_permissions(0o755),
    )?;
    zip.write_all(function::bootstrap(&std::env::current_exe()?).as_bytes())?;
    Ok(zip.finish()?.into_inner())
}
