//! How fast everything in a dead-letter queue is brought back, by each contender in turn.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    daemon::Daemon,
    mover::{self, Algorithm, Moved},
    stack::{DEAD, SOURCE, Stack, arn},
};

/// The most that AWS lets a move task do a second ("Amazon SQS API Reference: `StartMessageMoveTask`").
pub const MOVE_TASK_MOST: i32 = 500;

/// Loops that make one call at a time get so much less to do; their rate does not depend on it.
const SERIAL_SHARE: usize = 10;

/// Who brings messages back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Contender {
    Daemon,
    Raw,
    Sqsmover,
    Lumigo,
    Boto3,
    MoveTask,
}

/// What is measured, and with what.
#[derive(Debug)]
pub struct Plan {
    pub messages: usize,
    pub in_flight: usize,
    /// Milliseconds of each call.
    pub delays: Vec<u64>,
    pub rounds: u32,
    /// None means all.
    pub only: Vec<Contender>,
    pub python: Option<PathBuf>,
}

/// One turn of one contender.
#[derive(Debug, Serialize)]
pub struct Turn {
    pub contender: Contender,
    pub delay_ms: u64,
    pub messages_per_second: f64,
    pub calls_per_message: f64,
    /// Of the client alone; none where SQS does the work.
    pub cpu_ms_per_1000: Option<f64>,
}

pub async fn all(stack: &mut Stack, plan: &Plan) -> Result<Vec<Turn>> {
    let mut turns = Vec::new();
    for round in 1..=plan.rounds {
        for &delay_ms in &plan.delays {
            for &contender in Contender::value_variants() {
                if contender == Contender::Boto3 && plan.python.is_none()
                    || !plan.only.is_empty() && !plan.only.contains(&contender)
                {
                    continue;
                }
                eprintln!(
                    "round {round} of {}: {contender:?} at {delay_ms} ms a call",
                    plan.rounds
                );
                turns.push(turn(stack, plan, contender, delay_ms).await?);
            }
        }
    }
    Ok(turns)
}

// Counts are far below 2^53.
#[allow(clippy::cast_precision_loss)]
async fn turn(stack: &mut Stack, plan: &Plan, contender: Contender, delay_ms: u64) -> Result<Turn> {
    let serial = matches!(
        contender,
        Contender::Sqsmover | Contender::Boto3 | Contender::MoveTask
    );
    let messages = if serial {
        plan.messages.div_ceil(SERIAL_SHARE)
    } else {
        plan.messages
    };
    stack.fill(messages).await?;
    let faults = [json!({ "service": "sqs", "fault": { "kind": "delay", "ms": delay_ms } })];
    let (seconds, cpu_seconds) = match contender {
        Contender::Daemon => daemon(stack, &faults, messages).await?,
        Contender::MoveTask => (move_task(stack, &faults).await?, None),
        Contender::Boto3 => {
            stack.strike(&faults).await?;
            let moved = boto3(stack, plan, messages)?;
            (moved.seconds, Some(moved.cpu_seconds))
        }
        Contender::Raw => peer(stack, plan, Algorithm::Raw, &faults, messages).await?,
        Contender::Sqsmover => peer(stack, plan, Algorithm::Sqsmover, &faults, messages).await?,
        Contender::Lumigo => peer(stack, plan, Algorithm::Lumigo, &faults, messages).await?,
    };
    let calls: u64 = stack.calls().await?.values().sum();
    let depth = stack.depth().await?;
    ensure!(depth == (0, 0), "{contender:?} left {depth:?} messages");
    let count = messages as f64;
    Ok(Turn {
        contender,
        delay_ms,
        messages_per_second: count / seconds,
        calls_per_message: calls as f64 / count,
        cpu_ms_per_1000: cpu_seconds.map(|seconds| seconds * 1e6 / count),
    })
}

/// From the start of the operation to its end, as the daemon tells them; of the daemon alone.
async fn daemon(stack: &Stack, faults: &[Value], messages: usize) -> Result<(f64, Option<f64>)> {
    let daemon = Daemon::start(stack, messages).await?;
    stack.strike(faults).await?;
    let before = daemon.cpu_seconds()?;
    let answer = daemon.ended(stack, &daemon.begin()?).await?;
    let seconds = seconds(&answer)?;
    let deleted = answer.pointer("/deleted").and_then(Value::as_u64);
    ensure!(
        deleted == u64::try_from(messages).ok(),
        "not all came back: {answer}"
    );
    Ok((seconds, Some(daemon.cpu_seconds()? - before)))
}

/// How long an operation took.
pub fn seconds(operation: &Value) -> Result<f64> {
    let at = |name: &str| -> Result<Timestamp> {
        let at = operation.get(name).and_then(Value::as_str);
        Ok(at
            .with_context(|| format!("no {name}: {operation}"))?
            .parse()?)
    };
    Ok((at("ended_at")? - at("started_at")?).total(jiff::Unit::Second)?)
}

async fn peer(
    stack: &Stack,
    plan: &Plan,
    algorithm: Algorithm,
    faults: &[Value],
    messages: usize,
) -> Result<(f64, Option<f64>)> {
    stack.strike(faults).await?;
    let job = [&stack.endpoint_url, &stack.source_url, &stack.dead_url].map(String::as_str);
    let output = mover::command(algorithm, job, messages, plan.in_flight)?
        .output()
        .await?;
    let moved: Moved = serde_json::from_slice(&output.stdout)?;
    ensure!(moved.messages == messages, "{algorithm:?} moved {moved:?}");
    Ok((moved.seconds, Some(moved.cpu_seconds)))
}

fn boto3(stack: &Stack, plan: &Plan, messages: usize) -> Result<Moved> {
    let python = plan.python.as_ref().context("no Python")?;
    let output = Command::new(python)
        .args(["-c", include_str!("boto3.py")])
        .args([&stack.endpoint_url, &stack.source_url, &stack.dead_url])
        .arg(messages.to_string())
        .stdin(Stdio::null())
        .output()?;
    let moved: Moved = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    ensure!(moved.messages == messages, "boto3 moved {moved:?}");
    Ok(moved)
}

/// The emulator's, at AWS's highest rate.
async fn move_task(stack: &Stack, faults: &[Value]) -> Result<f64> {
    stack.strike(faults).await?;
    let started = Instant::now();
    let start = stack.sqs.start_message_move_task();
    start
        .source_arn(arn(DEAD))
        .destination_arn(arn(SOURCE))
        .max_number_of_messages_per_second(MOVE_TASK_MOST)
        .send()
        .await?;
    loop {
        let list = stack.sqs.list_message_move_tasks();
        let tasks = list.source_arn(arn(DEAD)).send().await?;
        match tasks.results().first().and_then(|task| task.status()) {
            Some("RUNNING") => tokio::time::sleep(Duration::from_millis(20)).await,
            Some("COMPLETED") => return Ok(started.elapsed().as_secs_f64()),
            status => anyhow::bail!("the move task is {status:?}"),
        }
    }
}
