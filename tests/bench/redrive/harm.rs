//! What each contender loses and doubles when calls fail, counted from the witness, which knows none of them.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    daemon::Daemon,
    mover::{self, Algorithm},
    stack::{DEAD, Line, SOURCE, Stack},
};

/// Longer than these programs hide a message: what one left behind is visible to the next start.
const VISIBLE_AGAIN_MS: u64 = 130_000;

/// An operator who starts a program so often has given up.
const STARTS: u32 = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// One send or delete in twenty is carried out, and its answer lost.
    Resets,
    /// In one batch of five, a fifth of the entries is refused.
    Partial,
    /// Three calls in a hundred are throttled.
    Throttling,
    /// kill -9 when half of the messages were sent, at 10 ms a call.
    Kill,
}

impl Trouble {
    fn faults(self) -> Vec<Value> {
        let reset = |operation: &str| json!({ "service": "sqs", "operation": operation, "share": 0.05, "fault": { "kind": "reset" } });
        match self {
            Self::Resets => vec![reset("SendMessageBatch"), reset("DeleteMessageBatch")],
            Self::Partial => vec![json!({
                "service": "sqs", "operation": "SendMessageBatch", "share": 0.2,
                "fault": { "kind": "entries", "error": "internal", "share": 0.2 },
            })],
            Self::Throttling => vec![json!({
                "service": "sqs", "share": 0.03, "fault": { "kind": "error", "error": "throttling" },
            })],
            Self::Kill => vec![json!({ "service": "sqs", "fault": { "kind": "delay", "ms": 10 } })],
        }
    }
}

/// What became of the messages.
#[derive(Debug, Serialize)]
pub struct Harm {
    pub trouble: Trouble,
    /// `daemon`, or whose algorithm it was.
    pub by: &'static str,
    pub messages: usize,
    /// Deleted and never sent.
    pub lost: usize,
    /// Sends beyond the first of each message.
    pub duplicates: usize,
    /// Events that the daemon lists as perhaps sent twice; the others list none.
    pub listed: Option<u64>,
    /// Still in the dead-letter queue.
    pub left: usize,
    /// How often it had to be started until the queue was empty.
    pub starts: u32,
}

pub async fn all(stack: &mut Stack, messages: usize) -> Result<Vec<Harm>> {
    let mut harm = Vec::new();
    for &trouble in Trouble::value_variants() {
        for (by, algorithm) in [
            ("daemon", None),
            ("sqsmover", Some(Algorithm::Sqsmover)),
            ("lumigo", Some(Algorithm::Lumigo)),
        ] {
            eprintln!("{trouble:?}: {by}");
            stack.fill(messages).await?;
            let (starts, listed) = match algorithm {
                None => ours(stack, trouble, messages).await?,
                Some(algorithm) => (theirs(stack, trouble, algorithm, messages).await?, None),
            };
            let (lost, duplicates, left) = judge(&stack.lines().await?, messages)?;
            harm.push(Harm {
                trouble,
                by,
                messages,
                lost,
                duplicates,
                listed,
                left,
                starts,
            });
        }
    }
    Ok(harm)
}

async fn ours(stack: &Stack, trouble: Trouble, messages: usize) -> Result<(u32, Option<u64>)> {
    let mut daemon = Daemon::start(stack, messages).await?;
    stack.strike(&trouble.faults()).await?;
    let listed = |answer: &Value| {
        let count = answer.pointer("/in_doubt_count").and_then(Value::as_u64);
        count.unwrap_or_default()
    };
    let operation = daemon.begin()?;
    if trouble == Trouble::Kill {
        half_sent(stack, messages).await?;
        daemon.kill_and_restart()?;
    }
    let mut in_doubt = listed(&daemon.ended(stack, &operation).await?);
    let mut starts = 1;
    while starts < STARTS && empty(stack).await?.is_some() {
        let operation = daemon.begin()?;
        in_doubt += listed(&daemon.ended(stack, &operation).await?);
        starts += 1;
    }
    Ok((starts, Some(in_doubt)))
}

async fn theirs(
    stack: &Stack,
    trouble: Trouble,
    algorithm: Algorithm,
    messages: usize,
) -> Result<u32> {
    stack.strike(&trouble.faults()).await?;
    let job = [&stack.endpoint_url, &stack.source_url, &stack.dead_url].map(String::as_str);
    let mut starts = 0;
    let mut left = Some(messages);
    while let Some(count) = left.filter(|_| starts < STARTS) {
        let mut command = mover::command(algorithm, job, count, 1)?;
        // What stops them is expected here.
        let mut child = command.stderr(std::process::Stdio::null()).spawn()?;
        if trouble == Trouble::Kill && starts == 0 {
            half_sent(stack, messages).await?;
            child.kill().await?;
        }
        child.wait().await?;
        starts += 1;
        left = empty(stack).await?;
    }
    Ok(starts)
}

/// How many messages are in the dead-letter queue, if any; they are all visible then.
async fn empty(stack: &Stack) -> Result<Option<usize>> {
    stack.pass(VISIBLE_AGAIN_MS).await?;
    let (visible, hidden) = stack.depth().await?;
    Ok(Some(visible + hidden).filter(|left| *left > 0))
}

async fn half_sent(stack: &Stack, messages: usize) -> Result<()> {
    let half = u64::try_from(messages / 20)?;
    loop {
        let sends = stack.calls().await?.get("SendMessageBatch").copied();
        if sends.is_some_and(|sends| sends >= half) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Lost, doubled and left messages.
fn judge(lines: &[Line], messages: usize) -> Result<(usize, usize, usize)> {
    let mut failed = HashMap::new();
    let mut deleted = HashSet::new();
    let mut sends = HashMap::<&str, usize>::new();
    for line in lines {
        let (Some(queue), Some(id)) = (line.queue.as_deref(), line.message_id.as_deref()) else {
            continue;
        };
        match (queue, line.event.as_str(), line.body.as_deref()) {
            (DEAD, "sent", Some(body)) => _ = failed.insert(id, body),
            (DEAD, "deleted", _) => _ = deleted.insert(id),
            (SOURCE, "sent", Some(body)) => *sends.entry(body).or_default() += 1,
            _ => {}
        }
    }
    ensure!(
        failed.len() == messages,
        "the witness saw {} messages",
        failed.len()
    );
    let lost = failed
        .iter()
        .filter(|(id, body)| deleted.contains(*id) && !sends.contains_key(*body));
    let left = failed.keys().filter(|id| !deleted.contains(*id));
    Ok((
        lost.count(),
        sends.values().map(|sends| sends - 1).sum(),
        left.count(),
    ))
}
