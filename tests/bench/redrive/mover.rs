//! The others: what their programs do, in small clients with our SDK. Each runs as a process of its own, as theirs do.

use std::{
    future::Future,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, Message, SendMessageBatchRequestEntry},
};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::{process::Command, sync::Semaphore, task::JoinSet};

use super::{cpu::cpu_seconds, stack::client};

/// First argument of a process that is one of them.
pub const WORD: &str = "mover";

/// Attempts of a call where the original's SDK retries: three times, both in Go and in JavaScript.
const ATTEMPTS: u32 = 4;

/// Pollers of lumigo-cli, and empty receives in a row after which one ends.
const POLLERS: usize = 10;
const EMPTY_RECEIVES: u32 = 10;

/// How a program moves messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Algorithm {
    /// One loop: receive ten, hidden for 2 s; send; delete. Ends at the first error, failed entry or empty receive.
    Sqsmover,
    /// Ten loops that send and delete whatever they received, and do not look at entries that failed.
    Lumigo,
    /// As many calls at once as the daemon makes, no ledger, no digests, no second chance.
    Raw,
}

/// What to move.
#[derive(Args, Debug)]
pub struct Job {
    #[arg(value_enum)]
    algorithm: Algorithm,
    endpoint_url: String,
    source_url: String,
    dead_url: String,
    count: usize,
    in_flight: usize,
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize)]
pub struct Moved {
    pub messages: usize,
    pub seconds: f64,
    pub cpu_seconds: f64,
}

/// Starts one; it prints what it [`Moved`].
pub fn command(
    algorithm: Algorithm,
    job: [&str; 3],
    count: usize,
    in_flight: usize,
) -> Result<Command> {
    let name = algorithm.to_possible_value().context("no name")?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([WORD, name.get_name()])
        .args(job)
        .args([count.to_string(), in_flight.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

pub async fn run(job: Job) -> Result<()> {
    let attempts = if job.algorithm == Algorithm::Raw {
        1
    } else {
        ATTEMPTS
    };
    let queues = Queues {
        sqs: client(&job.endpoint_url, attempts),
        source_url: job.source_url,
        dead_url: job.dead_url,
        moved: AtomicUsize::new(0),
    };
    let queues = Arc::new(queues);
    let started = Instant::now();
    let ended = match job.algorithm {
        Algorithm::Sqsmover => queues.one_loop(job.count).await,
        Algorithm::Lumigo => together(POLLERS, || queues.clone().poll()).await,
        Algorithm::Raw => queues.clone().raw(job.count, job.in_flight).await,
    };
    if let Err(error) = ended {
        eprintln!("{error:#}");
    }
    let moved = Moved {
        messages: queues.moved.load(Ordering::SeqCst),
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: cpu_seconds(&[std::process::id()])?,
    };
    println!("{}", serde_json::to_string(&moved)?);
    Ok(())
}

struct Queues {
    sqs: Client,
    source_url: String,
    dead_url: String,
    moved: AtomicUsize,
}

impl Queues {
    async fn one_loop(&self, count: usize) -> Result<()> {
        while self.moved.load(Ordering::SeqCst) < count {
            let messages = self.receive(10, Some(2)).await?;
            if messages.is_empty() {
                break;
            }
            let failed = self.send(&messages).await?;
            ensure!(failed == 0, "{failed} messages failed to enqueue");
            let failed = self.delete(&messages).await?;
            ensure!(failed == 0, "{failed} messages were not deleted");
        }
        Ok(())
    }

    async fn poll(self: Arc<Self>) -> Result<()> {
        let mut empty = 0;
        while empty < EMPTY_RECEIVES {
            let messages = self.receive(10, None).await?;
            if messages.is_empty() {
                empty += 1;
                continue;
            }
            empty = 0;
            self.send(&messages).await?;
            self.delete(&messages).await?;
        }
        Ok(())
    }

    async fn raw(self: Arc<Self>, count: usize, in_flight: usize) -> Result<()> {
        let room = Arc::new([(); 3].map(|()| Semaphore::new(in_flight)));
        let open = Arc::new(AtomicUsize::new(count));
        together(3 * in_flight, || {
            self.clone().raw_loop(room.clone(), open.clone())
        })
        .await
    }

    async fn raw_loop(
        self: Arc<Self>,
        room: Arc<[Semaphore; 3]>,
        open: Arc<AtomicUsize>,
    ) -> Result<()> {
        let [receives, sends, deletes] = &*room;
        let take = |open: usize| Some(open.saturating_sub(10));
        loop {
            let before = open.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
            let taken = before.unwrap_or(0).min(10);
            if taken == 0 {
                return Ok(());
            }
            let messages = {
                let _permit = receives.acquire().await?;
                self.receive(taken, Some(60)).await?
            };
            open.fetch_add(taken - messages.len(), Ordering::SeqCst);
            if messages.is_empty() {
                continue;
            }
            let failed = {
                let _permit = sends.acquire().await?;
                self.send(&messages).await?
            };
            let _permit = deletes.acquire().await?;
            let failed = failed + self.delete(&messages).await?;
            ensure!(failed == 0, "{failed} entries failed");
        }
    }

    async fn receive(&self, most: usize, visibility_seconds: Option<i32>) -> Result<Vec<Message>> {
        let receive = self.sqs.receive_message().queue_url(&self.dead_url);
        let received = receive
            .max_number_of_messages(i32::try_from(most)?)
            .set_visibility_timeout(visibility_seconds)
            .message_attribute_names("All")
            .send()
            .await?;
        Ok(received.messages.unwrap_or_default())
    }

    /// How many entries failed.
    async fn send(&self, messages: &[Message]) -> Result<usize> {
        let mut send = self.sqs.send_message_batch().queue_url(&self.source_url);
        for message in messages {
            let entry = SendMessageBatchRequestEntry::builder()
                .set_id(message.message_id.clone())
                .set_message_body(message.body.clone())
                .set_message_attributes(message.message_attributes.clone());
            send = send.entries(entry.build()?);
        }
        Ok(send.send().await?.failed.len())
    }

    /// How many entries failed.
    async fn delete(&self, messages: &[Message]) -> Result<usize> {
        let mut delete = self.sqs.delete_message_batch().queue_url(&self.dead_url);
        for message in messages {
            let entry = DeleteMessageBatchRequestEntry::builder()
                .set_id(message.message_id.clone())
                .set_receipt_handle(message.receipt_handle.clone());
            delete = delete.entries(entry.build()?);
        }
        let failed = delete.send().await?.failed.len();
        self.moved
            .fetch_add(messages.len() - failed, Ordering::SeqCst);
        Ok(failed)
    }
}

/// Several at once, until all have ended; the first error ends them all, as a rejected promise ends its program.
async fn together<F>(loops: usize, one: impl Fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..loops {
        tasks.spawn(one());
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended? {
            bail!(error);
        }
    }
    Ok(())
}
