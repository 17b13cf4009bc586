//! What is asked of a queue, over and over, on many connections at once.

use std::{
    borrow::Cow,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::task::JoinSet;

use super::client::Connection;

/// Threads of the client; each drives its own connections.
const THREADS: usize = 2;

/// Connections of each thread.
const CONNECTIONS: usize = 16;

/// Bytes of a message.
pub const BODY: usize = 256;

/// One kind of load. The order is that of a turn: the sends fill the queue that the others empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// `SendMessage`
    Send,
    /// `SendMessageBatch` of ten
    SendBatch,
    /// `ReceiveMessage` and `DeleteMessage` of one
    Settle,
    /// `ReceiveMessage` and `DeleteMessageBatch` of up to ten
    SettleBatch,
}

/// The requests for one queue, made once.
#[derive(Clone)]
pub struct Requests {
    url: String,
    send: Bytes,
    send_batch: Bytes,
    receive: Bytes,
    receive_batch: Bytes,
}

impl Requests {
    pub fn new(url: &str) -> Self {
        let text = "m".repeat(BODY);
        let bytes = |value: serde_json::Value| Bytes::from(value.to_string());
        let entries: Vec<_> = (0..10)
            .map(|id| json!({ "Id": id.to_string(), "MessageBody": text }))
            .collect();
        let receive = |most: u32| bytes(json!({ "QueueUrl": url, "MaxNumberOfMessages": most }));
        Self {
            url: url.to_owned(),
            send: bytes(json!({ "QueueUrl": url, "MessageBody": text })),
            send_batch: bytes(json!({ "QueueUrl": url, "Entries": entries })),
            receive: receive(1),
            receive_batch: receive(10),
        }
    }

    pub async fn send(&self, connection: &mut Connection) -> Result<usize> {
        connection
            .sqs("AmazonSQS.SendMessage", self.send.clone())
            .await?;
        Ok(1)
    }

    pub async fn send_batch(&self, connection: &mut Connection) -> Result<usize> {
        connection
            .sqs("AmazonSQS.SendMessageBatch", self.send_batch.clone())
            .await?;
        Ok(10)
    }

    /// The receipt handle of one message, if there was one.
    pub async fn receive(&self, connection: &mut Connection) -> Result<Option<String>> {
        let answer = connection
            .sqs("AmazonSQS.ReceiveMessage", self.receive.clone())
            .await?;
        Ok(handles(&answer)?.pop())
    }

    pub async fn delete(&self, connection: &mut Connection, handle: &str) -> Result<()> {
        let body = json!({ "QueueUrl": self.url, "ReceiptHandle": handle }).to_string();
        connection
            .sqs("AmazonSQS.DeleteMessage", body.into())
            .await?;
        Ok(())
    }

    async fn settle(&self, connection: &mut Connection) -> Result<usize> {
        match self.receive(connection).await? {
            Some(handle) => self.delete(connection, &handle).await.map(|()| 1),
            None => Ok(0),
        }
    }

    async fn settle_batch(&self, connection: &mut Connection) -> Result<usize> {
        let answer = connection
            .sqs("AmazonSQS.ReceiveMessage", self.receive_batch.clone())
            .await?;
        let handles = handles(&answer)?;
        if handles.is_empty() {
            return Ok(0);
        }
        let entries: Vec<_> = handles
            .iter()
            .enumerate()
            .map(|(id, handle)| json!({ "Id": id.to_string(), "ReceiptHandle": handle }))
            .collect();
        let body = json!({ "QueueUrl": self.url, "Entries": entries }).to_string();
        let answer = connection
            .sqs("AmazonSQS.DeleteMessageBatch", body.into())
            .await?;
        let deleted: Deleted = serde_json::from_slice(&answer)?;
        ensure!(
            deleted.successful.len() == handles.len(),
            "of {} messages {} were deleted",
            handles.len(),
            deleted.successful.len()
        );
        Ok(handles.len())
    }
}

#[derive(Deserialize)]
struct Received<'a> {
    #[serde(rename = "Messages", default, borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "ReceiptHandle", borrow)]
    receipt_handle: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Deleted {
    #[serde(rename = "Successful")]
    successful: Vec<serde::de::IgnoredAny>,
}

fn handles(answer: &[u8]) -> Result<Vec<String>> {
    let received: Received = serde_json::from_slice(answer)?;
    let handles = received.messages.into_iter();
    Ok(handles
        .map(|message| message.receipt_handle.into_owned())
        .collect())
}

/// Messages per second over `time`, or over less when the queue is empty before.
pub fn rate(address: SocketAddr, load: Load, requests: &Requests, time: Duration) -> Result<f64> {
    let started = Instant::now();
    let deadline = started + time;
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let requests = requests.clone();
            thread::spawn(move || thread(address, load, &requests, deadline))
        })
        .collect();
    let mut messages = 0;
    for thread in threads {
        messages += thread
            .join()
            .map_err(|_| anyhow!("a thread of the client panicked"))??;
    }
    ensure!(messages > 0, "{load:?}: nothing was done in {time:?}");
    // Far below 2^53.
    #[allow(clippy::cast_precision_loss)]
    let messages = messages as f64;
    Ok(messages / started.elapsed().as_secs_f64())
}

fn thread(
    address: SocketAddr,
    load: Load,
    requests: &Requests,
    deadline: Instant,
) -> Result<usize> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(connection(address, load, requests.clone(), deadline));
        }
        let mut messages = 0;
        while let Some(done) = connections.join_next().await {
            messages += done??;
        }
        Ok(messages)
    })
}

async fn connection(
    address: SocketAddr,
    load: Load,
    requests: Requests,
    deadline: Instant,
) -> Result<usize> {
    let mut connection = Connection::open(address).await?;
    let mut messages = 0;
    while Instant::now() < deadline {
        let done = match load {
            Load::Send => requests.send(&mut connection).await?,
            Load::SendBatch => requests.send_batch(&mut connection).await?,
            Load::Settle => requests.settle(&mut connection).await?,
            Load::SettleBatch => requests.settle_batch(&mut connection).await?,
        };
        if done == 0 {
            break;
        }
        messages += done;
    }
    Ok(messages)
}
