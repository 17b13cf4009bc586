//! Whether a queue with very many messages is as fast as one with few, and what it takes in memory.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::task::JoinSet;

use super::{
    client::Connection,
    footprint::rss_mib,
    load::{BODY, Requests},
    report::median,
    run::create_queue,
    target::Target,
};

/// Messages of the queue that the deep one is compared with.
const SHALLOW: usize = 1_000;

/// Calls in a row on one queue, before it is the other one's turn.
const CALLS: u32 = 500;

const CONNECTIONS: usize = 16;

#[derive(Debug, Serialize)]
pub struct Depth {
    pub messages: usize,
    pub bytes_each: usize,
    pub rss_growth_mib: f64,
    /// Microseconds of one call on one connection, on the queue with 1 000 messages.
    pub shallow_us: Calls,
    /// The same on the deep queue.
    pub deep_us: Calls,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Calls {
    pub send: f64,
    pub receive: f64,
    pub delete: f64,
}

pub async fn measure(messages: usize, rounds: u32) -> Result<Depth> {
    let local = Target::local(false)?;
    let mut connection = Connection::open(local.address).await?;
    let shallow = Requests::new(&create_queue(&mut connection, "shallow").await?);
    let deep = Requests::new(&create_queue(&mut connection, "deep").await?);
    fill(local.address, &shallow, SHALLOW).await?;
    let before = rss_mib(&local.processes()?)?;
    fill(local.address, &deep, messages).await?;
    let rss_growth_mib = rss_mib(&local.processes()?)? - before;
    let (mut on_shallow, mut on_deep) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        on_shallow.push(calls(&mut connection, &shallow).await?);
        on_deep.push(calls(&mut connection, &deep).await?);
    }
    Ok(Depth {
        messages,
        bytes_each: BODY,
        rss_growth_mib,
        shallow_us: medians(&on_shallow),
        deep_us: medians(&on_deep),
    })
}

async fn fill(address: SocketAddr, requests: &Requests, messages: usize) -> Result<()> {
    let mut connections = JoinSet::new();
    let each = messages.div_ceil(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let requests = requests.clone();
        connections.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut sent = 0;
            while sent < each {
                sent += requests.send_batch(&mut connection).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = connections.join_next().await {
        done??;
    }
    Ok(())
}

/// Sends, receives and deletes, so that the queue is as deep afterwards as before.
async fn calls(connection: &mut Connection, requests: &Requests) -> Result<Calls> {
    let started = Instant::now();
    for _ in 0..CALLS {
        requests.send(connection).await?;
    }
    let send = micros_each(started);
    let started = Instant::now();
    let mut handles = Vec::new();
    for _ in 0..CALLS {
        let handle = requests.receive(connection).await?;
        handles.push(handle.context("a queue that was filled is empty")?);
    }
    let receive = micros_each(started);
    let started = Instant::now();
    for handle in &handles {
        requests.delete(connection, handle).await?;
    }
    Ok(Calls {
        send,
        receive,
        delete: micros_each(started),
    })
}

fn micros_each(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS)
}

fn medians(rounds: &[Calls]) -> Calls {
    let of = |field: fn(&Calls) -> f64| median(rounds.iter().map(field).collect());
    Calls {
        send: of(|calls| calls.send),
        receive: of(|calls| calls.receive),
        delete: of(|calls| calls.delete),
    }
}
